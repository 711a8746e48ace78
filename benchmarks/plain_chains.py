"""Chains as one writes them on networkx, and by exhaustion: what `kg.py` measures ours against."""

from __future__ import annotations

import time

import networkx as nx

from medenv.kg.graph.topology import Subgraph


def plain_around(graph: nx.Graph[int], seed: int, fan: int, hops: int) -> nx.Graph[int]:
    """Do on networkx what `Topology.around` does."""
    found = {seed: None}
    frontier = [seed]
    for _ in range(hops):
        fresh = []
        for node in frontier:
            rarest = sorted(graph[node], key=lambda tail: (graph.nodes[tail]["degree"], tail))
            for tail in rarest[:fan]:
                if tail not in found and len(found) < 200:
                    found[tail] = None
                    fresh.append(tail)
        frontier = fresh
    return graph.subgraph(found).copy()


def plain_chain(graph: nx.Graph[int], seed: int, budget: int) -> int:
    """Do on networkx what `longest_chain` does; return the hops."""
    rows = {n: sorted(graph[n], key=lambda t: (graph.degree[t], t)) for n in graph}
    path, places, on_path = [seed], [iter(rows[seed])], {seed}
    longest, steps = 0, 1
    while path:
        tail = next((t for t in places[-1] if t not in on_path), None)
        if tail is None:
            on_path.discard(path.pop())
            places.pop()
            continue
        if steps >= budget:
            break
        path.append(tail)
        places.append(iter(rows[tail]))
        on_path.add(tail)
        steps += 1
        longest = max(longest, len(path) - 1)
    return longest


def plain_longest(around: Subgraph, seconds: float) -> int:
    """Return the hops of the longest chain that a search in the order of node numbers finds."""
    rows = [sorted(around.row(local)) for local in range(around.nodes.size)]
    path, places, on_path = [0], [iter(rows[0])], {0}
    longest, steps, deadline = 0, 0, time.process_time() + seconds
    while path:
        tail = next((t for t in places[-1] if t not in on_path), None)
        if tail is None:
            on_path.discard(path.pop())
            places.pop()
            continue
        path.append(tail)
        places.append(iter(rows[tail]))
        on_path.add(tail)
        longest = max(longest, len(path) - 1)
        steps += 1
        if steps % 256 == 0 and time.process_time() > deadline:
            break
    return longest
