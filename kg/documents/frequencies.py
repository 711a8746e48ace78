"""Frequencies of findings in diseases: the HPO's classes, fractions and percentages."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NamedTuple

EXCLUDED = "HP:0040285"
"""The HPO's frequency term for findings that were never observed."""


class FrequencyTerm(NamedTuple):
    """One of the HPO's frequency classes.

    Attributes:
        words: Its name.
        low: Least share of patients.
        high: Greatest share of patients.
        share: The share that stands for the class where one number is needed.
    """

    words: str
    low: float
    high: float
    share: float


FREQUENCIES = {
    "HP:0040280": FrequencyTerm("obligate", 1.0, 1.0, 0.97),
    "HP:0040281": FrequencyTerm("very frequent", 0.8, 0.99, 0.9),
    "HP:0040282": FrequencyTerm("frequent", 0.3, 0.79, 0.55),
    "HP:0040283": FrequencyTerm("occasional", 0.05, 0.29, 0.17),
    "HP:0040284": FrequencyTerm("very rare", 0.01, 0.04, 0.03),
}
"""The HPO's frequency terms, without `EXCLUDED`."""

UNKNOWN_SHARE = 0.5
"""Share of a finding whose frequency in a disease is unknown."""

_WORDS = {
    **{entry.words: term for term, entry in FREQUENCIES.items()},
    "excluded": EXCLUDED,
    # Names in files before 2018, mapped by the HPO's percentages.
    "hallmark": "HP:0040281",
    "rare": "HP:0040283",
    **dict.fromkeys(("common", "typical", "variable"), "HP:0040282"),
}
_CLASS = re.compile(r"(?i)([a-z][a-z ]*[a-z])(?: *\([<>\d.%\s–-]+\))?")
"""A class name, optionally with its range as in Orphanet: ``"Very rare (<4-1%)"``."""
_FRACTION = re.compile(r"(?i)(\d+) *(?:/|(?:out +)?of) *(\d+)")
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_PERCENT = re.compile(rf"(?:{_NUMBER} *%? *[-–] *)?{_NUMBER} *%")
_BEYOND = re.compile(rf"([<>≤≥]) *=? *{_NUMBER} *%")


@lru_cache(maxsize=10_000)
def canonical(frequency: str) -> str | None:
    """Return a frequency in canonical form, or None if it is not a frequency.

    Args:
        frequency: A frequency term or its name, ``"3/4"``, ``"3 of 4"``, ``"75 %"``, ``"30-40%"``,
            ``"<5%"``; ``""`` if unknown.

    Returns:
        A term's id, ``"3/4"``, ``"75%"``, ``"30-40%"`` or ``""``.
    """
    text = frequency.strip()
    if not text or text in FREQUENCIES or text == EXCLUDED:
        return text
    if found := _FRACTION.fullmatch(text):
        seen, of = int(found[1]), int(found[2])
        return f"{seen}/{of}" if seen <= of and of else None
    if found := _PERCENT.fullmatch(text):
        low, high = sorted((found[1] or found[2], found[2]), key=float)
        if float(high) > 100:
            return None
        return f"{low}%" if low == high else f"{low}-{high}%"
    if found := _BEYOND.fullmatch(text):
        if float(found[2]) > 100:
            return None
        return f"0-{found[2]}%" if found[1] in "<≤" else f"{found[2]}-100%"
    if found := _CLASS.fullmatch(text):
        return _WORDS.get(" ".join(found[1].lower().split()))
    return None


@lru_cache(maxsize=10_000)
def bounds(frequency: str) -> tuple[float, float] | None:
    """Return the ends of a frequency's range as shares of patients, or None.

    Args:
        frequency: A frequency in any form of `canonical`; several values (``"3/4|1/9"``) have no
            range.
    """
    value = canonical(frequency)
    if not value:
        return None
    if value == EXCLUDED:
        return (0.0, 0.0)
    if value in FREQUENCIES:
        return FREQUENCIES[value].low, FREQUENCIES[value].high
    seen, slash, of = value.partition("/")
    if slash:
        return (int(seen) / int(of),) * 2
    low, _, high = value.removesuffix("%").partition("-")
    return (float(low) / 100, float(high or low) / 100)


def patients(frequency: str) -> tuple[int, int] | None:
    """Return how many patients of how many have a finding, or None if no numbers are recorded.

    Args:
        frequency: A frequency in any form of `canonical`; numbers of several reports are added.
    """
    parts = [canonical(part) or "" for part in frequency.split("|") if part]
    counted = [part.split("/") for part in parts if "/" in part]
    if not counted or len(counted) < len(parts):
        return None
    return sum(int(seen) for seen, _ in counted), sum(int(of) for _, of in counted)


SIGNIFICANT = 0.05
"""A difference is asked about if chance makes one as large in fewer cases than this share."""


@lru_cache(maxsize=10_000)
def more_frequent(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a finding is more frequent in one disease, by Fisher's exact test, one-sided.

    Args:
        one: Patients with the finding, and all patients, of one disease.
        other: The same of another one.
    """
    (seen, of), (fewer, others) = one, other
    all_seen = seen + fewer
    ways = sum(
        math.comb(of, k) * math.comb(others, all_seen - k)
        for k in range(seen, min(of, all_seen) + 1)
        if all_seen - k <= others
    )
    return ways < SIGNIFICANT * math.comb(of + others, all_seen)


@lru_cache(maxsize=10_000)
def share_of(frequency: str) -> float:
    """Return the share of patients that a frequency stands for.

    Args:
        frequency: In any form that `canonical` knows; of several values (``"3/4|1/9"``) the first.

    Returns:
        A share in [0, 1]; for n of m patients (n + 1/2) / (m + 1), so that few prove little, and
        the middle of a range.
    """
    value = canonical(frequency.split("|")[0])
    if not value:
        return UNKNOWN_SHARE
    if value in FREQUENCIES:
        return FREQUENCIES[value].share
    seen, slash, of = value.partition("/")
    if slash:
        return (int(seen) + 0.5) / (int(of) + 1)
    return sum(bounds(value) or ()) / 2


@lru_cache(maxsize=10_000)
def in_words(frequency: str) -> str:
    """Return a frequency as text for documents; terms are replaced by their names.

    Args:
        frequency: One value or several, separated by ``"|"``.
    """
    values = frequency.split("|")
    terms = FREQUENCIES
    return ", ".join(terms[value].words if value in terms else value for value in values)


def spellings(frequency: str) -> tuple[str, ...]:
    """Return other spellings of a frequency: a fraction as percentage, a class as its range.

    Args:
        frequency: One value, see `bounds`; other text has no other spelling.
    """
    found = bounds(frequency)
    if found is None:
        return ()
    low, high = found
    if low != high:
        ways = dict.fromkeys((f"{low:.0%}-{high:.0%}", f"{100 * low:.0f}-{high:.0%}"))
        return tuple(way for way in ways if way != frequency)
    of = frequency.replace("/", " of ") if _FRACTION.fullmatch(frequency) else ""
    ways = dict.fromkeys((*_percentages(low), of, of.replace(" of ", " out of ")))
    return tuple(way for way in ways if way and way != frequency)


def coarsest(frequency: str) -> str:
    """Return the coarsest spelling of a frequency, the answer that most questions share.

    Args:
        frequency: One value, see `bounds`; other text is returned unchanged.
    """
    found = bounds(frequency)
    if found is None:
        return frequency
    low, high = found
    return _percentages(low)[0] if low == high else f"{low:.0%}-{high:.0%}"


def _percentages(share: float) -> list[str]:
    """Return a share as rounded percentages, coarsest first; never round a part to 0% or 100%."""
    rounded = f"{int(100 * share + 0.5)}%"
    exactly = f"{100 * share:.1f}".removesuffix(".0") + "%"
    ways = [way for way in (rounded, exactly) if share in (0, 1) or way not in ("0%", "100%")]
    return ways or [f"{100 * share:.3g}%"]
