import re

import numpy as np
import pytest

from medenv.errors import UnknownNameError, UsageError
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo, load_hpo
from medenv.kg.graph.rarity import by_documents, by_prevalence, measured, rare_nodes, upper_share
from medenv.kg.graph.schema import Relation
from medenv.kg.sources.hpo import NAMESPACES, bundled_folder
from medenv.records import Passage


def corpus(*texts: str) -> list[Passage]:
    return [Passage(id=f"D{i}#{i}", title="", text=text) for i, text in enumerate(texts)]


def test_a_document_is_counted_once_however_often_it_mentions_an_entity(graph: Graph) -> None:
    passages = [
        Passage(id="A#0", title="Leaning walk", text="backward-leaning gait, again a LEANING WALK"),
        Passage(id="A#1", title="", text="leaning walks are something else"),
        Passage(id="A#2", title="", text="backward leaning gait"),
        Passage(id="B#0", title="", text="nothing"),
    ]
    shares = by_documents(graph, passages)
    assert shares[graph.number("TOY:P02")] == 1 / 2
    assert shares[graph.number("TOY:P03")] == 0


def test_document_frequency_agrees_with_searching_every_document(
    graph: Graph, documents: Documents
) -> None:
    passages = [
        Passage(id=f"{i}", title=p.title, text=p.text) for i, p in enumerate(documents.passages)
    ]
    found = by_documents(graph, passages)
    for node in range(0, len(graph), 3):
        entity = graph.entity(node)
        names = [re.sub(r"\W+", " ", n).strip().lower() for n in (entity.name, *entity.aliases)]
        texts = [re.sub(r"\W+", " ", f" {p.title} {p.text} ").lower() for p in passages]
        count = sum(any(f" {name} " in text for name in names) for text in texts)
        assert found[node] * len(passages) == pytest.approx(count)


def test_an_empty_corpus_and_an_unknown_measure_are_refused(graph: Graph) -> None:
    with pytest.raises(UsageError, match="the corpus is empty"):
        by_documents(graph, [])
    with pytest.raises(UnknownNameError, match="did you mean 'degree'"):
        measured(graph, "degrees", [])


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("1-9 / 100 000", 9e-5),
        ("<1 / 1 000 000", 1e-6),
        ("1-5 / 10 000", 5e-4),
        (">1 / 1000", 1.0),
        ("Unknown", None),
        ("Not yet documented", None),
    ],
)
def test_a_prevalence_class_has_an_upper_end(text: str, share: float | None) -> None:
    assert upper_share(text) == (share if share is None else pytest.approx(share))


def test_prevalence_is_read_where_the_source_states_it(graph: Graph) -> None:
    builder = GraphBuilder(GraphInfo(source="p", version="1"))
    builder.relation(Relation(name="has_prevalence", inverse="prevalence_of"))
    for name in ("<1 / 1 000 000", "1-9 / 100 000", "Unknown"):
        builder.node(f"C:{name}", kind="prevalence", name=name)
    for disease, classes in (("a", ["<1 / 1 000 000", "1-9 / 100 000"]), ("b", ["Unknown"])):
        builder.node(disease, kind="disease", name=disease)
        for name in classes:
            builder.edge(disease, "has_prevalence", f"C:{name}")
    stated = builder.build()
    found = by_prevalence(stated)
    assert found[stated.number("a")] == pytest.approx(9e-5)
    assert np.isnan(found[stated.number("b")])
    with pytest.raises(UsageError, match="so no prevalence"):
        by_prevalence(graph)


def test_rare_nodes_are_the_lowest_tenth_of_what_has_two_edges() -> None:
    try:
        bundled_folder()
    except UsageError as error:
        pytest.skip(str(error))
    graph = load_hpo(namespaces=NAMESPACES)
    degrees = graph.degrees()
    for kind, most in (("disease", 4), ("gene", 2), ("phenotype", 2)):
        rare = rare_nodes(graph, kind)
        expected = [n for n in graph.of_kind(kind) if 2 <= degrees[n] <= most]
        assert rare.tolist() == expected
        assert rare.size > 1_000


def test_names_are_counted_in_any_spelling() -> None:
    builder = GraphBuilder(GraphInfo(source="t", version="1"))
    builder.node("D:1", kind="disease", name="Behçet disease")
    passages = corpus("Behcet disease", "BEHÇET disease", "Behc\u0327et disease", "Bechet disease")
    assert by_documents(builder.build(), passages)[0] == pytest.approx(3 / 4)


def test_rarity_that_cannot_be_is_refused(graph: Graph) -> None:
    with pytest.raises(UnknownNameError, match="node kind 'drug'"):
        rare_nodes(graph, "drug")
    with pytest.raises(UsageError, match="0 <= percent <= 100, got 101"):
        rare_nodes(graph, "gene", percent=101)
    assert rare_nodes(graph, "gene", min_degree=9).size == 0


def test_rare_nodes_follow_the_measure(graph: Graph, documents: Documents) -> None:
    by_degree = measured(graph, "degree", [])
    assert rare_nodes(graph, "disease", 30, 1, by_degree).tolist() == (
        rare_nodes(graph, "disease", 30, 1).tolist()
    )
    values = measured(graph, "documents", documents.passages)
    rare = rare_nodes(graph, "phenotype", 40, 1, values)
    others = set(graph.of_kind("phenotype").tolist()) - set(rare.tolist())
    others = {node for node in others if graph.degrees()[node] >= 1}
    assert rare.size > 0
    assert max(values[rare]) < min(values[list(others)])
    unknown = np.full(len(graph), np.nan)
    assert rare_nodes(graph, "disease", 30, 1, unknown).size == 0
