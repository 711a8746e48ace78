"""Unicode folding and text analysis shared by search, names, answers and documents."""

from medenv.text.analysis import (
    ANALYSES,
    ENGLISH,
    PLAIN,
    Analyse,
    Analysis,
    AnalysisLike,
    analyser,
    analysis_of,
    read_analysis,
    write_analysis,
)
from medenv.text.boundaries import occurs, whole_words, words
from medenv.text.folding import fold, fold_name, name_key, slug
from medenv.text.sentences import joined, lowered
from medenv.text.spelling import GREEK, american, singular

__all__ = [
    "ANALYSES",
    "ENGLISH",
    "GREEK",
    "PLAIN",
    "Analyse",
    "Analysis",
    "AnalysisLike",
    "american",
    "analyser",
    "analysis_of",
    "fold",
    "fold_name",
    "joined",
    "lowered",
    "name_key",
    "occurs",
    "read_analysis",
    "singular",
    "slug",
    "whole_words",
    "words",
    "write_analysis",
]
