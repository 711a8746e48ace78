import pytest

from medenv.errors import UsageError
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo
from medenv.kg.documents.documents import PASSAGE_CHARS, render
from medenv.kg.graph.schema import HAS_PHENOTYPE, QUALIFIERS
from medenv.records import Passage


def passage(documents: Documents, passage_id: str) -> Passage:
    (found,) = [p for p in documents.passages if p.id == passage_id]
    return found


def test_a_disease_states_its_gene_and_its_findings_in_passages_of_their_own(
    documents: Documents,
) -> None:
    text = passage(documents, "TOY:D3#0")
    assert text.title == "Alder fever, familial, 2"
    assert text.text == (
        "Associated gene: TREV3. Inheritance: Autosomal recessive inheritance. Onset: Adult onset."
    )
    assert passage(documents, "TOY:D3#1").text == (
        "Findings: Green-banded nails (7/10); Persistent tiredness (6/10); "
        "Excess of tears at night (5/10)."
    )
    assert (text.source, text.entity) == ("medenv toy 1", "TOY:D3")


def test_a_gene_lists_its_diseases(documents: Documents) -> None:
    text = passage(documents, "TOYGENE:ZORI4#0").text
    assert text == "Associated diseases: Glass tendon disease; Night lake syndrome."


def test_a_finding_names_its_diseases_however_many(graph: Graph, documents: Documents) -> None:
    assert passage(documents, "TOY:P02#0").text == (
        "Reported in: Marrow Bay syndrome. Synonyms: Leaning walk. Kind of: Abnormal gait."
    )
    common = passage(documents, "TOY:P08#0").text
    assert common.endswith(". Synonyms: Fatigue.")
    diseases = graph.step(graph.number("TOY:P08"), "phenotype_of").tolist()
    assert len(diseases) == 8
    assert all(graph.nodes.names[disease] in common for disease in diseases)


def test_hubs_have_no_document(graph: Graph, documents: Documents) -> None:
    kinds = {graph.kind(graph.number(p.entity)) for p in documents.passages}
    assert kinds == {"disease", "gene", "phenotype"}


def test_passages_are_numbered_in_order_and_unique(documents: Documents) -> None:
    ids = [p.id for p in documents.passages]
    assert len(ids) == len(set(ids))
    assert [p.entity for p in documents.passages] == sorted(p.entity for p in documents.passages)


def test_a_supporting_passage_contains_the_names_of_both_ends(
    graph: Graph, documents: Documents
) -> None:
    by_id = {p.id: p for p in documents.passages}
    supported = 0
    for relation in graph.factual:
        for head in range(len(graph)):
            for tail in graph.step(head, relation):
                ends = graph.nodes.ids[head], graph.nodes.ids[tail]
                for passage_id in documents.supporting(ends[0], relation, ends[1]):
                    shown = f"{by_id[passage_id].title}. {by_id[passage_id].text}"
                    assert graph.nodes.names[head] in shown
                    assert graph.nodes.names[tail] in shown
                    supported += 1
    assert supported > graph.edge_count


def test_every_factual_edge_is_stated_somewhere(graph: Graph, documents: Documents) -> None:
    for relation in graph.factual:
        for head in range(len(graph)):
            for tail in graph.step(head, relation):
                assert documents.supporting(graph.nodes.ids[head], relation, graph.nodes.ids[tail])


def test_what_is_no_edge_has_no_supporting_passage(documents: Documents) -> None:
    assert documents.supporting("TOY:D1", "has_gene", "TOYGENE:ZORI4") == ()
    with pytest.raises(UsageError, match="no entity 'TOY:D77'"):
        documents.supporting("TOY:D77", "has_gene", "TOYGENE:ZORI4")


def long_graph(findings: int, definition: str = "") -> Graph:
    builder = GraphBuilder(GraphInfo(source="test", version="0"))
    builder.relation(HAS_PHENOTYPE, QUALIFIERS)
    builder.node("D", kind="disease", name="Long disease")
    for number in range(findings):
        finding = f"P{number:04}"
        builder.node(finding, kind="phenotype", name=f"Finding no. {number}", text=definition)
        builder.edge("D", HAS_PHENOTYPE.name, finding, ("HP:0040281", "", "", "", "", ""))
    return builder.build()


def test_a_long_list_is_cut_between_entries_and_labelled_again() -> None:
    graph = long_graph(200)
    stated = render(graph, graph.number("D"))
    texts = [s.passage.text for s in stated]
    assert len(texts) > 3
    assert all(len(text) <= PASSAGE_CHARS for text in texts)
    assert texts[0].startswith("Findings: Finding no. 0 (very frequent); ")
    assert all(text.startswith("Findings (continued): ") for text in texts[1:])
    joined = "; ".join(text.split(": ", 1)[1].removesuffix(".") for text in texts)
    assert joined.split("; ") == [f"Finding no. {n} (very frequent)" for n in range(200)]
    forward = [edge for s in stated for edge in s.edges if edge[1] == "has_phenotype"]
    assert len(forward) == len(set(forward)) == 200


def test_a_long_definition_is_cut_between_words_and_unaltered() -> None:
    definition = "Word after  word, never-ending. " * 120
    graph = long_graph(1, definition.strip())
    texts = [s.passage.text for s in render(graph, graph.number("P0000"))]
    assert len(texts) > 2
    assert all(len(text) <= PASSAGE_CHARS for text in texts)
    assert texts[0].startswith("Reported in: Long disease. Definition: Word after  word")
    parts = [text.split("Definition: ")[-1].split("(continued): ")[-1] for text in texts]
    assert " ".join(parts) == definition.strip()
