"""The factual part of a graph as one undirected adjacency, rare neighbours first, hubs left out.

Paths over hubs prove nothing: whoever has a seizure shares it with a fifth of all diseases. Nodes
of more than `max_degree` factual edges are therefore no path nodes; they remain in the graph and
may single out a step as a clue.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medenv.errors import UsageError
from medenv.kg.graph import Graph, IntArray

BoolArray = npt.NDArray[np.bool_]

MAX_DEGREE = 200
"""A node of more factual edges than this is a hub and no path node."""


class Subgraph(NamedTuple):
    """A connected part of a topology in local numbers: node i is ``nodes[i]`` of the graph.

    Args:
        nodes: Node numbers in the order found, the seed first.
        starts: Row starts, int32, shape [nodes + 1].
        tails: Neighbours of all rows in local numbers, each row by ascending degree within the
            subgraph, then by local number.
    """

    nodes: IntArray
    starts: IntArray
    tails: IntArray

    def row(self, local: int) -> list[int]:
        """Return the neighbours of a local node, the least connected first."""
        row: list[int] = self.tails[self.starts[local] : self.starts[local + 1]].tolist()
        return row

    def degrees(self) -> IntArray:
        """Return the degree of every local node, int32, shape [nodes]."""
        return np.diff(self.starts)

    @property
    def edge_count(self) -> int:
        """The number of undirected edges."""
        return int(self.tails.size) // 2


@dataclass(frozen=True, eq=False)
class Topology:
    """Which nodes may stand next to each other on a path.

    Args:
        graph: The graph.
        max_degree: Most factual edges of a path node.
        allowed: Path nodes are taken from these, bool, shape [nodes]; None allows all. Uniqueness
            is a matter of the whole graph all the same.

    Raises:
        UsageError: The graph has no factual relation, or `max_degree` is below 1.
    """

    graph: Graph
    max_degree: int = MAX_DEGREE
    allowed: BoolArray | None = None

    def __post_init__(self) -> None:
        """Refuse what leaves no path."""
        if self.max_degree < 1:
            raise UsageError(f"expected max_degree >= 1, got {self.max_degree}")
        if not self.graph.factual:
            raise UsageError(
                f"{self.graph.info.label} has no factual relation, so there is no path to sample"
            )

    @cached_property
    def degrees(self) -> IntArray:
        """Number of factual edges of each node, hubs and forbidden nodes too."""
        rows = [np.diff(self.graph.rows[name].starts) for name in self.graph.factual]
        return np.asarray(np.sum(rows, axis=0), dtype=np.int32)

    @cached_property
    def path_nodes(self) -> BoolArray:
        """Whether each node may stand on a path."""
        fit = (self.degrees > 0) & (self.degrees <= self.max_degree)
        return fit if self.allowed is None else fit & self.allowed

    @cached_property
    def _rows(self) -> tuple[IntArray, IntArray]:
        from medenv.kg.graph.kernel import place, settle

        size = len(self.graph)
        by_rank = np.lexsort((np.arange(size), self.degrees)).astype(np.int32)
        ranks = np.empty(size, dtype=np.int32)
        ranks[by_rank] = np.arange(size, dtype=np.int32)
        ranks[~self.path_nodes] = -1
        begins = np.concatenate(([0], np.cumsum(self.degrees))).astype(np.int32)
        ends = begins[:-1].copy()
        rows = np.empty(int(begins[-1]), dtype=np.int32)
        for name in self.graph.factual:
            starts, tails = self.graph.rows[name]
            place(starts, tails, ranks, ends, rows)
        starts = np.empty(size + 1, dtype=np.int32)
        settle(begins[:-1], ends, by_rank, starts, rows)
        return starts, rows[: starts[-1]].copy() if starts[-1] < rows.size // 2 else rows

    def neighbours(self, node: int) -> IntArray:
        """Return the path nodes next to a node, those of the fewest factual edges first."""
        starts, tails = self._rows
        return tails[starts[node] : starts[node + 1]]

    def relations_between(self, head: int, tail: int) -> tuple[str, ...]:
        """Return the factual relations that lead from head to tail, sorted."""
        return tuple(name for name in self.graph.factual if self.graph.has_edge(head, name, tail))

    def around(
        self, seed: int, *, hops: int = 2, max_nodes: int = 200, fan: int | None = None
    ) -> Subgraph:
        """Return the part of the graph around a seed, rare neighbours first.

        Args:
            seed: The node in the middle.
            hops: How far from the seed.
            max_nodes: Most nodes, the seed included.
            fan: Most neighbours followed from each node, the rarest; None follows all.

        Raises:
            UsageError: A number is below 1.
        """
        if min(hops, max_nodes, 1 if fan is None else fan) < 1:
            raise UsageError(
                f"expected hops, max_nodes and fan of at least 1, got {hops}, {max_nodes}, {fan}"
            )
        local = {seed: 0}
        frontier = [seed]
        for _ in range(hops):
            found: list[int] = []
            for node in frontier:
                if len(local) == max_nodes:
                    break
                # Among so many neighbours enough are new; a hub is not gone through to its end.
                for tail in self.neighbours(node)[:fan][:max_nodes].tolist():
                    if tail not in local and len(local) < max_nodes:
                        local[tail] = len(local)
                        found.append(tail)
            frontier = found
        return self.induced(np.fromiter(local, dtype=np.int32, count=len(local)))

    def induced(self, nodes: IntArray) -> Subgraph:
        """Return the part of the topology that some path nodes form.

        Args:
            nodes: The path nodes, each once, the seed first; connected.
        """
        number = np.full(len(self.graph), -1, dtype=np.int32)
        number[nodes] = np.arange(nodes.size)
        begins, rows = self._rows
        sizes = begins[nodes + 1] - begins[nodes]
        heads = np.repeat(np.arange(nodes.size), sizes)
        places = np.arange(heads.size) + np.repeat(begins[nodes + 1] - np.cumsum(sizes), sizes)
        tails = number[rows[places]]
        heads, tails = heads[tails >= 0], tails[tails >= 0]
        degrees = np.bincount(heads, minlength=nodes.size).astype(np.int32)
        starts = np.concatenate(([0], np.cumsum(degrees))).astype(np.int32)
        order = np.lexsort((tails, degrees[tails], heads))
        return Subgraph(nodes, starts, tails[order])
