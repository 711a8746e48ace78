"""Unicode folding and text analysis shared by search, names, answers and documents."""

from medenv.text.boundaries import occurs, words
from medenv.text.folding import fold, fold_name

__all__ = ["fold", "fold_name", "occurs", "words"]
