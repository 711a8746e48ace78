"""Conditions on entities, as queries write them, and what in a graph fits them.

An ontology entails more than its source records: a finding is reported wherever a kind of it is.
A clue counts as fitting an entity if it does so in either reading, as recorded or as entailed; so
what clues single out is singled out for whoever reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.schema import ENTAILED_THROUGH
from medenv.kg.graph.traversal import closure, walk


class Clue(NamedTuple):
    """One condition on an entity.

    Args:
        relation: The relation that the entity has, or whose edges are counted.
        entity: The node at its other end, or -1 where edges are counted.
        negated: Whether the entity must not have it.
        low: Fewest edges, where edges are counted.
        high: Most edges.
    """

    relation: str
    entity: int = -1
    negated: bool = False
    low: int = 0
    high: int = 0

    def written(self, graph: Graph) -> list[Any]:
        """Return the clue as a query writes it."""
        if self.entity < 0:
            return ["count", self.relation, self.low, self.high]
        edge = [self.relation, graph.nodes.ids[self.entity]]
        return ["not", *edge] if self.negated else edge


@lru_cache(maxsize=20_000)
def reach(graph: Graph, node: int, relation: str) -> IntArray:
    """Return what a relation leads to from a node, through subtypes where it does, ascending."""
    return walk(graph, node, [relation])[0]


def inverse(graph: Graph, relation: str) -> str:
    """Return the opposite direction of a relation.

    Raises:
        UnknownNameError: The graph has no such relation.
    """
    if relation not in graph.inverses:
        raise UnknownNameError("relation", relation, graph.inverses)
    return graph.inverses[relation]


def satisfying(graph: Graph, clue: Clue) -> IntArray:
    """Return all nodes for which a clue, taken without its negation, holds, ascending."""
    if clue.entity >= 0:
        return bearers(graph, clue.relation, clue.entity)
    return _counted(graph, clue)


@lru_cache(maxsize=20_000)
def bearers(graph: Graph, relation: str, entity: int) -> IntArray:
    """Return the nodes that a relation leads from to an entity, as recorded or entailed, ascending.

    Args:
        graph: The graph.
        relation: The relation.
        entity: Where it leads to.
    """
    found: IntArray = reach(graph, entity, inverse(graph, relation))
    below = ENTAILED_THROUGH.get(relation)
    if below in graph.rows and below != relation:
        found = closure(graph, found, graph.inverses[str(below)])
    return found


@lru_cache(maxsize=32)
def _within(graph: Graph, clue: Clue) -> npt.NDArray[np.bool_]:
    """Return for each node whether its edges, recorded or entailed, are as many as a clue says."""
    inside = np.zeros(len(graph), dtype=bool)
    for counts in (graph.degrees(clue.relation), entailed_counts(graph, clue.relation)):
        inside |= (counts >= clue.low) & (counts <= clue.high)
    return inside


@lru_cache(maxsize=32)
def _counted(graph: Graph, clue: Clue) -> IntArray:
    """Return the nodes whose edges are as many as a clue says, ascending."""
    return np.flatnonzero(_within(graph, clue)).astype(np.int32)


@lru_cache(maxsize=8)
def entailed_counts(graph: Graph, relation: str) -> IntArray:
    """Return how many entities a relation leads to from each node, through subtypes where it does.

    Args:
        graph: The graph.
        relation: The relation.

    Raises:
        UnknownNameError: The graph has no such relation.
    """
    below = ENTAILED_THROUGH.get(relation)
    if below not in graph.rows:
        return graph.degrees(relation)
    # Imported late (0.1 s, needed here alone); scipy ships no types.
    from scipy.sparse import csr_array, eye_array  # type: ignore[import-untyped]

    shape = (len(graph), len(graph))
    steps, edges = (
        csr_array((np.ones(rows.tails.size, dtype=bool), rows.tails, rows.starts), shape=shape)
        for rows in (graph.rows[str(below)], graph.rows[relation])
    )
    reached = steps + eye_array(*shape, dtype=bool, format="csr")
    while (further := reached @ reached).nnz > reached.nnz:
        reached = further
    return np.diff((reached @ edges).indptr).astype(np.int32)


def narrow(graph: Graph, candidates: IntArray, clue: Clue) -> IntArray:
    """Return the candidates for which a clue holds, ascending.

    Args:
        graph: The graph.
        candidates: Nodes, ascending and distinct.
        clue: The condition.
    """
    if clue.entity < 0:
        within: IntArray = candidates[_within(graph, clue)[candidates]]
        return within
    fit = satisfying(graph, clue)
    if not fit.size:
        return candidates if clue.negated else candidates[:0]
    if not clue.negated and fit.size < candidates.size:  # the fewer are looked up in the more
        within = fit[candidates.take(candidates.searchsorted(fit), mode="clip") == fit]
        return within
    held = fit.take(fit.searchsorted(candidates), mode="clip") == candidates
    kept: IntArray = candidates[~held if clue.negated else held]
    return kept


def read_clues(graph: Graph, clues: Sequence[Any]) -> list[Clue]:
    """Return the clues of a query.

    Raises:
        UsageError: One is no clue, or names what the graph does not have.
    """
    read = []
    for clue in clues:
        match clue:
            case ["not", str(relation), str(entity)]:
                read.append(Clue(relation, graph.number(entity), negated=True))
            case ["count", str(relation), int(low), int(high)]:
                read.append(Clue(relation, low=low, high=high))
            case [str(relation), str(entity)]:
                read.append(Clue(relation, graph.number(entity)))
            case _:
                raise UsageError(f"expected a clue such as [relation, entity], got {clue!r}")
    return read


def fitting(graph: Graph, kind: str, clues: Sequence[Clue]) -> IntArray:
    """Return all nodes of a kind that fit every clue, ascending."""
    candidates = graph.of_kind(kind)
    for clue in clues:
        candidates = narrow(graph, candidates, clue)
    return candidates
