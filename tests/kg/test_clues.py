import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.kg import Graph, GraphBuilder, GraphInfo
from medenv.kg.certificates.conditions import Clue, fitting, narrow
from medenv.kg.graph.kernel import shared
from medenv.kg.graph.schema import HAS_PHENOTYPE, QUALIFIERS
from medenv.kg.questions.clues import Choice, describe, offers, single_out
from medenv.kg.questions.drafts import tells
from medenv.kg.questions.phrases import plural, predicate, predicates

from .random_graphs import random_graph


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_clues_leave_the_target_and_nothing_else(seed: int) -> None:
    graph, rng = random_graph(seed % 300), np.random.default_rng(seed)
    found = graph.of_kind("disease")
    target = int(rng.choice(found))
    avoid = frozenset(int(n) for n in rng.choice(len(graph), 3))
    choice = Choice(avoid=avoid, least_fitting=2, most=4)
    clues = single_out(graph, found, target, choice, rng)
    if clues is not None:
        assert fitting(graph, "disease", clues).tolist() == [target]
        assert not avoid & {clue.entity for clue in clues}
        assert len(clues) <= 4
        for clue in clues:
            assert fitting(graph, "disease", [clue]).size >= 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), named=st.integers(0, 2), least=st.integers(1, 4))
def test_a_description_singles_out_and_names_no_more_than_it_may(
    seed: int, named: int, least: int
) -> None:
    graph, rng = random_graph(seed % 300), np.random.default_rng(seed)
    attributes = {"has_inheritance"}
    common = {
        int(node)
        for node in graph.of_kind("phenotype")
        if fitting(graph, "disease", [Clue("has_phenotype", int(node))]).size
        >= max(2, 0.05 * graph.of_kind("disease").size)
    }
    for kind in ("disease", "phenotype"):
        node = int(rng.choice(graph.of_kind(kind)))
        choice = Choice(avoid=frozenset([node]), most=5, named=named, least_fitting=least)
        clues = describe(graph, node, choice, rng)
        if clues is None:
            continue
        assert fitting(graph, kind, clues).tolist() == [node]
        told = [
            clue
            for clue in clues
            if clue.relation not in attributes
            and not (
                clue.relation.endswith(("has_phenotype", "is_a", "lacks_phenotype"))
                and clue.entity in common
            )
        ]
        assert len(told) <= named
        for clue in clues:
            bearing = [
                other
                for other in range(len(graph))
                if narrow(graph, np.array([other], dtype=np.int32), clue).size
            ]
            assert len(bearing) >= least


def test_every_offer_holds_for_its_node(graph: Graph) -> None:
    for node in range(len(graph)):
        for clue in offers(graph, node):
            assert node in narrow(graph, np.array([node], dtype=np.int32), clue)


@settings(max_examples=200, deadline=None)
@given(some=st.sets(st.integers(0, 60)), others=st.sets(st.integers(0, 2_000), max_size=200))
def test_what_two_ascending_arrays_share_is_counted(some: set[int], others: set[int]) -> None:
    ours, theirs = (np.array(sorted(nodes), dtype=np.int32) for nodes in (some, others))
    assert shared(ours, theirs) == shared(theirs, ours) == len(some & others)


def test_clues_are_said_in_plain_words(graph: Graph) -> None:
    def clue(relation: str, entity: str) -> Clue:
        return Clue(relation, graph.number(entity))

    dominant = clue("has_inheritance", "TOY:I1")
    walk, taste = clue("has_phenotype", "TOY:P02"), clue("has_phenotype", "TOY:P07")
    assert predicates(graph, [walk, dominant, taste]) == (
        'has autosomal dominant inheritance and has "Backward-leaning gait" and "Metallic taste '
        'on waking" among its findings'
    )
    assert predicates(graph, [walk], after="has_phenotype") == (
        'also has "Backward-leaning gait" among its findings'
    )
    assert predicate(graph, clue("lacks_phenotype", "TOY:P07")) == (
        'is recorded without "Metallic taste on waking"'
    )
    assert plural(predicate(graph, walk)) == 'have "Backward-leaning gait" among their findings'


@pytest.mark.parametrize(
    ("named", "hidden", "given_away"),
    [
        ("Intestinal polyposis", "Large intestinal polyposis", True),
        ("Spermatogenic failure 15", "Spermatogenic failure, X-linked, 71", True),
        ("ERI1", "ERI1-related disease", True),
        ("Neuropathy, type III", "Neuropathy, type X", True),
        ("Proteinuria", "Nephrotic syndrome 4", False),
        ("Seizure", "Seizures, benign", False),
        ("Behcet disease", "Familial Behçet disease", True),
        ("19", "19p deletion", False),
    ],
)
def test_a_name_whose_words_all_stand_in_another_gives_it_away(
    named: str, hidden: str, given_away: bool
) -> None:
    builder = GraphBuilder(GraphInfo(source="two", version="1"))
    builder.node("A", kind="x", name=named)
    builder.node("B", kind="x", name=hidden)
    assert tells(builder.build(), 0, 1) is given_away


def test_no_clue_gives_its_own_entity_away() -> None:
    builder = GraphBuilder(GraphInfo(source="one disease", version="1"))
    builder.node("D:1", kind="disease", name="Dupuytren contracture 1")
    builder.node("D:2", kind="disease", name="Other disease")
    for i, name in enumerate(["Dupuytren contracture", "Joint stiffness"]):
        builder.node(f"P:{i}", kind="phenotype", name=name)
    builder.relation(HAS_PHENOTYPE, QUALIFIERS)
    for i in range(2):
        builder.edge("D:1", HAS_PHENOTYPE.name, f"P:{i}", [""] * len(QUALIFIERS))
    graph = builder.build()
    found, choice = graph.of_kind("disease"), Choice(least_fitting=1)
    for seed in range(10):
        clues = single_out(graph, found, 0, choice, np.random.default_rng(seed))
        assert clues == [Clue("has_phenotype", graph.number("P:1"))]
