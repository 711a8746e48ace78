"""Documents as sentences: every fact is stated, by a passage with source, date and evidence."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from medenv.kg import Documents, Graph, toy_graph
from medenv.kg.documents.documents import PASSAGE_CHARS
from medenv.kg.documents.sentences import LONGEST_LIST
from medenv.kg.graph import GraphInfo, Prose
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import HAS_GENE, HAS_INHERITANCE, HAS_PHENOTYPE, IN_PATHWAY

INFO = GraphInfo(source="Small", version="2026-01-01", licence="", rendering="sentences")
LONG = " ".join(f"Sentence {n} tells of blue nails." for n in range(80))


def small(findings: int = 3, genes: int = 2, *texts: Prose) -> Graph:
    """A disease with findings and genes, and a pathway of all genes."""
    builder = GraphBuilder(INFO)
    builder.node("D:1", kind="disease", name="Nail disease", aliases=("Red nails",))
    builder.node("P:1", kind="pathway", name="Nail growth")
    builder.node("I:1", kind="inheritance", name="Autosomal dominant inheritance")
    for relation in (HAS_GENE, HAS_INHERITANCE, IN_PATHWAY):
        builder.relation(relation)
    builder.relation(HAS_PHENOTYPE, ("frequency",))
    builder.edge("D:1", HAS_INHERITANCE.name, "I:1")
    for n in range(findings):
        builder.node(f"F:{n:03}", kind="phenotype", name=f"Blue nail {n}", text="A blue nail.")
        share = ("3/4", "HP:0040282", "", "1/9")[n % 4]
        builder.edge("D:1", HAS_PHENOTYPE.name, f"F:{n:03}", (share,))
    for n in range(genes):
        builder.node(f"G:{n:03}", kind="gene", name=f"NAIL{n}")
        builder.edge("D:1", HAS_GENE.name, f"G:{n:03}")
        builder.edge(f"G:{n:03}", IN_PATHWAY.name, "P:1")
    for text in texts:
        builder.prose(text)
    return builder.build()


@pytest.mark.parametrize("findings", [1, 7, LONGEST_LIST + 1, 200])
def test_every_fact_is_stated_somewhere(findings: int) -> None:
    graph = small(findings, genes=5)
    documents = Documents(graph)
    for name in ("has_phenotype", "has_gene", "in_pathway"):
        for head in range(len(graph)):
            for tail in graph.step(head, name).tolist():
                ids = graph.nodes.ids
                assert documents.supporting(ids[head], name, ids[tail])
    assert all(len(p.text) <= PASSAGE_CHARS for p in documents.passages)
    assert {p.evidence for p in documents.passages} == {"reference"}
    ids = [p.id for p in documents.passages]
    assert len({*ids}) == len(ids)


def test_no_passage_states_both_a_finding_and_the_gene() -> None:
    graph = small()
    for stated in Documents(graph).of(graph.number("D:1")):
        relations = {relation for _, relation, _ in stated.edges}
        assert not {"has_phenotype", "has_gene"} <= relations


def test_shares_are_in_words_and_grouped() -> None:
    graph = small(4)
    text = " ".join(s.passage.text for s in Documents(graph).of(graph.number("D:1")))
    assert "Many patients have Blue nail 0 (3 of 4) and Blue nail 1 (frequent" in text
    assert "Some patients have Blue nail 3 (1 of 9)." in text
    assert "Also reported: Blue nail 2." in text
    assert "Red nails" in text
    assert "inheritance" in text


def test_a_long_list_is_a_table_that_says_so() -> None:
    graph = small(LONGEST_LIST * 4 + 4)
    texts = [s.passage.text for s in Documents(graph).of(graph.number("D:1"))]
    assert any(text.startswith("Table: Findings in Nail disease | ") for text in texts)


def test_a_hub_is_listed_on_as_many_pages_as_it_takes() -> None:
    number = 500
    graph = small(1, number)
    pages = Documents(graph).of(graph.number("P:1"))
    assert len(pages) > 3
    assert all(page.passage.text.startswith("Table") for page in pages)
    stated = {tail for page in pages for head, _, tail in page.edges if graph.kind(tail) == "gene"}
    assert len(stated) == number


def test_texts_of_sources_are_passages_of_their_own() -> None:
    states = (("D:1", "has_gene", "G:000"), ("D:1", "has_phenotype", "F:000"))
    texts = (
        Prose(entity="D:1", source="Book 2", text="See NAIL0.", date="2020", evidence="review"),
        Prose(entity="D:1", source="Leaflet", text=LONG, heading="Outlook", states=states),
    )
    graph = small(3, 2, *texts)
    documents = Documents(graph)
    passages = [s.passage for s in documents.of(graph.number("D:1"))]
    book = next(p for p in passages if p.source == "Book 2")
    assert (book.date, book.evidence, book.text) == ("2020", "review", "See NAIL0.")
    leaflet = [p for p in passages if p.source == "Leaflet"]
    assert len(leaflet) > 1
    assert leaflet[0].text.startswith("Outlook: Sentence 0")
    assert leaflet[0].id in documents.supporting("D:1", "has_gene", "G:000")
    assert leaflet[0].id in documents.supporting("G:000", "gene_of", "D:1")


def test_some_findings_stand_in_a_text_alone() -> None:
    found = set()
    for n in range(30):
        states = ((f"D:{n}", "has_phenotype", "F:1"),)
        builder = GraphBuilder(INFO)
        builder.relation(HAS_PHENOTYPE, ("frequency",))
        builder.node(f"D:{n}", kind="disease", name="Nail disease")
        builder.node("F:1", kind="phenotype", name="Blue nail")
        builder.edge(f"D:{n}", HAS_PHENOTYPE.name, "F:1", ("",))
        builder.prose(Prose(entity=f"D:{n}", source="Book", text="Blue nail.", states=states))
        graph = builder.build()
        own = [s for s in Documents(graph).of(graph.number(f"D:{n}")) if s.edges]
        found.add(tuple(s.passage.source for s in own))
    assert found == {("Book",), ("Small 2026-01-01", "Book")}


def test_the_rendering_is_a_property_of_the_graph() -> None:
    lists = toy_graph()
    info = msgspec.structs.replace(lists.info, rendering="sentences")
    written = dataclasses.replace(lists, info=info)
    assert all(not p.evidence for p in Documents(lists).passages)
    one, other = (Documents(g).of(g.number("TOY:D1"))[0].passage.text for g in (lists, written))
    assert one != other
    assert Documents(written).passages == Documents(written).passages
