"""Clues that leave one candidate: chosen greedily, the least telling first where they do as well.

A clue that alone singles its entity out in the whole graph would be a second question; where it can
be helped, clues are attributes and findings that many share, and only their combination tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from medenv.kg.certificates.conditions import Clue, entailed_counts, narrow, satisfying
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.schema import (
    HAS_ACTIVITY,
    HAS_GENE,
    HAS_INHERITANCE,
    HAS_ONSET,
    HAS_PHENOTYPE,
    HAS_ROLE,
    HAS_VARIANT,
    IN_CLASS,
    IN_FAMILY,
    IN_PATHWAY,
    INHIBITS,
    IS_A,
    LOCATED_AT,
    RESPONSE_DEPENDS_ON,
    VARIANT_IN,
)
from medenv.kg.questions.drafts import telling_words, unnameable

ATTRIBUTES = (HAS_INHERITANCE.name, HAS_ONSET.name)
"""Relations to what many diseases share."""

RANGES = ((1, 1), (2, 3), (4, 6), (7, 10), (11, 20), (21, 50), (51, 100), (101, 200))
"""Ranges in which numbers of diseases are told."""

_SAYABLE = {
    "disease": (*ATTRIBUTES, HAS_PHENOTYPE.name, HAS_GENE.name, IN_CLASS.name),
    "gene": (HAS_GENE.inverse, LOCATED_AT.name, IN_PATHWAY.name),
    "phenotype": (IS_A.name, HAS_PHENOTYPE.inverse),
    "drug": (HAS_ROLE.name, INHIBITS.name, RESPONSE_DEPENDS_ON.name),
    "enzyme": (HAS_ACTIVITY.inverse, INHIBITS.inverse),
    "pathway": (IN_PATHWAY.inverse,),
    "gene_family": (IN_FAMILY.inverse,),
    "variant": (HAS_VARIANT.inverse, VARIANT_IN.name),
}
FITTING_RANGE = 10
"""A range of numbers is preferred to an entity that so few others share, and to no other clue."""

_COUNTED = {"gene": HAS_GENE.inverse, "phenotype": HAS_PHENOTYPE.inverse}


class Choice(NamedTuple):
    """Which clues may be chosen.

    Args:
        avoid: Nodes that no clue may name.
        most: Most clues.
        least_fitting: A clue fits at least so many entities of the whole graph.
        offers: Most clues considered at a time, drawn at random.
        counted: Whether ranges of numbers of edges may be clues.
        max_name_chars: Longest name that a clue may bear.
    """

    avoid: frozenset[int] = frozenset()
    most: int = 3
    least_fitting: int = 3
    offers: int = 24
    counted: bool = True
    max_name_chars: int = 80


def offers(graph: Graph, node: int, counted: bool = True) -> list[Clue]:
    """Return all clues that hold for a node, in a fixed order.

    Args:
        graph: The graph.
        node: The node.
        counted: Whether to offer ranges of numbers of edges.
    """
    return [Clue(*told) for told in _offered(graph, node, counted)]


def _offered(graph: Graph, node: int, counted: bool) -> list[tuple[Any, ...]]:
    """Return what `offers` returns as plain tuples: most are never drawn, and these are cheap."""
    kind = graph.kind(node)
    sayable = [name for name in _SAYABLE.get(kind, ()) if name in graph.rows]
    relations = sayable or graph.factual
    found: list[tuple[Any, ...]] = [
        (relation, tail)
        for relation in relations
        for tail in graph.step(node, relation).tolist()
        if relation not in ATTRIBUTES or graph.nodes.names[tail].endswith(graph.kind(tail))
    ]
    relation = _COUNTED.get(kind, "")
    if counted and relation in graph.rows:
        degree = int(graph.step(node, relation).size)
        found += [
            (relation, -1, False, low, high)
            for low, high in RANGES
            if low <= degree <= high and degree == entailed_counts(graph, relation)[node]
        ]
    return found


def single_out(
    graph: Graph, found: IntArray, target: int, choice: Choice, rng: np.random.Generator
) -> list[Clue] | None:
    """Return clues that leave the target as the only one of some candidates, or None.

    Args:
        graph: The graph.
        found: The candidates, ascending, the target among them.
        target: The node to be left.
        choice: Which clues may be chosen.
        rng: Draws the clues that are considered.
    """
    from medenv.kg.graph.kernel import shared  # compiled code, loaded with the first search

    if found.size == 1:
        return []
    offered = _offered(graph, target, choice.counted)
    drawn = (Clue(*offered[i]) for i in rng.permutation(len(offered)).tolist())
    pool = list(islice(_allowed(graph, target, drawn, choice), choice.offers))
    fits = [satisfying(graph, clue) for clue in pool]
    chosen: list[Clue] = []
    while found.size > 1 and len(chosen) < choice.most:
        best: tuple[int, int, int] | None = None
        for i, fit in enumerate(fits):
            rest = shared(found, fit)
            if rest < found.size and (best is None or rest <= best[0]):
                fitting = fit.size if pool[i].entity >= 0 else FITTING_RANGE
                if fitting >= choice.least_fitting:
                    rank = (rest, -fitting, i)
                    best = rank if best is None else min(best, rank)
        if best is None:
            return None
        chosen.append(pool.pop(best[2]))
        fits.pop(best[2])
        found = narrow(graph, found, chosen[-1])
    return chosen if found.size == 1 else None


def _allowed(graph: Graph, node: int, pool: Iterable[Clue], choice: Choice) -> Iterator[Clue]:
    """Yield the clues that may be told of a node: none names what must stay unnamed, nor it."""
    unfit, own = unnameable(graph, choice.max_name_chars), telling_words(graph, node)
    for clue in pool:
        entity = clue.entity
        if entity < 0:
            yield clue
        elif entity not in choice.avoid and not unfit[entity]:
            words = telling_words(graph, entity)
            if not words or not words <= own:  # as `tells` has it
                yield clue


def describe(
    graph: Graph, node: int, level: int, avoid: Sequence[int], rng: np.random.Generator
) -> list[Clue] | None:
    """Return clues that single a node out in the whole graph, as an obfuscation level wants them.

    Args:
        graph: The graph.
        node: The node not to be named.
        level: 2 for attributes and relations; 3 for those and a range of numbers; 4 for at least
            two clues of which none is enough.
        avoid: Nodes that no clue may name.
        rng: Draws the clues that are considered.
    """
    choice = Choice(
        avoid=frozenset(avoid),
        most=4,
        least_fitting=3 if level == 4 else 1,
        offers=40,
        counted=False,
    )
    found = graph.of_kind(graph.kind(node))
    first: list[Clue] = []
    if level == 3:
        first = [clue for clue in offers(graph, node) if clue.entity < 0][:1] or _of_attributes(
            graph, node, choice
        )
    elif level == 4:
        first = _of_attributes(graph, node, choice)
    for clue in first:
        found = narrow(graph, found, clue)
    rest = single_out(graph, found, node, choice, rng)
    if rest is None:
        return None
    clues = first + rest
    named = [clue for clue in clues if clue.entity >= 0]
    return clues if named and len(clues) >= (1 if level == 2 else 2) else None


def _of_attributes(graph: Graph, node: int, choice: Choice) -> list[Clue]:
    found = [clue for clue in offers(graph, node, counted=False) if clue.relation in ATTRIBUTES]
    return list(islice(_allowed(graph, node, found, choice), 1))
