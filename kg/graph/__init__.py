"""A typed knowledge graph and algorithms on it."""

from medenv.kg.graph.graph import Column, Graph, GraphInfo, IntArray, Nodes, Prose, Rendering, Rows

__all__ = ["Column", "Graph", "GraphInfo", "IntArray", "Nodes", "Prose", "Rendering", "Rows"]
