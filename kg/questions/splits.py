"""The graph dealt to a training and a test region, so that no path can lead from one to the other.

Chains share entities with so many others that sorting finished questions into two clean sets would
leave few. Here the nodes are dealt first, in neighbourhoods, and a question's whole path lies in
one region; whether its steps are unique is a matter of the whole graph all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from medenv.errors import UsageError
from medenv.kg.graph import Graph
from medenv.kg.graph.topology import Topology

BoolArray = npt.NDArray[np.bool_]


def entity_split(topology: Topology, share: float, seed: int) -> BoolArray:
    """Return which nodes are set aside for tests, bool, shape [nodes].

    Whole neighbourhoods are drawn, in an order that depends on the ids and the seed alone, until
    the share of path nodes is reached.

    Args:
        topology: The path nodes.
        share: Share of the path nodes, in (0, 1).
        seed: Seed of the draw.

    Raises:
        UsageError: The share is out of range.
    """
    if not 0 < share < 1:
        raise UsageError(f"expected 0 < test_share < 1, got {share}")
    chosen = np.zeros(len(topology.graph), dtype=bool)
    wanted = round(share * int(topology.path_nodes.sum()))
    taken = 0
    for node in _drawn(topology.graph, np.flatnonzero(topology.path_nodes).tolist(), seed):
        if taken >= wanted:
            break
        if not chosen[node]:
            around = topology.around(node, hops=4, max_nodes=min(300, wanted - taken), fan=10)
            fresh = around.nodes[~chosen[around.nodes]]
            chosen[fresh] = True
            taken += fresh.size
    return chosen


def _drawn(graph: Graph, nodes: Iterable[int], seed: int) -> list[int]:
    def place(node: int) -> bytes:
        return hashlib.sha256(f"{seed}/{graph.nodes.ids[node]}".encode()).digest()

    return sorted(nodes, key=place)
