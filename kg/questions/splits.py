"""The nodes dealt to training and test questions, before any question is made.

A question's whole path lies in its own split, so that no test question shares an entity of its
path with a training question. Whether its steps are unique is a matter of the whole graph all the
same. There are two ways to deal the nodes:

    families   All entities that paths connect stay together. No path is lost, but all paths have
               to be listed first. For sets of short walks alone.
    regions    Neighbourhoods are drawn, and a path that leaves its neighbourhood's split is not
               asked. For all other sets: there are too many chains to list, and chains would
               connect nearly the whole graph to one family.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from medenv.kg.graph import BoolArray, Graph, IntArray
from medenv.kg.graph.topology import Topology


class Split(NamedTuple):
    """The nodes that questions of each split may lead through and ask for; none is in both.

    Args:
        train: Those of training questions, bool, shape [nodes].
        test: Those of test questions, bool, shape [nodes].
    """

    train: BoolArray
    test: BoolArray

    def nodes(self, split: str) -> BoolArray:
        """Return the nodes of ``"train"`` or ``"test"``."""
        return self.test if split == "test" else self.train


def split_families(graph: Graph, paths: Iterable[IntArray], share: float, seed: int) -> Split:
    """Deal the families of entities that paths connect; what is on no path is for training.

    Families are drawn in an order that depends on the ids and the seed alone.

    Args:
        graph: The graph.
        paths: All paths of each kind, int32, shape [paths, hops + 1].
        share: Share of the families that is for tests, in (0, 1).
        seed: Seed of the draw.
    """
    pairs = [path[:, [hop, hop + 1]] for path in paths for hop in range(path.shape[1] - 1)]
    ends = np.concatenate(pairs)
    family = _families(len(graph), ends)
    on_a_path = np.unique(ends)
    _, first = np.unique(family[on_a_path], return_index=True)
    heads = _drawn(graph, on_a_path[first].tolist(), seed)
    test = np.isin(family, family[heads[: round(len(heads) * share)]])
    return Split(~test, test)


def _families(size: int, links: IntArray) -> IntArray:
    """Return for each node the first of the nodes that links connect it with, in any way."""
    first = np.arange(size, dtype=np.int32)
    while True:
        before = first.copy()
        for here, there in (links.T, links.T[::-1]):
            np.minimum.at(first, here, before[there])
        first = first[first]  # whatever its first node has found, a node has, too
        if np.array_equal(first, before):
            return first


def split_regions(topology: Topology, share: float, seed: int) -> Split:
    """Deal the path nodes by neighbourhoods; hubs are of neither split.

    Whole neighbourhoods are drawn, in an order that depends on the ids and the seed alone, until
    the share of path nodes is reached.

    Args:
        topology: The path nodes.
        share: Share of the path nodes that is for tests, in (0, 1).
        seed: Seed of the draw.
    """
    test = np.zeros(len(topology.graph), dtype=bool)
    wanted = round(share * int(topology.path_nodes.sum()))
    taken = 0
    for node in _drawn(topology.graph, np.flatnonzero(topology.path_nodes).tolist(), seed):
        if taken >= wanted:
            break
        if not test[node]:
            around = topology.around(node, hops=4, max_nodes=min(300, wanted - taken), fan=10)
            fresh = around.nodes[~test[around.nodes]]
            test[fresh] = True
            taken += fresh.size
    return Split(topology.path_nodes & ~test, test)


def _drawn(graph: Graph, nodes: Iterable[int], seed: int) -> list[int]:
    def place(node: int) -> bytes:
        return hashlib.sha256(f"{seed}/{graph.nodes.ids[node]}".encode()).digest()

    return sorted(nodes, key=place)
