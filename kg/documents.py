"""The graph as readable text: one document per disease, gene and phenotype, cut into passages.

A passage states facts before prose, since a tool shows its first line or two. Names and definitions
are the source's own, unaltered. Which edges a passage states is known because this module wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from medenv.kg.graph import Graph
from medenv.kg.schema import (
    HAS_COURSE,
    HAS_GENE,
    HAS_INHERITANCE,
    HAS_ONSET,
    HAS_PHENOTYPE,
    IS_A,
)
from medenv.records import Passage

PASSAGE_CHARS = 1_200
"""Longest text of a passage, characters."""

LISTED_DISEASES = 5
"""A phenotype's document names its diseases when they are at most this many."""

DOCUMENT_KINDS = ("disease", "gene", "phenotype")
"""Kinds of nodes that have a document; inheritance, onset and other hubs have none."""

FREQUENCIES = {
    "HP:0040280": "obligate",
    "HP:0040281": "very frequent",
    "HP:0040282": "frequent",
    "HP:0040283": "occasional",
    "HP:0040284": "very rare",
}
"""Frequency terms of the HPO in words, in descending order."""

_RANK = {term: rank for rank, term in enumerate(FREQUENCIES)}
_Edge = tuple[str, int]  # relation and tail; the head is the document's node


class _Item(NamedTuple):
    """One entry of a list, with the edge that it states, if any."""

    text: str
    edge: _Edge | None = None


class Stated(NamedTuple):
    """A passage and the edges that it states, as (head, relation, tail) in both directions."""

    passage: Passage
    edges: frozenset[tuple[int, str, int]]


@dataclass(frozen=True, eq=False)
class Documents:
    """All documents of a graph, in the order of their entities' ids.

    Args:
        graph: The graph that they are rendered from.
    """

    graph: Graph

    @cached_property
    def passages(self) -> tuple[Passage, ...]:
        """All passages, documents in the order of entity ids, passages in reading order."""
        return tuple(stated.passage for stated in self)

    def __iter__(self) -> Iterator[Stated]:
        graph = self.graph
        for node in range(len(graph)):
            yield from render(graph, node)

    @cached_property
    def _render(self):  # type: ignore[no-untyped-def]
        return lru_cache(maxsize=4096)(lambda node: render(self.graph, node))

    def supporting(self, head: str, relation: str, tail: str) -> tuple[str, ...]:
        """Return the ids of all passages that state an edge, sorted by document and position.

        Raises:
            UsageError: An entity is not in the graph.
        """
        ends = self.graph.number(head), self.graph.number(tail)
        edge = (ends[0], relation, ends[1])
        found = (
            stated.passage.id
            for node in sorted(set(ends))
            for stated in self._render(node)
            if edge in stated.edges
        )
        return tuple(found)


def render(graph: Graph, node: int) -> tuple[Stated, ...]:
    """Return the passages of a node's document; none where its kind has no document."""
    kind = graph.kind(node)
    if kind not in DOCUMENT_KINDS:
        return ()
    parts = {"disease": _disease, "gene": _gene, "phenotype": _phenotype}[kind](graph, node)
    out = []
    for number, (text, edges) in enumerate(_pack(parts)):
        passage = Passage(
            id=f"{graph.nodes.ids[node]}#{number}",
            title=graph.nodes.names[node],
            text=text,
            source=graph.info.label,
            entity=graph.nodes.ids[node],
        )
        both = {(node, relation, tail) for relation, tail in edges}
        both |= {(tail, graph.inverses[relation], head) for head, relation, tail in both}
        out.append(Stated(passage, frozenset(both)))
    return tuple(out)
