"""Question patterns: typed walks from a topic to an answer, with one outcome at every step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from medenv.errors import UnknownNameError
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.schema import ENTAILED_THROUGH, HAS_GENE, HAS_PHENOTYPE
from medenv.records import Record


class Pattern(Record, frozen=True, kw_only=True):
    """A typed walk.

    Args:
        name: The kinds on the way, e.g. ``"phenotype>disease>gene"``.
        relations: The relations walked, one fewer than the kinds.
    """

    name: str
    relations: tuple[str, ...]

    @property
    def topic(self) -> str:
        """Kind of the entity that the question names."""
        return self.name.split(">")[0]


PATTERNS = {
    pattern.name: pattern
    for pattern in (
        Pattern(name="disease>gene", relations=(HAS_GENE.name,)),
        Pattern(name="gene>disease", relations=(HAS_GENE.inverse,)),
        Pattern(name="phenotype>disease", relations=(HAS_PHENOTYPE.inverse,)),
        Pattern(name="phenotype>disease>gene", relations=(HAS_PHENOTYPE.inverse, HAS_GENE.name)),
    )
}
"""The patterns that questions are made of, by name."""


def pattern_named(name: str) -> Pattern:
    """Return a pattern by its name.

    Raises:
        UnknownNameError: There is no such pattern.
    """
    if name not in PATTERNS:
        raise UnknownNameError("question pattern", name, PATTERNS)
    return PATTERNS[name]


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
    return np.unique(np.concatenate(rows)) if rows else np.empty(0, dtype=np.int32)


@lru_cache(maxsize=32)
def unique_paths(graph: Graph, pattern: Pattern) -> IntArray:
    """Return the gold paths of all topics for which every step of the pattern has one outcome.

    Args:
        graph: The graph.
        pattern: The walk.

    Returns:
        Node numbers, int32, shape [paths, hops + 1], ascending by topic, read-only.
    """
    if pattern.topic not in graph.kinds or not set(pattern.relations) <= set(graph.rows):
        return np.empty((0, len(pattern.relations) + 1), dtype=np.int32)
    paths = graph.of_kind(pattern.topic)[:, None]
    for relation in pattern.relations:
        starts, tails = graph.rows[relation]
        last = paths[:, -1]
        paths = paths[starts[last + 1] - starts[last] == 1]
        paths = np.column_stack([paths, tails[starts[paths[:, -1]]]])
    entailed = [
        all(step.size == 1 for step in walk(graph, int(path[0]), pattern.relations))
        for path in paths
    ]
    found = np.asarray(paths[np.array(entailed, dtype=bool)], dtype=np.int32)
    found.flags.writeable = False  # one array for all who ask
    return found
