"""Unicode folding and text analysis shared by search, names, answers and documents."""

from medenv.text.boundaries import occurs, words
from medenv.text.folding import fold, fold_name
from medenv.text.spelling import GREEK, american, singular

__all__ = ["GREEK", "american", "fold", "fold_name", "occurs", "singular", "words"]
