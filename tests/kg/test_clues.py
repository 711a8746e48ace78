import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.kg import Graph
from medenv.kg.clues import Choice, describe, offers, single_out
from medenv.kg.conditions import Clue, fitting, narrow
from medenv.kg.frequencies import bounds
from medenv.kg.phrases import joined, lowered, plural, predicate, predicates

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
@given(seed=st.integers(0, 100_000), level=st.integers(2, 4))
def test_a_description_singles_out_and_at_level_four_no_clue_is_enough(
    seed: int, level: int
) -> None:
    graph, rng = random_graph(seed % 300), np.random.default_rng(seed)
    for kind in ("disease", "phenotype"):
        node = int(rng.choice(graph.of_kind(kind)))
        clues = describe(graph, node, level, [node], rng)
        if clues is None:
            continue
        assert fitting(graph, kind, clues).tolist() == [node]
        if level == 4:
            assert all(fitting(graph, kind, [clue]).size > 1 for clue in clues)
        if level >= 3:
            assert len(clues) >= 2


def test_every_offer_holds_for_its_node(graph: Graph) -> None:
    for node in range(len(graph)):
        for clue in offers(graph, node):
            assert node in narrow(graph, np.array([node], dtype=np.int32), clue)


def test_clues_are_said_in_plain_words(graph: Graph) -> None:
    def clue(relation: str, entity: str, negated: bool = False) -> Clue:
        return Clue(relation, graph.number(entity), negated)

    dominant = clue("has_inheritance", "TOY:I1")
    walk, taste = clue("has_phenotype", "TOY:P02"), clue("has_phenotype", "TOY:P07")
    assert predicates(graph, [walk, dominant, taste]) == (
        'has autosomal dominant inheritance and has "Backward-leaning gait" and "Metallic taste '
        'on waking" among its reported findings'
    )
    assert predicate(graph, clue("has_phenotype", "TOY:P07", True)) == (
        'is not recorded with "Metallic taste on waking"'
    )
    assert predicate(graph, Clue("phenotype_of", low=2, high=3)) == "is reported in 2 or 3 diseases"
    assert predicate(graph, Clue("gene_of", low=1, high=1)) == (
        "is associated with a single disease"
    )
    assert plural(predicate(graph, walk)) == (
        'have "Backward-leaning gait" among their reported findings'
    )
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert (lowered("Childhood onset"), lowered("X-linked")) == ("childhood onset", "X-linked")


@pytest.mark.parametrize(
    ("frequency", "range_"),
    [
        ("HP:0040282", (0.3, 0.79)),
        ("3/4", (0.75, 0.75)),
        ("30-40%", (0.3, 0.4)),
        ("12.5%", (0.125, 0.125)),
        ("5/4", None),
        ("1/0", None),
        ("3/4|1/2", None),
        ("", None),
    ],
)
def test_a_frequency_has_a_range(frequency: str, range_: tuple[float, float] | None) -> None:
    assert bounds(frequency) == range_
