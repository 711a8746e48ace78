"""A typed knowledge graph and algorithms on it."""

from medenv.kg.graph.graph import (
    BoolArray,
    Column,
    Graph,
    GraphInfo,
    IntArray,
    Nodes,
    Prose,
    Rendering,
    Rows,
)

__all__ = [
    "BoolArray",
    "Column",
    "Graph",
    "GraphInfo",
    "IntArray",
    "Nodes",
    "Prose",
    "Rendering",
    "Rows",
]
