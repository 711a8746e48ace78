"""Five ways to sample a small connected part of a graph, under the names of MedResearcher-R1.

Source: H. Yu et al.: MedResearcher-R1 (arXiv 2508.14880) and its released sampler, whose intent is
kept and whose limits hold here: every sample is connected, has at most `size` nodes, and depends on
nothing but its arguments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import NamedTuple

import numpy as np

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.graph.topology import Subgraph, Topology, longest_chain

_Path = list[int]


class Sample(NamedTuple):
    """A connected set of nodes.

    Args:
        nodes: Node numbers of the graph, the backbone first, then in the order added.
        backbone: The path that the sample was grown from.
        strategy: Name of the strategy that was used.
    """

    nodes: tuple[int, ...]
    backbone: tuple[int, ...]
    strategy: str


def sample(subgraph: Subgraph, strategy: str, size: int, rng: np.random.Generator) -> Sample:
    """Return a connected sample of a subgraph.

    Args:
        subgraph: Where to sample, connected.
        strategy: One of `STRATEGIES`.
        size: Most nodes of the sample, at least 2.
        rng: Source of all randomness.

    Raises:
        UnknownNameError: There is no such strategy.
        UsageError: The size is below 2.
    """
    if strategy not in STRATEGIES:
        raise UnknownNameError("sampling strategy", strategy, STRATEGIES)
    if size < 2:
        raise UsageError(f"expected a sample of at least 2 nodes, got size={size}")
    if strategy == "mixed":
        strategy = sorted(_STRATEGIES)[int(rng.integers(len(_STRATEGIES)))]
    backbone, nodes = _STRATEGIES[strategy](subgraph, size, rng)
    numbers = subgraph.nodes
    return Sample(
        tuple(int(numbers[node]) for node in nodes),
        tuple(int(numbers[node]) for node in backbone),
        strategy,
    )


def sampled_part(
    topology: Topology, around: Subgraph, strategy: str, size: int, rng: np.random.Generator
) -> Subgraph:
    """Return a sample of what lies around a seed, with a shortest path from the seed to it.

    Args:
        topology: The topology that `around` was taken from.
        around: What lies around the seed.
        strategy: One of `STRATEGIES`.
        size: Most nodes of the sample, at least 2; the path comes on top.
        rng: Source of all randomness.

    Raises:
        UnknownNameError: There is no such strategy.
        UsageError: The size is below 2.
    """
    drawn = sample(around, strategy, size, rng).nodes
    inside = set(drawn)
    parents = _search(around, 0)
    nearest = next(node for node in parents if int(around.nodes[node]) in inside)
    path = around.nodes[_trace(parents, nearest)].tolist()
    return topology.induced(np.array(list(dict.fromkeys([*path, *drawn])), dtype=np.int32))


def _max_chain(subgraph: Subgraph, size: int, rng: np.random.Generator) -> tuple[_Path, _Path]:
    """The longest chain from the seed, cut to the size, then random neighbours."""
    local = {int(node): i for i, node in enumerate(subgraph.nodes)}
    chain = [local[node] for node in longest_chain(subgraph).nodes][:size]
    return chain, _grow(subgraph, chain, size, rng)


def _augmented_chain(
    subgraph: Subgraph, size: int, rng: np.random.Generator
) -> tuple[_Path, _Path]:
    """A shortest path between two random nodes that are no neighbours, one or two more at each."""
    start = int(rng.integers(subgraph.nodes.size))
    parents = _search(subgraph, start)
    far = sorted(set(parents) - {start, *subgraph.row(start)}) or sorted(set(parents) - {start})
    end = int(rng.choice(far)) if far else start
    backbone = _trace(parents, end)[:size]
    nodes = list(backbone)
    for node in backbone:
        free = [tail for tail in subgraph.row(node) if tail not in nodes]
        wanted = min(int(rng.integers(1, 3)), len(free), size - len(nodes))
        nodes += [free[int(i)] for i in rng.permutation(len(free))[:wanted]]
    return backbone, nodes


def _community_core_path(
    subgraph: Subgraph, size: int, rng: np.random.Generator
) -> tuple[_Path, _Path]:
    """The longest shortest path within two hops of the most connected node, then random nodes."""
    centre = int(np.argmax(subgraph.degrees()))
    near = _search(subgraph, centre, depth=2)
    community = set(list(near)[: 2 * size])
    backbone: _Path = [centre]
    for start in sorted(community):
        parents = _search(subgraph, start, within=community)
        path = _trace(parents, list(parents)[-1])  # the last found is as far as any
        if len(path) > len(backbone):
            backbone = path
    backbone = backbone[:size]
    return backbone, _grow(subgraph, backbone, size, rng, within=community)


def _dual_core_bridge(
    subgraph: Subgraph, size: int, rng: np.random.Generator
) -> tuple[_Path, _Path]:
    """Two connected nodes of many neighbours that are none of each other, and the path between."""
    degrees = subgraph.degrees()
    cores = sorted(range(degrees.size), key=lambda node: (-int(degrees[node]), node))
    bridge = cores[:1]
    for first, second in combinations(cores[:_CORES], 2):
        if second in subgraph.row(first):
            continue
        path = _trace(_search(subgraph, first), second)
        if len(path) <= size:
            bridge = path
            break
    half = len(bridge) + (size - len(bridge)) // 2
    nodes = _around_core(subgraph, bridge, bridge[0], half, rng)
    nodes = _around_core(subgraph, nodes, bridge[-1], size, rng)
    return bridge, _grow(subgraph, nodes, size, rng)


def _around_core(
    subgraph: Subgraph, nodes: _Path, core: int, size: int, rng: np.random.Generator
) -> _Path:
    free = [tail for tail in subgraph.row(core) if tail not in nodes]
    chosen = rng.permutation(len(free))[: max(0, size - len(nodes))]
    return nodes + [free[int(i)] for i in chosen]


def _grow(
    subgraph: Subgraph,
    nodes: Iterable[int],
    size: int,
    rng: np.random.Generator,
    within: set[int] | None = None,
) -> _Path:
    """Add random neighbours of what is there, one at a time, until the size is reached."""
    grown = list(nodes)
    while len(grown) < size:
        border = {tail for node in grown for tail in subgraph.row(node)} - set(grown)
        if within is not None:
            border &= within
        if not border:
            break
        grown.append(int(rng.choice(sorted(border))))
    return grown


def _search(
    subgraph: Subgraph, start: int, depth: int | None = None, within: set[int] | None = None
) -> dict[int, int]:
    """Return the nodes reached breadth first, in the order found, each with its parent."""
    parents = {start: start}
    queue = deque([(start, 0)])
    while queue:
        node, far = queue.popleft()
        if far == depth:
            continue
        for tail in subgraph.row(node):
            if tail not in parents and (within is None or tail in within):
                parents[tail] = node
                queue.append((tail, far + 1))
    return parents


def _trace(parents: dict[int, int], end: int) -> _Path:
    path = [end]
    while parents[path[-1]] != path[-1]:
        path.append(parents[path[-1]])
    return path[::-1]


_CORES = 40
"""Pairs of cores are looked for among so many nodes of the highest degrees."""

_STRATEGIES: dict[str, Callable[[Subgraph, int, np.random.Generator], tuple[_Path, _Path]]] = {
    "max_chain": _max_chain,
    "augmented_chain": _augmented_chain,
    "community_core_path": _community_core_path,
    "dual_core_bridge": _dual_core_bridge,
}

STRATEGIES = (*_STRATEGIES, "mixed")
"""The strategies by name; ``mixed`` draws one of the others."""
