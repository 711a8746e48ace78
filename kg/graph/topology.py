"""The factual edges of a graph as an undirected adjacency without hubs, and its longest chains.

Paths over hubs prove nothing: a fifth of all diseases have seizures. Nodes with more than
`max_degree` factual edges are therefore not path nodes; they remain in the graph and may serve as
clues.

The longest simple chain from a seed is found by depth-first search. Neighbours are visited by
ascending degree within the subgraph (Warnsdorff's rule for knight's tours, 1823), which finds long
chains early. Longest simple paths are NP-hard; the search has a budget of steps and reports whether
it was complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from medenv.compiled import warn_if_slow
from medenv.errors import UsageError
from medenv.kg.graph import BoolArray, Graph, IntArray, Rows
from medenv.kg.graph.kernel import longest_path, place, settle

MAX_DEGREE = 200
"""Maximum number of factual edges of a path node; other nodes are hubs."""

BUDGET = 50_000
"""Maximum number of steps of a search for chains; a few milliseconds."""


class Subgraph(NamedTuple):
    """A connected part of a topology in local numbers: node i is ``nodes[i]`` of the graph.

    Args:
        nodes: Node numbers in the order of discovery, seed first.
        starts: Row starts, int32, shape [nodes + 1].
        tails: Neighbours of all rows in local numbers, each row by ascending degree within the
            subgraph, then by local number.
    """

    nodes: IntArray
    starts: IntArray
    tails: IntArray

    def row(self, local: int) -> list[int]:
        """Return the neighbours of a local node by ascending degree."""
        row: list[int] = self.tails[self.starts[local] : self.starts[local + 1]].tolist()
        return row

    def degrees(self) -> IntArray:
        """Return the degree of every local node, int32, shape [nodes]."""
        return np.diff(self.starts)

    def shuffled(self, rng: np.random.Generator) -> Subgraph:
        """Return the same part with the neighbours of each node in a drawn order.

        Args:
            rng: Draws the order.
        """
        heads = np.repeat(np.arange(self.nodes.size), self.degrees())
        order = np.lexsort((rng.random(heads.size), heads))
        return self._replace(tails=self.tails[order])

    @property
    def edge_count(self) -> int:
        """The number of undirected edges."""
        return int(self.tails.size) // 2


@dataclass(frozen=True, eq=False)
class Topology:
    """Adjacency of the nodes of paths.

    Args:
        graph: The graph.
        max_degree: Maximum number of factual edges of a path node.
        allowed: Allowed path nodes, bool, shape [nodes], or None for all. Uniqueness still refers
            to the whole graph.
        edges: Edges that paths may take, by relation, or None for all factual ones.

    Raises:
        UsageError: The graph has no factual relation, or `max_degree` is below 1.
    """

    graph: Graph
    max_degree: int = MAX_DEGREE
    allowed: BoolArray | None = None
    edges: Mapping[str, Rows] | None = None

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.max_degree < 1:
            raise UsageError(f"expected max_degree >= 1, got {self.max_degree}")
        if not self.graph.factual:
            raise UsageError(
                f"expected a factual relation to sample paths, got none in {self.graph.info.label}"
            )

    @cached_property
    def degrees(self) -> IntArray:
        """Number of factual edges of each node, including hubs and disallowed nodes."""
        rows = [np.diff(self.graph.rows[name].starts) for name in self.graph.factual]
        return np.asarray(np.sum(rows, axis=0), dtype=np.int32)

    @cached_property
    def path_nodes(self) -> BoolArray:
        """Whether each node is a path node, bool, shape [nodes]."""
        fit = (self.degrees > 0) & (self.degrees <= self.max_degree)
        return fit if self.allowed is None else fit & self.allowed

    @cached_property
    def _taken(self) -> Mapping[str, Rows]:
        if self.edges is not None:
            return self.edges
        return {name: self.graph.rows[name] for name in self.graph.factual}

    @cached_property
    def _rows(self) -> tuple[IntArray, IntArray]:
        size = len(self.graph)
        warn_if_slow(f"a graph of {size:,} entities", size, 5_000)
        by_rank = np.lexsort((np.arange(size), self.degrees)).astype(np.int32)
        ranks = np.empty(size, dtype=np.int32)
        ranks[by_rank] = np.arange(size, dtype=np.int32)
        ranks[~self.path_nodes] = -1
        taken = np.sum([np.diff(rows.starts) for rows in self._taken.values()], axis=0)
        begins = np.concatenate(([0], np.cumsum(taken))).astype(np.int32)
        ends = begins[:-1].copy()
        rows = np.empty(int(begins[-1]), dtype=np.int32)
        for name in sorted(self._taken):
            starts, tails = self._taken[name]
            place(starts, tails, ranks, ends, rows)
        starts = np.empty(size + 1, dtype=np.int32)
        settle(begins[:-1], ends, by_rank, starts, rows)
        return starts, rows[: starts[-1]].copy() if starts[-1] < rows.size // 2 else rows

    @property
    def neighbour_counts(self) -> IntArray:
        """Number of neighbouring path nodes of each node, int32, shape [nodes]."""
        return np.diff(self._rows[0])

    def next_to(self, nodes: BoolArray) -> BoolArray:
        """Return for each path node whether a neighbour is among some nodes.

        Args:
            nodes: Whether each node is one of them, bool, shape [nodes].
        """
        starts, tails = self._rows
        rows = Rows(starts, tails[: starts[-1]])  # nothing is written behind the last row
        found = np.zeros(nodes.size, dtype=bool)
        found[rows.heads()[nodes[rows.tails]]] = True
        return found

    def neighbours(self, node: int) -> IntArray:
        """Return the neighbouring path nodes by ascending number of factual edges."""
        starts, tails = self._rows
        return tails[starts[node] : starts[node + 1]]

    def relations_between(self, head: int, tail: int) -> tuple[str, ...]:
        """Return the sorted factual relations that a path may take from head to tail."""
        codes = self.graph.kind_codes
        known = self._joining.get((int(codes[head]), int(codes[tail])), ())
        return tuple(name for name in known if self._taken[name].has(head, tail))

    @cached_property
    def _joining(self) -> dict[tuple[int, int], list[str]]:
        """The factual relations between two kinds, sorted."""
        joining: dict[tuple[int, int], list[str]] = {}
        for name in sorted(self._taken):
            rows, codes = self._taken[name], self.graph.kind_codes.astype(np.int32)
            for pair in np.unique(codes[rows.heads()] * 1_000 + codes[rows.tails]).tolist():
                joining.setdefault(divmod(pair, 1_000), []).append(name)
        return joining

    def around(
        self, seed: int, *, hops: int = 2, max_nodes: int = 200, fan: int | None = None
    ) -> Subgraph:
        """Return the subgraph around a seed, rare neighbours first.

        Args:
            seed: The centre.
            hops: Maximum distance from the seed.
            max_nodes: Maximum number of nodes, including the seed.
            fan: Maximum number of neighbours to follow from each node, rarest first, or None.

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
                # `max_nodes` neighbours are enough to fill the subgraph, also of a hub.
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


class Chain(NamedTuple):
    """A simple path that starts at the seed.

    Args:
        nodes: Node numbers of the graph, seed first.
        steps: Number of nodes visited by the search.
        proved: Whether the subgraph has no longer chain from the seed; otherwise the length is a
            lower bound.
    """

    nodes: tuple[int, ...]
    steps: int
    proved: bool

    @property
    def hops(self) -> int:
        """The number of edges."""
        return len(self.nodes) - 1


def longest_chain(subgraph: Subgraph, budget: int = BUDGET) -> Chain:
    """Return the longest simple chain found from the subgraph's seed.

    Args:
        subgraph: The subgraph.
        budget: Maximum number of steps.

    Raises:
        UsageError: The budget is below 1.
    """
    if budget < 1:
        raise UsageError(f"expected a budget of at least 1 step, got {budget}")
    best = np.empty(subgraph.nodes.size, dtype=np.int32)
    length, steps, proved = longest_path(subgraph.starts, subgraph.tails, budget, best)
    nodes = subgraph.nodes[best[:length]]
    return Chain(tuple(nodes.tolist()), int(steps), bool(proved))
