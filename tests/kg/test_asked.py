"""What a chain may pass: no edge of one patient, no name that tells the next, no hub, no group."""

import numpy as np
import pytest

from medenv.kg import Graph, GraphBuilder, GraphInfo
from medenv.kg.graph.schema import (
    HAS_GENE,
    HAS_PHENOTYPE,
    IN_CLASS,
    IS_A,
    RESPONSE_DEPENDS_ON,
)
from medenv.kg.questions.asked import MOST_BEARERS, asked_edges, asked_nodes, repeats

NAMES = {
    "D:1": ("disease", "Blue cone monochromacy"),
    "D:2": ("disease", "Diabetes, susceptibility to, 3"),
    "D:3": ("disease", "Nail disease"),
    "D:4": ("disease", "Nail diseases as a group"),
    "P:1": ("phenotype", "Blue cone"),
    "P:2": ("phenotype", "Brittle nail"),
    "P:3": ("phenotype", "Abnormal nail colour"),
    "P:4": ("phenotype", "Yellow toe"),
    "G:1": ("gene", "NAIL1"),
    "G:2": ("gene", "CONE2"),
    "R:1": ("drug", "keratol"),
    "R:2": ("drug", "unguol"),
}
FINDINGS = (
    ("D:1", "P:1", "8/9"),  # the name tells it
    ("D:1", "P:2", "1/9"),  # one patient
    ("D:1", "P:3", "1/1|1/4"),  # one patient in each of two reports
    ("D:1", "P:4", "1/1|3/4"),
    ("D:3", "P:3", "HP:0040281"),
    ("D:3", "P:4", ""),
)


@pytest.fixture
def graph() -> Graph:
    builder = GraphBuilder(GraphInfo(source="asked", version="1"))
    for entity, (kind, name) in NAMES.items():
        builder.node(entity, kind=kind, name=name)
    builder.relation(HAS_PHENOTYPE, ("frequency",))
    builder.relation(RESPONSE_DEPENDS_ON, ("level",))
    for relation in (HAS_GENE, IN_CLASS, IS_A):
        builder.relation(relation)
    for disease, finding, frequency in FINDINGS:
        builder.edge(disease, HAS_PHENOTYPE.name, finding, (frequency,))
    builder.edge("D:3", HAS_GENE.name, "G:1")
    builder.edge("D:3", IN_CLASS.name, "D:4")
    builder.edge("P:4", IS_A.name, "P:3")
    for drug, gene, level in (("R:1", "G:1", "A"), ("R:1", "G:2", "C"), ("R:2", "G:2", "A/B")):
        builder.edge(drug, RESPONSE_DEPENDS_ON.name, gene, (level,))
    return builder.build()


def taken(graph: Graph, relation: str) -> set[tuple[str, str]]:
    rows, ids = asked_edges(graph)[relation], graph.nodes.ids
    return {(ids[n], ids[t]) for n in range(len(graph)) for t in rows.of(n).tolist()}


def test_an_edge_rests_on_more_than_one_patient_and_its_ends_do_not_tell_each_other(
    graph: Graph,
) -> None:
    kept = {("D:1", "P:4"), ("D:3", "P:3"), ("D:3", "P:4")}
    assert taken(graph, "has_phenotype") == kept
    assert taken(graph, "phenotype_of") == {(tail, head) for head, tail in kept}


def test_guidance_has_to_recommend_to_act(graph: Graph) -> None:
    assert taken(graph, "response_depends_on") == {("R:1", "G:1"), ("R:2", "G:2")}


def test_susceptibilities_groups_and_headings_are_not_passed(graph: Graph) -> None:
    fit = asked_nodes(graph, max_subtypes=0)
    left_out = {graph.nodes.ids[node] for node in np.flatnonzero(~fit).tolist()}
    assert left_out == {"D:2", "D:4", "P:3"}  # P:3 is a heading, of one kind


def test_a_finding_of_too_many_diseases_is_a_hub() -> None:
    builder = GraphBuilder(GraphInfo(source="hub", version="1"))
    builder.relation(HAS_PHENOTYPE, ("frequency",))
    builder.node("P:1", kind="phenotype", name="Fever")
    builder.node("P:2", kind="phenotype", name="Rash")
    for i in range(MOST_BEARERS + 1):
        builder.node(f"D:{i}", kind="disease", name=f"Ailment {i}")
        builder.edge(f"D:{i}", HAS_PHENOTYPE.name, "P:1", ("",))
        if i:
            builder.edge(f"D:{i}", HAS_PHENOTYPE.name, "P:2", ("",))
    graph = builder.build()
    fit = asked_nodes(graph, max_subtypes=50)
    assert [bool(fit[graph.number(one)]) for one in ("P:1", "P:2")] == [False, True]


@pytest.mark.parametrize(
    ("path", "twice"),
    [
        (["D:3", "P:2", "G:1"], False),
        (["P:3", "D:3", "P:4"], True),  # a finding and a kind of it
        (["P:1", "D:3", "D:1"], True),  # "Blue cone" tells "Blue cone monochromacy"
    ],
)
def test_a_path_does_not_come_back_to_the_same_thing(
    graph: Graph, path: list[str], twice: bool
) -> None:
    nodes = [graph.number(one) for one in path]
    found = [repeats(graph, nodes[:size]) for size in range(1, len(nodes) + 1)]
    assert found == [False, False, twice]
