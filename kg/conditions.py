"""Conditions on entities, as queries write them, and what in a graph fits them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.graph import Graph, IntArray
from medenv.kg.patterns import walk


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
        return reach(graph, clue.entity, inverse(graph, clue.relation))
    degrees = graph.degrees(clue.relation)
    return np.flatnonzero((degrees >= clue.low) & (degrees <= clue.high)).astype(np.int32)


def narrow(graph: Graph, candidates: IntArray, clue: Clue) -> IntArray:
    """Return the candidates for which a clue holds, ascending.

    Args:
        graph: The graph.
        candidates: Nodes, ascending and distinct.
        clue: The condition.
    """
    if clue.entity < 0:
        starts = graph.rows[clue.relation].starts if clue.relation in graph.rows else None
        if starts is None:
            raise UnknownNameError("relation", clue.relation, graph.rows)
        counts = starts[candidates + 1] - starts[candidates]
        within: IntArray = candidates[(counts >= clue.low) & (counts <= clue.high)]
        return within
    fit = satisfying(graph, clue)
    if not fit.size:
        return candidates if clue.negated else candidates[:0]
    at = np.minimum(np.searchsorted(fit, candidates), fit.size - 1)
    kept: IntArray = candidates[(fit[at] == candidates) != clue.negated]
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
