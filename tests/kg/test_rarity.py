import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import UnknownNameError, UsageError
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo, load_hpo
from medenv.kg.graph.rarity import by_degree, by_documents, by_prevalence, rare_nodes, upper_share
from medenv.kg.graph.schema import Relation
from medenv.kg.sources.hpo import NAMESPACES, bundled_folder
from medenv.records import Passage

from .random_graphs import random_graph


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_degree_percentile_is_the_share_of_the_kind_with_fewer_edges(seed: int) -> None:
    graph = random_graph(seed)
    degrees = graph.degrees()
    found = by_degree(graph)
    for node in np.flatnonzero(degrees):
        same = [d for n in graph.of_kind(graph.kind(int(node))) if (d := degrees[n])]
        fewer = sum(int(d) < degrees[node] for d in same)
        assert found.values[node] == pytest.approx(100 * fewer / len(same))


def test_nodes_without_the_least_degree_have_no_number(graph: Graph) -> None:
    found = by_degree(graph, min_degree=3)
    assert np.array_equal(np.isnan(found.values), graph.degrees() < 3)
    assert set(found.below(100)) == set(np.flatnonzero(graph.degrees() >= 3))


def corpus(*texts: str) -> list[Passage]:
    return [Passage(id=f"D{i}#{i}", title="", text=text) for i, text in enumerate(texts)]


def test_documents_passages_and_words_are_counted_apart(graph: Graph) -> None:
    passages = [
        Passage(id="A#0", title="Leaning walk", text="backward-leaning gait, again a LEANING WALK"),
        Passage(id="A#1", title="", text="leaning walks are something else"),
        Passage(id="A#2", title="", text="backward leaning gait"),
        Passage(id="B#0", title="", text="nothing"),
    ]
    node = graph.number("TOY:P02")
    words = sum(len(re.findall(r"\w+", f"{p.title} {p.text}")) for p in passages)
    for unit, count, total in (("documents", 1, 2), ("passages", 2, 4), ("words", 4, words)):
        found = by_documents(graph, passages, unit)  # type: ignore[arg-type]  # a plain str here
        assert found.values[node] == pytest.approx(count / total)
        assert (found.total, found.unit) == (total, f"share of {total:,} {unit}")


def test_document_frequency_agrees_with_searching_every_document(
    graph: Graph, documents: Documents
) -> None:
    found = by_documents(graph, documents.passages, "passages")
    for node in range(0, len(graph), 3):
        entity = graph.entity(node)
        names = [re.sub(r"\W+", " ", n).strip().lower() for n in (entity.name, *entity.aliases)]
        texts = [re.sub(r"\W+", " ", f" {p.title} {p.text} ").lower() for p in documents.passages]
        count = sum(any(f" {name} " in text for name in names) for text in texts)
        assert found.values[node] * found.total == pytest.approx(count)


def test_an_empty_corpus_and_an_unknown_unit_are_refused(graph: Graph) -> None:
    with pytest.raises(UsageError, match="the corpus is empty"):
        by_documents(graph, [])
    with pytest.raises(UsageError, match="documents, passages or words, got 'tokens'"):
        by_documents(graph, corpus("x"), "tokens")  # type: ignore[arg-type]  # the test


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
    assert found.values[stated.number("a")] == pytest.approx(9e-5)
    assert np.isnan(found.values[stated.number("b")])
    assert found.below(1e-6).size == 0
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
    assert by_documents(builder.build(), passages).values[0] == pytest.approx(3 / 4)


def test_rarity_that_cannot_be_is_refused(graph: Graph) -> None:
    with pytest.raises(UnknownNameError, match="node kind 'drug'"):
        rare_nodes(graph, "drug")
    with pytest.raises(UsageError, match="0 <= percent <= 100, got 101"):
        rare_nodes(graph, "gene", percent=101)
    with pytest.raises(UsageError, match="min_degree >= 1, got 0"):
        by_degree(graph, min_degree=0)
    assert rare_nodes(graph, "gene", min_degree=9).size == 0
