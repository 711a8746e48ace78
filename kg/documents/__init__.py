"""The graph as readable text."""

from medenv.kg.documents.documents import Documents, render

__all__ = ["Documents", "render"]
