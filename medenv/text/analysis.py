"""Text analysis: the same settings turn passages and queries into index terms."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec
import Stemmer  # type: ignore[import-not-found]  # ships no types

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.text.boundaries import words
from medenv.text.folding import fold
from medenv.text.spelling import GREEK, american, singular

REVISION = 1
"""Incremented when the same settings give other terms; older indexes are then rejected."""

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "an and are as at be been but by can could did do does for from had has have how if in into"
        " is it its may of on or such than that the their then there these they this those to was"
        " were what when where which who whom whose why will with would",
    )
)
"""English function and question words. No single letters: vitamin A is not vitamin D."""

_CACHED_WORDS = 1 << 16
_CACHED_WORD_CHARS = 64
_WORD = re.compile(r"\w+")
_RUN = re.compile(r"[^\W\d_α-ω]+|\d+|[α-ω]+")
_GREEK_LETTERS = 2  # "γδ" is two letters, "νοσοσ" is a word
_SHORTEST_PLURAL = 5

Analyse = Callable[[str], list[str]]
"""Function from a text to its terms, in order and with repetitions."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of text analysis. Every analysis folds Unicode, see `medenv.text.fold`.

    Args:
        stemming: Snowball stemming algorithm, e.g. ``"english"``; ``""`` for none.
        stop_words: Stop word list: ``"english"``, or ``""`` for none.
        variants: Whether to unify biomedical spelling variants: TNFα, TNF-alpha and TNF alpha; IL2,
            IL-2 and IL 2; tumour and tumor; plurals, if stemming is off. Words are split between
            letters and digits, and each pair is a further term: IL2 is "il", "2", "il2".

    Raises:
        UnknownNameError: Unknown stemming algorithm or stop word list.
    """

    stemming: str = ""
    stop_words: str = ""
    variants: bool = False

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.stemming and self.stemming not in Stemmer.algorithms():
            raise UnknownNameError("stemming algorithm", self.stemming, Stemmer.algorithms())
        if self.stop_words not in ("", "english"):
            raise UnknownNameError("list of stop words", self.stop_words, ("english",))


PLAIN = Analysis()
"""Folded words without further analysis."""

ENGLISH = Analysis(stemming="english", stop_words="english", variants=True)
"""English medical prose, queried with whole sentences."""

ANALYSES: Mapping[str, Analysis] = MappingProxyType({"plain": PLAIN, "english": ENGLISH})
"""Analyses by name."""


AnalysisLike = Analysis | Mapping[str, Any] | str
"""An analysis, its fields, its name in `ANALYSES`, or its fields as JSON."""


def analysis_of(given: AnalysisLike) -> Analysis:
    """Convert a name or settings to an `Analysis`.

    Args:
        given: The analysis, its fields or its name.

    Raises:
        UnknownNameError: Unknown name.
        UsageError: Invalid fields.
    """
    if isinstance(given, Analysis):
        return given
    if isinstance(given, str) and not given.lstrip().startswith("{"):
        if given not in ANALYSES:
            raise UnknownNameError("analysis", given, ANALYSES)
        return ANALYSES[given]
    try:
        if isinstance(given, str):
            return msgspec.json.decode(given, type=Analysis)
        return msgspec.convert(dict(given), Analysis)
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        example = "english or {stemming: english}"
        raise UsageError(f"expected an analysis, as {example}, got {given!r}: {error}") from error


@lru_cache(maxsize=16)
def analyser(analysis: Analysis) -> Analyse:
    """Return the function that splits a text into terms; it is thread-safe.

    Args:
        analysis: The settings.
    """
    if analysis == PLAIN:
        return words
    parts_of = _reader(analysis)

    def analyse(text: str) -> list[str]:
        return [term for word in _WORD.findall(fold(text)) for term in parts_of(word).terms]

    def analyse_variants(text: str) -> list[str]:
        text, terms, before, end = fold(text), list[str](), "", 0
        for found in _WORD.finditer(text):
            parts = parts_of(found[0])
            if before and parts.number:
                gap = text[end : found.start()]
                if gap == "-" or gap.isspace():
                    terms.append(before + parts.number)
            terms += parts.terms
            before, end = parts.letters, found.end()
        return terms

    return analyse_variants if analysis.variants else analyse


class _Parts(NamedTuple):
    """The terms of a word, its leading number, and its trailing letters."""

    terms: tuple[str, ...] = ()
    number: str = ""
    letters: str = ""


def _reader(analysis: Analysis) -> Callable[[str], _Parts]:
    """Return the function that splits a word into terms, with a cache of recent words."""
    stop = STOP_WORDS if analysis.stop_words else frozenset[str]()
    cut: Callable[[str], str] = _singular if analysis.variants else _unchanged
    if analysis.stemming:
        cut = _stemmer(analysis.stemming)

    @lru_cache(_CACHED_WORDS)
    def cached(word: str) -> _Parts:
        if word in stop:
            return _Parts()
        return _parts(word, cut) if analysis.variants else _Parts((cut(word),))

    def parts_of(word: str) -> _Parts:
        return cached(word) if len(word) <= _CACHED_WORD_CHARS else cached.__wrapped__(word)

    return parts_of


def _parts(word: str, cut: Callable[[str], str]) -> _Parts:
    """Split a word into letters, numbers and Greek letters, and add the pairs of both."""
    runs: list[str] = []
    for run in _RUN.findall(word):
        short = run[0] in GREEK and len(run) <= _GREEK_LETTERS
        runs += map(GREEK.__getitem__, run) if short else [american(run)]
    terms = [cut(run) for run in runs]
    terms += [
        first + second
        for first, second in itertools.pairwise(runs)
        if first.isdecimal() != second.isdecimal()
    ]
    number = runs[0] if runs and runs[0].isdecimal() else ""
    letters = runs[-1] if runs and not runs[-1].isdecimal() else ""
    return _Parts(tuple(terms), number, letters)


def _unchanged(word: str) -> str:
    return word


def _singular(word: str) -> str:
    if len(word) < _SHORTEST_PLURAL:
        return word
    return word[:-1] if word.endswith(("ias", "mas")) else singular(word)  # anemias, carcinomas


def _stemmer(algorithm: str) -> Callable[[str], str]:
    """Return a stemmer with a lock, since the library's stemmer is not thread-safe."""
    stemmer, lock = Stemmer.Stemmer(algorithm, 0), threading.Lock()

    def stem(word: str) -> str:
        with lock:
            stemmed: str = stemmer.stemWord(word)
            return stemmed

    return stem


class _Stamp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metadata stored with an index: the analysis and the versions that affect its terms."""

    kind: Literal["medenv analysis"] = "medenv analysis"
    analysis: Analysis
    revision: int = REVISION
    snowball: str = ""


def write_analysis(analysis: Analysis) -> bytes:
    """Return the JSON metadata to store with an index.

    Args:
        analysis: The analysis of the index.
    """
    return msgspec.json.encode(_stamp(analysis))


def read_analysis(
    stored: bytes | str, index: Path | str, expected: AnalysisLike | None = None
) -> Analysis:
    """Return the analysis that an index was built with.

    Args:
        stored: Metadata of the index, see `write_analysis`.
        index: Path or address of the index, for messages.
        expected: The required analysis, or None for any.

    Raises:
        DataError: The metadata are missing, invalid or of another release.
        UsageError: The index was built with another analysis than `expected`.
    """
    again = "rebuild the index"
    try:
        stamp = msgspec.json.decode(stored, type=_Stamp)
    except msgspec.DecodeError as error:
        raise DataError(index, f"expected the analysis of the index, got none: {again}") from error
    current = _stamp(stamp.analysis)
    if stamp != current:
        raise DataError(
            index,
            f"its terms are of revision {stamp.revision} {stamp.snowball}, this release makes "
            f"revision {current.revision} {current.snowball}: {again}",
        )
    if expected is not None and analysis_of(expected) != stamp.analysis:
        raise UsageError(
            f"{index} was built with {_described(stamp.analysis)}, expected "
            f"{_described(analysis_of(expected))}: {again}, or request no analysis"
        )
    return stamp.analysis


def _stamp(analysis: Analysis) -> _Stamp:
    release = f"Snowball {Stemmer.version()}" if analysis.stemming else ""
    return _Stamp(analysis=analysis, snowball=release)


def _described(analysis: Analysis) -> str:
    names = [name for name, known in ANALYSES.items() if known == analysis]
    return f"analysis {names[0] if names else msgspec.json.encode(analysis).decode()}"
