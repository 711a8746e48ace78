"""Conditions on entities in queries, and the nodes of a graph that satisfy them.

An ontology entails more than its source records: a disease with a subtype of a finding has the
finding. A clue fits an entity if it holds as recorded or as entailed, so an entity that is
identified by clues is unique in both interpretations.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.graph import Rows
from medenv.kg.graph.schema import ENTAILED_THROUGH
from medenv.kg.graph.traversal import ascending, closure


class Clue(NamedTuple):
    """One condition on an entity: it has a relation to another one.

    Args:
        relation: The relation.
        entity: The node at the other end.
    """

    relation: str
    entity: int

    def written(self, graph: Graph) -> list[str]:
        """Return the clue in the form of queries."""
        return [self.relation, graph.nodes.ids[self.entity]]


def reach(graph: Graph, node: int, relation: str) -> IntArray:
    """Return the targets of a relation from a node, including entailed ones, ascending."""
    return entailed_rows(graph, relation).of(node)


def inverse(graph: Graph, relation: str) -> str:
    """Return the opposite direction of a relation.

    Raises:
        UnknownNameError: The graph has no such relation.
    """
    if relation not in graph.inverses:
        raise UnknownNameError("relation", relation, graph.inverses)
    return graph.inverses[relation]


@lru_cache(maxsize=20_000)
def bearers(graph: Graph, relation: str, entity: int) -> IntArray:
    """Return the nodes with a recorded or entailed relation to an entity, ascending.

    Args:
        graph: The graph.
        relation: The relation.
        entity: The target.
    """
    found: IntArray = reach(graph, entity, inverse(graph, relation))
    below = ENTAILED_THROUGH.get(relation)
    if below in graph.rows and below != relation:
        found = closure(graph, found, graph.inverses[str(below)])
    return found


def entailed_rows(graph: Graph, relation: str) -> Rows:
    """Return the targets of a relation from every node, including entailed ones.

    Args:
        graph: The graph.
        relation: The relation.

    Raises:
        UnknownNameError: The graph has no such relation.
    """
    if ENTAILED_THROUGH.get(relation) in graph.rows:
        return _entailed(graph, relation)
    inverse(graph, relation)
    return graph.rows[relation]


@lru_cache(maxsize=16)
def _entailed(graph: Graph, relation: str) -> Rows:
    """Return the targets of a relation that is entailed through another one, from every node."""
    pairs = _reached(graph, ENTAILED_THROUGH[relation])
    found = _led_on(pairs, graph.rows[relation], len(graph))
    starts = np.searchsorted(found, np.arange(len(graph) + 1, dtype=np.int64) * len(graph))
    return Rows(starts.astype(np.int32), (found % len(graph)).astype(np.int32))


@lru_cache(maxsize=4)
def _reached(graph: Graph, relation: str) -> NDArray[np.int64]:
    """Return the pairs of nodes of which any number of steps leads from one to the other."""
    size = len(graph)
    new = reached = np.arange(size, dtype=np.int64) * (size + 1)  # each reaches itself
    while new.size:
        led = _led_on(new, graph.rows[relation], size)
        new = np.setdiff1d(led, reached, assume_unique=True)
        reached = ascending(np.concatenate([reached, new]))
    return reached


def _led_on(pairs: NDArray[np.int64], rows: Rows, size: int) -> NDArray[np.int64]:
    """Return the pairs of nodes, as ``first * size + second``, of which a step was taken on."""
    first, second = np.divmod(pairs, size)
    counts = rows.starts[second + 1] - rows.starts[second]
    ends = np.cumsum(counts, dtype=np.int64)
    skipped = np.repeat(rows.starts[second] - ends + counts, counts)
    at = np.arange(len(skipped)) + skipped
    return ascending(np.repeat(first, counts) * size + rows.tails[at])


def entailed_counts(graph: Graph, relation: str) -> IntArray:
    """Return the number of targets of a relation from each node, including entailed ones.

    Args:
        graph: The graph.
        relation: The relation.

    Raises:
        UnknownNameError: The graph has no such relation.
    """
    return np.diff(entailed_rows(graph, relation).starts)


def narrow(graph: Graph, candidates: IntArray, clue: Clue) -> IntArray:
    """Return the candidates for which a clue holds, ascending.

    Args:
        graph: The graph.
        candidates: Nodes in strictly ascending order.
        clue: The condition.
    """
    fit = bearers(graph, clue.relation, clue.entity)
    if not fit.size:
        return candidates[:0]
    if fit.size < candidates.size:  # search the smaller in the larger array
        within: IntArray = fit[candidates.take(candidates.searchsorted(fit), mode="clip") == fit]
        return within
    narrowed: IntArray = candidates[
        fit.take(fit.searchsorted(candidates), mode="clip") == candidates
    ]
    return narrowed


def read_clues(graph: Graph, clues: Sequence[Any]) -> list[Clue]:
    """Parse the clues of a query.

    Raises:
        UsageError: A clue is invalid, or refers to an unknown entity.
    """
    read = []
    for clue in clues:
        match clue:
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
