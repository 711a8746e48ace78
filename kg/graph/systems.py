"""The systems of the body that an ontology of findings is divided into."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.schema import HAS_PHENOTYPE, IS_A
from medenv.kg.graph.traversal import closure

LEAST = 8
"""Fewest kinds of the most general finding that are a division of the body into systems."""


@lru_cache(maxsize=4)
def systems(graph: Graph) -> tuple[int, ...]:
    """Return the findings that stand for the body's systems: the kinds of the most general one.

    Args:
        graph: The graph; one without a hierarchy of findings has none.
    """
    if "phenotype" not in graph.kinds or IS_A.inverse not in graph.rows:
        return ()
    of_kind = graph.of_kind("phenotype")
    tops = [node for node in of_kind.tolist() if not _broader(graph, node)]
    top = max(tops, key=lambda node: closure(graph, _one(node), IS_A.inverse).size)
    kinds = graph.step(top, IS_A.inverse).tolist()
    return tuple(kinds) if len(kinds) >= LEAST else ()


def systems_of(graph: Graph, node: int) -> tuple[int, ...]:
    """Return the systems of a finding or, by its findings, of a disease, ascending.

    Args:
        graph: The graph.
        node: The node; one of another kind has none.
    """
    if graph.kind(node) == "phenotype":
        return _of_finding(graph, node)
    if graph.kind(node) != "disease" or HAS_PHENOTYPE.name not in graph.rows:
        return ()
    findings = graph.step(node, HAS_PHENOTYPE.name).tolist()
    return tuple(sorted({one for finding in findings for one in _of_finding(graph, finding)}))


@lru_cache(maxsize=50_000)
def _of_finding(graph: Graph, finding: int) -> tuple[int, ...]:
    known = systems(graph)
    if not known:
        return ()
    above = set(closure(graph, _one(finding), IS_A.name).tolist())
    return tuple(one for one in known if one != finding and one in above)


def _broader(graph: Graph, node: int) -> bool:
    return any(graph.kind(other) == "phenotype" for other in graph.step(node, IS_A.name).tolist())


def _one(node: int) -> IntArray:
    return np.array([node], dtype=np.int32)
