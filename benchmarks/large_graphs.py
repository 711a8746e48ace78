"""Graphs of two million edges for `kg.py`."""

from __future__ import annotations

import numpy as np

from medenv.kg import Graph, GraphBuilder, GraphInfo, load_hpo
from medenv.kg.graph import IntArray
from medenv.kg.graph.schema import HAS_GENE, HAS_PHENOTYPE, IS_A, Relation
from medenv.kg.graph.traversal import closure
from medenv.kg.sources.hpo import NAMESPACES


def joined(info: str, size: int, heads: IntArray, tails: IntArray, kinds: IntArray) -> Graph:
    """Return a graph of numbered nodes; edges of one kind are one relation."""
    builder = GraphBuilder(GraphInfo(source=info, version="0"))
    for node in range(size):
        builder.node(f"N:{node:05}", kind="entity", name=f"entity {node}")
    for kind in np.unique(kinds).tolist():
        builder.relation(Relation(name=f"r{kind}", inverse=f"r{kind}_of", factual=True))
    for head, tail, kind in zip(heads.tolist(), tails.tolist(), kinds.tolist(), strict=True):
        builder.edge(f"N:{head:05}", f"r{kind}", f"N:{tail:05}")
    return builder.build()


def random_ends() -> tuple[int, IntArray, IntArray]:
    """Two million random edges, a few nodes having most of them."""
    rng = np.random.default_rng(0)
    weights = rng.pareto(1.3, 47_000) + 1
    ends = rng.choice(47_000, (2_250_000, 2), p=weights / weights.sum()).astype(np.int32)
    return 47_000, ends[:, 0], ends[:, 1]


def entailed_ends() -> tuple[int, IntArray, IntArray]:
    """Every finding of every disease and gene of the HPO, with all that it is a kind of."""
    graph = load_hpo(namespaces=NAMESPACES)
    found = {
        disease: closure(graph, graph.step(disease, HAS_PHENOTYPE.name), IS_A.name)
        for disease in graph.of_kind("disease").tolist()
    }
    for gene in graph.of_kind("gene").tolist():
        rows = [found[disease] for disease in graph.step(gene, HAS_GENE.inverse).tolist()]
        found[gene] = np.unique(np.concatenate(rows))
    heads = [np.full(row.size, head, dtype=np.int32) for head, row in found.items()]
    return len(graph), np.concatenate(heads), np.concatenate(list(found.values()))
