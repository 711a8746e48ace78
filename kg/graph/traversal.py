"""Walks over a graph's relations: what they reach, and from where every step has one outcome."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.schema import ENTAILED_THROUGH

_Int = TypeVar("_Int", np.int32, np.int64)


def walk(graph: Graph, topic: int, relations: Sequence[str]) -> list[IntArray]:
    """Return the set of entities reached after every step, each ascending.

    A step takes every entity of the set before it, and holds through subtypes where the relation
    does (`ENTAILED_THROUGH`): a finding leads to the diseases that report it or a kind of it.

    Args:
        graph: The graph.
        topic: The node to start from.
        relations: The relations to walk.
    """
    reached = [np.array([topic], dtype=np.int32)]
    for relation in relations:
        heads = reached[-1]
        below = ENTAILED_THROUGH.get(relation)
        if below in graph.rows:
            heads = closure(graph, heads, str(below))
        reached.append(_union([graph.step(int(head), relation) for head in heads]))
    return reached[1:]


def closure(graph: Graph, nodes: IntArray, relation: str) -> IntArray:
    """Return some nodes and all that a relation leads to from them, however far, ascending."""
    return _union([_reached(graph, node, relation) for node in nodes.tolist()])


@lru_cache(maxsize=50_000)
def _reached(graph: Graph, node: int, relation: str) -> IntArray:
    """Return a node and all that a relation leads to from it, however far, ascending."""
    seen, stack = {node}, [node]
    while stack:
        for tail in graph.step(stack.pop(), relation).tolist():
            if tail not in seen:
                seen.add(tail)
                stack.append(tail)
    return np.array(sorted(seen), dtype=np.int32)


def _union(rows: list[IntArray]) -> IntArray:
    """Return what is in any of some ascending rows, ascending."""
    if len(rows) == 1:
        return rows[0]
    return ascending(np.concatenate(rows)) if rows else np.empty(0, dtype=np.int32)


def ascending(values: NDArray[_Int]) -> NDArray[_Int]:
    """Return the distinct values of an array, ascending.

    `numpy.unique` hashes them, which takes fifty times as long for the numbers of pairs of nodes.

    Args:
        values: The values, integers, shape [values].
    """
    ordered = np.sort(values)
    first = np.ones(ordered.size, dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    distinct: NDArray[_Int] = ordered[first]
    return distinct


@lru_cache(maxsize=32)
def unique_paths(graph: Graph, kind: str, relations: tuple[str, ...]) -> IntArray:
    """Return the paths from all topics of a kind from which every step of a walk has one outcome.

    Args:
        graph: The graph.
        kind: Kind of the topics.
        relations: The relations to walk.

    Returns:
        Node numbers, int32, shape [paths, hops + 1], ascending by topic, read-only.
    """
    if kind not in graph.kinds or not set(relations) <= set(graph.rows):
        return np.empty((0, len(relations) + 1), dtype=np.int32)
    paths = graph.of_kind(kind)[:, None]
    for relation in relations:
        starts, tails = graph.rows[relation]
        last = paths[:, -1]
        paths = paths[starts[last + 1] - starts[last] == 1]
        paths = np.column_stack([paths, tails[starts[paths[:, -1]]]])
    entailed = [
        all(step.size == 1 for step in walk(graph, topic, relations))
        for topic in paths[:, 0].tolist()
    ]
    found = np.asarray(paths[np.array(entailed, dtype=bool)], dtype=np.int32)
    found.flags.writeable = False  # one array for all who ask
    return found
