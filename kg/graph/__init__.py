"""A typed knowledge graph, and what is computed on it."""

from medenv.kg.graph.graph import Column, Graph, GraphInfo, IntArray, Nodes, Rows

__all__ = ["Column", "Graph", "GraphInfo", "IntArray", "Nodes", "Rows"]
