"""Documents: the graph rendered as text."""

from medenv.kg.documents.documents import Documents, render

__all__ = ["Documents", "render"]
