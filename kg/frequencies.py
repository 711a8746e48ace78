"""How often a finding occurs in a disease: the HPO's classes, fractions and percentages."""

from __future__ import annotations

import re
from functools import lru_cache

FREQUENCIES = {
    "HP:0040280": ("obligate", 1.0, 1.0),
    "HP:0040281": ("very frequent", 0.8, 0.99),
    "HP:0040282": ("frequent", 0.3, 0.79),
    "HP:0040283": ("occasional", 0.05, 0.29),
    "HP:0040284": ("very rare", 0.01, 0.04),
}
"""The HPO's frequency terms in words, with the ends of their ranges as shares of patients."""

_FRACTION = re.compile(r"(\d+)/(\d+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?%")


@lru_cache(maxsize=10_000)
def bounds(frequency: str) -> tuple[float, float] | None:
    """Return the ends of a frequency's range as shares of patients, or None where it has none.

    Args:
        frequency: A term such as ``"HP:0040282"``, ``"3/4"``, ``"75%"`` or ``"30-40%"``; several
            values at once (``"3/4|1/9"``) have no range.
    """
    if frequency in FREQUENCIES:
        return FREQUENCIES[frequency][1:]
    if found := _FRACTION.fullmatch(frequency):
        share = int(found[1]) / int(found[2]) if int(found[2]) else -1.0
        return (share, share) if 0 <= share <= 1 else None
    if found := _PERCENT.fullmatch(frequency):
        low, high = float(found[1]) / 100, float(found[2] or found[1]) / 100
        return (low, high) if low <= high <= 1 else None
    return None


@lru_cache(maxsize=10_000)
def in_words(frequency: str) -> str:
    """Return a frequency as documents show it; classes in words, everything else as it is.

    Args:
        frequency: One value or several, separated by ``"|"``.
    """
    values = frequency.split("|")
    return ", ".join(FREQUENCIES[value][0] if value in FREQUENCIES else value for value in values)


def spellings(frequency: str) -> tuple[str, ...]:
    """Return other ways to write a frequency: a fraction as percentage, a class as its range.

    Args:
        frequency: One value, see `bounds`; anything else has no other spelling.
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
    """Return the coarsest way to write a frequency: an answer that is right for all that share it.

    Args:
        frequency: One value, see `bounds`; anything else is written in one way only.
    """
    found = bounds(frequency)
    if found is None:
        return frequency
    low, high = found
    return _percentages(low)[0] if low == high else f"{low:.0%}-{high:.0%}"


def _percentages(share: float) -> list[str]:
    """Return a share as rounded percentages, the coarsest first; a part is not all and not none."""
    rounded = f"{int(100 * share + 0.5)}%"
    exactly = f"{100 * share:.1f}".removesuffix(".0") + "%"
    ways = [way for way in (rounded, exactly) if share in (0, 1) or way not in ("0%", "100%")]
    return ways or [f"{100 * share:.3g}%"]
