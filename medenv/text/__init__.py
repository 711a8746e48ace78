"""Unicode folding and text analysis shared by search, names, answers and documents."""

from medenv.text.folding import fold

__all__ = ["fold"]
