"""OBO files as the format and its commonest writers have them; ids that were replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from medenv.errors import DataError, UsageError
from medenv.kg import Graph, GraphBuilder, GraphInfo
from medenv.kg.graph.merging import merge
from medenv.kg.graph.schema import IS_A
from medenv.kg.sources import open_source
from medenv.kg.sources.obo import Ontology, read_obo


def written(folder: Path, *lines: str) -> Path:
    path = folder / "x.obo"
    path.write_text("\n".join(("format-version: 1.4", *lines)) + "\n")
    return path


def read(folder: Path, *lines: str) -> Ontology:
    return read_obo(written(folder, *lines))


ROOT = ("[Term]", "id: A:0", "name: all")


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("name: fever ! the common one", "name", "fever"),
        ('name: fever {source="A"} ! note', "name", "fever"),
        ('name: fever {comment="a ! b"}', "name", "fever"),
        (r"name: fever \! and \{chills\}", "name", "fever ! and {chills}"),
        ("name: wow!", "name", "wow!"),
        ("name: beta {1,4} glucan", "name", "beta {1,4} glucan"),
        ("   name: fever", "name", "fever"),
        ("\tname: fever", "name", "fever"),
        ("name: high \\\n  fever", "name", "high fever"),
        ("name: fever\nis_a: A:0 {inferred=true} ! all", "parents", ("A:0",)),
        ("name: fever\nis_a: A:0\nis_a: A:0 ! all", "parents", ("A:0",)),
        ("name: fever\nalt_id: A:7 ! merged 2019", "alt_ids", ("A:7",)),
        ('name: fever\nxref: UMLS:C1 "Fever" {source="X"}', "xrefs", ("UMLS:C1",)),
        (r"name: fever" "\nxref: http\\://x.org/1", "xrefs", ("http://x.org/1",)),
        ('name: fever\ndef: "hot ! {very}" [] {a="b"} ! note', "definition", "hot ! {very}"),
        ('name: fever\nsynonym: "heat" EXACT abbreviation [X:1] {a="b"}', "synonyms", ("heat",)),
        ('name: fever\nexact_synonym: "heat" []', "synonyms", ("heat",)),
        ('name: fever\nbroad_synonym: "heat" []', "synonyms", ()),
        ("name: fever\nis_obsolete: true ! since 2019", "obsolete", True),
        ('name: fever\nis_obsolete: true {reason="x"}', "obsolete", True),
        ("name: fever\nis_obsolete: false", "obsolete", False),
        ("is_obsolete: true", "name", ""),
    ],
)
def test_what_the_format_allows_is_read(
    tmp_path: Path, line: str, field: str, value: object
) -> None:
    ontology = read(tmp_path, *ROOT, "[Term] ! a comment", "id: A:1", *line.split("\n"))
    assert getattr(ontology.terms[1], field) == value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_of_other_systems_make_no_difference(
    tmp_path: Path, end: str
) -> None:
    path = tmp_path / "x.obo"
    path.write_bytes(("\ufeff" + end.join(("data-version: 7", *ROOT, ""))).encode())
    ontology = read_obo(path)
    assert (ontology.version, ontology.terms[0].name) == ("7", "all")


@pytest.mark.parametrize(
    ("lines", "line", "problem"),
    [
        (("name: x", "name: y"), 8, "duplicate 'name'"),
        (("name: x", "is_obsolete: yes"), 8, "got 'yes'"),
        (("name: x", "def: hot"), 8, "expected a text in quotes"),
        (("name: x", 'synonym: "hot'), 8, "expected a text in quotes"),
        (("name: x", "fever"), 8, "expected 'tag: value'"),
        (("xref: X:1",), 5, "expected 'name'"),
        (("name: x", "[Term]", "id: A:0", "name: y"), 8, "line 2"),
        (("name: x", "is_a: A:1"), 5, "A:1 is_a A:1"),
        (("name: x", "is_a: A:2", "[Term]", "id: A:2", "name: y", "is_a: A:1"), 5, "is_a A:2 is_a"),
        (("name: x\\",), 7, "truncated"),
    ],
)
def test_what_it_does_not_allow_is_refused_with_its_line(
    tmp_path: Path, lines: tuple[str, ...], line: int, problem: str
) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        read(tmp_path, *ROOT, "[Term]", "id: A:1", *lines)
    assert caught.value.line == line


def test_a_term_on_two_ways_below_another_is_no_cycle(tmp_path: Path) -> None:
    terms = [(f"A:{i}", [f"A:{j}" for j in range(i)]) for i in range(1, 40)]
    lines = [
        line
        for term, parents in reversed(terms)
        for line in ("[Term]", f"id: {term}", "name: x", *(f"is_a: {one}" for one in parents))
    ]
    assert len(read(tmp_path, *lines, *ROOT).terms) == 40


def test_a_chain_of_any_length_is_read(tmp_path: Path) -> None:
    lines = [
        line
        for i in range(1, 5_000)
        for line in ("[Term]", f"id: A:{i}", "name: x", f"is_a: A:{i - 1}")
    ]
    assert len(read(tmp_path, *ROOT, *lines).terms) == 5_000


RETIRED = (
    *("[Term]", "id: A:1", "name: fever", "alt_id: A:8", "alt_id: A:9", "is_a: A:0"),
    *("[Term]", "id: A:2", "name: cough", "alt_id: A:9"),
    *("[Term]", "id: A:3", "is_obsolete: true", "replaced_by: A:4 ! moved"),
    *("[Term]", "id: A:4", "is_obsolete: true", "replaced_by: A:8"),
    *("[Term]", "id: A:5", "is_obsolete: true", "replaced_by: A:1", "replaced_by: A:2"),
    *("[Term]", "id: A:6", "is_obsolete: true", "replaced_by: A:7"),
    *("[Term]", "id: A:7", "is_obsolete: true", "replaced_by: A:6"),
    *("[Term]", "id: A:10", "is_obsolete: true", "consider: A:1"),
)


def test_replaced_ids_lead_to_the_one_term_that_stands_for_them(tmp_path: Path) -> None:
    ontology = read(tmp_path, *ROOT, *RETIRED)
    assert ontology.replaced == {"A:3": "A:1", "A:4": "A:1", "A:8": "A:1"}


def test_a_graph_answers_to_replaced_ids_also_when_it_was_saved(tmp_path: Path) -> None:
    graph = open_source("obo", written(tmp_path, *ROOT, *RETIRED))
    graph.save(tmp_path / "saved")
    for one in (graph, Graph.load(tmp_path / "saved")):
        assert one.replaced == {"A:3": "A:1", "A:4": "A:1", "A:8": "A:1"}
        assert one.number("A:3") == one.number("A:8") == one.number("A:1")
        with pytest.raises(UsageError, match="no entity 'A:9'"):
            one.number("A:9")


def test_what_is_stated_but_not_read_is_counted(tmp_path: Path) -> None:
    lines = (
        *("[Term]", "id: A:1", "name: a", "relationship: part_of A:0 ! all", "is_a: B:1 ! else"),
        *("[Term]", "id: A:2", "name: b", "relationship: part_of A:0", "relationship: has A:1"),
        *("intersection_of: A:0", "intersection_of: part_of A:1"),
    )
    graph = open_source("obo", written(tmp_path, "import: http://x.org/y.obo", *ROOT, *lines))
    assert graph.info.notes == {
        "obsolete terms": 0,
        "parents outside the file": 1,
        "lines not read: import": 1,
        "lines not read: intersection_of": 2,
        "lines not read: relationship has": 1,
        "lines not read: relationship part_of": 2,
    }


def test_a_parent_that_was_merged_is_the_term_it_was_merged_into(tmp_path: Path) -> None:
    lines = ("[Term]", "id: A:2", "name: x", "is_a: A:8", *RETIRED[:6])
    graph = open_source("obo", written(tmp_path, *ROOT, *lines))
    assert graph.has_edge(graph.number("A:2"), "is_a", graph.number("A:1"))
    assert "parents outside the file" not in graph.info.notes


def test_a_node_cannot_be_replaced_nor_stand_for_an_unknown_one() -> None:
    builder = GraphBuilder(GraphInfo(source="x", version="1"))
    builder.node("A:1", kind="term", name="one")
    for old, new in (("A:1", "A:1"), ("A:2", "A:3")):
        with pytest.raises(UsageError):
            builder.replace(old, new)


def test_merging_reads_replaced_ids_of_one_graph_in_the_other(tmp_path: Path) -> None:
    builder = GraphBuilder(GraphInfo(source="old", version="1"))
    builder.node("A:8", kind="term", name="pyrexia")
    builder.node("D:1", kind="disease", name="flu")
    builder.relation(IS_A)
    builder.edge("D:1", IS_A.name, "A:8")
    merged = merge([builder.build(), open_source("obo", written(tmp_path, *ROOT, *RETIRED))])
    assert set(merged.entity(merged.number("A:8")).aliases) == {"pyrexia", "fever"} - {
        merged.entity(merged.number("A:1")).name
    }
    assert merged.has_edge(merged.number("D:1"), "is_a", merged.number("A:1"))
    assert (merged.replaced["A:3"], merged.replaced["A:8"]) == ("A:1", "A:1")
