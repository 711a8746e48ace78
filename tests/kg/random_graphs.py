"""Random graphs of diseases, genes and findings for property tests."""

import networkx as nx
import numpy as np

from medenv.kg import Graph, GraphBuilder, GraphInfo
from medenv.kg.graph.schema import (
    HAS_GENE,
    HAS_INHERITANCE,
    HAS_PHENOTYPE,
    IS_A,
    LACKS_PHENOTYPE,
    QUALIFIERS,
)
from medenv.kg.graph.topology import Subgraph


def random_graph(
    seed: int, diseases: int = 8, findings: int = 8, genes: int = 5, dense: float = 1.0
) -> Graph:
    """A graph of invented names whose edges are drawn by a seed."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder(GraphInfo(source="random", version=str(seed)))
    builder.relation(HAS_PHENOTYPE, QUALIFIERS)
    builder.relation(HAS_INHERITANCE, QUALIFIERS)
    builder.relation(HAS_GENE)
    builder.relation(IS_A)
    builder.relation(LACKS_PHENOTYPE, QUALIFIERS)
    absent = np.random.default_rng([seed, 1])
    for kind, code, number in (
        ("disease", "D", diseases),
        ("phenotype", "P", findings),
        ("gene", "G", genes),
        ("inheritance", "I", 2),
    ):
        for i in range(number):
            builder.node(f"{code}:{i:02}", kind=kind, name=f"{kind} number {code}{i}x")
    for d in range(diseases):
        _add_disease(builder, d, (findings, genes, dense), (rng, absent))
    for p in range(1, findings):
        if rng.random() < 0.25:
            builder.edge(f"P:{p:02}", IS_A.name, f"P:{rng.integers(p):02}")
    return builder.build()


def _add_disease(
    builder: GraphBuilder,
    d: int,
    sizes: tuple[int, int, float],
    drawn_by: tuple[np.random.Generator, np.random.Generator],
) -> None:
    """Draw the edges of one disease; what it lacks by a generator of its own."""
    (findings, genes, dense), (rng, absent) = sizes, drawn_by
    for p in range(findings):
        if rng.random() < 0.3 * dense:
            values = (f"{rng.integers(1, 10)}/10", *[""] * (len(QUALIFIERS) - 1))
            builder.edge(f"D:{d:02}", HAS_PHENOTYPE.name, f"P:{p:02}", values)
        elif absent.random() < 0.4:
            values = ("0/10", *[""] * (len(QUALIFIERS) - 1))
            builder.edge(f"D:{d:02}", LACKS_PHENOTYPE.name, f"P:{p:02}", values)
    for g in range(genes):
        if rng.random() < 0.25 * dense:
            builder.edge(f"D:{d:02}", HAS_GENE.name, f"G:{g:02}")
    blank = [""] * len(QUALIFIERS)
    builder.edge(f"D:{d:02}", HAS_INHERITANCE.name, f"I:{rng.integers(2):02}", blank)


def undirected(subgraph: Subgraph) -> "nx.Graph[int]":
    """The same subgraph for networkx, by graph numbers."""
    out: nx.Graph[int] = nx.Graph()
    out.add_nodes_from(subgraph.nodes.tolist())
    for local, node in enumerate(subgraph.nodes.tolist()):
        out.add_edges_from((node, int(subgraph.nodes[tail])) for tail in subgraph.row(local))
    return out


def grid(width: int, height: int) -> Subgraph:
    """A grid graph as a subgraph, node 0 in the corner."""
    return from_networkx(nx.grid_2d_graph(width, height))


def from_networkx(graph: "nx.Graph[object]") -> Subgraph:
    """Any networkx graph as a subgraph with numbers in its own order."""
    number = {node: i for i, node in enumerate(graph)}
    degree = {number[node]: graph.degree[node] for node in graph}
    rows = [
        sorted((number[t] for t in graph[node]), key=lambda t: (degree[t], t)) for node in graph
    ]
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    tails = np.array([t for row in rows for t in row], dtype=np.int32)
    return Subgraph(np.arange(len(rows), dtype=np.int32), starts, tails)
