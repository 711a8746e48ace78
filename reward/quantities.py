"""Numbers with units: whether an answer states the very quantity that was asked for.

Quantities are compared exactly, as fractions of whole numbers: 5 % is 0.05 and 1 in 20, 12 weeks
are 84 days but not 3 months. Whatever is not certainly one quantity is none: a list of two, a vague
one ("about 5"), an unknown unit, digits of other scripts. Units are a closed list; a library that
knows them all would also read what nobody meant.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from medenv.records import Entity

QUANTITY_KINDS = frozenset(("value", "prevalence"))
"""Kinds of answers that are quantities: what an edge is qualified by, a count, a prevalence."""

MAX_CHARS = 80
"""Longest text that is read as a quantity."""

Dimension = tuple[tuple[str, int], ...]
"""Base units above (1) and below (-1) the stroke, sorted; mg/kg is not a share of anything."""

SHARE: Dimension = (("share", 1),)


class Quantity(NamedTuple):
    """A number or a range of numbers with a dimension; equal where it says the same.

    Attributes:
        low: Lower end in base units, or None for a range without one.
        high: Upper end likewise; the same as `low` where it is one number.
        open: Whether the end that is given is not part of the range ("less than").
        dimension: What it measures; empty for a plain number.
    """

    low: Fraction | None
    high: Fraction | None
    open: bool
    dimension: Dimension


def _scaled(base: str, **factors: str) -> dict[str, tuple[Fraction, str]]:
    return {name: (Fraction(factor), base) for name, factor in factors.items()}


_SYMBOLS: dict[str, tuple[Fraction, str]] = {
    **_scaled("g", kg="1000", g="1", mg="1/1000", ug="1/1000000", mcg="1/1000000"),
    **_scaled("g", μg="1/1000000", ng="1/1000000000", pg="1/1000000000000"),
    **_scaled("l", L="1", l="1", dL="1/10", dl="1/10", mL="1/1000", ml="1/1000", μL="1/1000000"),
    **_scaled("m", m="1", cm="1/100", mm="1/1000", μm="1/1000000", nm="1/1000000000"),
    **_scaled("mol", mol="1", mmol="1/1000", μmol="1/1000000", nmol="1/1000000000"),
    **_scaled("day", d="1", h="1/24", min="1/1440", s="1/86400"),
    **_scaled("bp", bp="1", kb="1000", Mb="1000000"),
    **_scaled("Da", Da="1", kDa="1000"),
    **_scaled("share", **{"%": "1/100", "‰": "1/1000"}),
    **_scaled("IU", IU="1"),
    **_scaled("U", U="1"),
    **_scaled("mmHg", mmHg="1"),
    **_scaled("°C", **{"°C": "1"}),
    **_scaled("kcal", kcal="1"),
}
"""Symbols, in the case in which they are written; months and years have no days in them."""

_WORDS: dict[str, tuple[Fraction, str]] = {
    **_scaled("day", second="1/86400", minute="1/1440", hour="1/24", day="1", week="7"),
    **_scaled("month", month="1", year="12"),
    **_scaled("g", kilogram="1000", gram="1", milligram="1/1000", microgram="1/1000000"),
    **_scaled("l", litre="1", liter="1", millilitre="1/1000", milliliter="1/1000"),
    **_scaled("m", metre="1", meter="1", centimetre="1/100", centimeter="1/100"),
    **_scaled("m", millimetre="1/1000", millimeter="1/1000"),
    **_scaled("share", percent="1/100"),
}
"""Words, in any case and number."""

_SPELLED = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u00a0\u2009\u202f\u2007", " "),
        "\u00b5": "\u03bc",
        "\u2044": "/",
        "\u2264": "<=",
        "\u2265": ">=",
    }
)
_POWER = re.compile(r"\s*[x×*]\s*10(?:\^([-+]?[0-9]{1,2})|([-+][0-9]{1,2}))(?![0-9])")
_LEAD_IN = re.compile(
    r"(?:the )?(?:final )?(?:answer|value|number)(?: is)?:? |it is ", re.IGNORECASE
)
_NUMBER = (
    r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
    r"(?:e[-+]?[0-9]{1,2})?"
)
_UNIT = r"[^\s0-9,;()<>=+-][^0-9,;()<>=+-]*"
_BOUND = re.compile(
    r"(?P<below><(?!=)|less than |fewer than |under |below )"
    r"|(?P<above>>(?!=)|more than |over |above )"
    r"|(?P<most><=|at most |up to )|(?P<least>>=|at least )",
    re.IGNORECASE,
)
_OF = re.compile(
    rf"({_NUMBER})(?:(?: ?- ?| to )({_NUMBER}))? ?(?:/| out of | of | in | per ) ?({_NUMBER})"
    r"(?: (?:people|persons|individuals|patients|inhabitants))?",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"(?:between )?({_NUMBER}) ?((?:{_UNIT})?)(?: ?- ?| to | and )({_NUMBER}) ?({_UNIT})?",
    re.IGNORECASE,
)
_SINGLE = re.compile(rf"({_NUMBER}) ?({_UNIT})?")
_PARENTHESIS = re.compile(r"([^()]+)\(([^()]+)\)")


@lru_cache(maxsize=1 << 14)
def quantity(text: str) -> Quantity | None:
    """Read a text that states one quantity and nothing else.

    Args:
        text: Such as ``"5 %"``, ``"3/4"``, ``"1-9 / 100 000"``, ``"<1 in 1,000,000"``,
            ``"2.5 mg/dL"`` or ``"12 weeks"``.

    Returns:
        The quantity, or None where the text is not certainly one.
    """
    if len(text) > MAX_CHARS:
        return None
    clean = " ".join(text.translate(_SPELLED).split()).rstrip(".")
    lead_in = _LEAD_IN.match(clean)
    clean = clean[lead_in.end() :] if lead_in else clean
    clean = _POWER.sub(lambda found: f"e{found[1] or found[2]}", clean)
    bound = _BOUND.match(clean)
    if bound is None:
        return _between(clean)
    return _bounded(_between(clean[bound.end() :].strip()), str(bound.lastgroup))


def same_quantity(answer: str, gold: Entity) -> bool | None:
    """Return whether an answer states the quantity that a gold answer is.

    Args:
        answer: One quantity, or one with the same in other words behind it: ``"3/4 (75 %)"``.
        gold: The gold answer; each of its names that is a quantity counts.

    Returns:
        None where the answer is no quantity, or no name of the gold answer is one.
    """
    wanted = {found for name in (gold.name, *gold.aliases) if (found := quantity(name))}
    twice = _PARENTHESIS.fullmatch(answer)
    stated = [quantity(part) for part in (twice.groups() if twice else (answer,))]
    if not wanted or None in stated:
        return None
    return wanted.issuperset(one for one in stated if one is not None)


@lru_cache(maxsize=1 << 12)
def without_quantities(entity: Entity) -> Entity:
    """Return an entity with those of its names that are no quantities, ``""`` for the first.

    Args:
        entity: An entity.
    """
    kept = tuple(name for name in (entity.name, *entity.aliases) if quantity(name) is None)
    return Entity(id=entity.id, kind=entity.kind, name="", aliases=kept)


def _bounded(found: Quantity | None, bound: str) -> Quantity | None:
    """Return all that lies below or above a quantity."""
    if found is None or found.low != found.high:
        return None
    below, strict = bound in ("below", "most"), bound in ("below", "above")
    low, high = (None, found.high) if below else (found.low, None)
    return Quantity(low, high, strict, found.dimension)


def _between(text: str) -> Quantity | None:
    """Read a share, a number or a range, in this order."""
    if found := _OF.fullmatch(text):
        return _share_of(found)
    if found := _SINGLE.fullmatch(text):
        number, unit = found.groups()
        return _made(number, number, unit or "", unit or "")
    if found := _RANGE.fullmatch(text):
        low, unit, high, last = found.groups()
        return _made(low, high, unit.strip() or last or "", last or "")
    return None


def _share_of(found: re.Match[str]) -> Quantity | None:
    """Return so many of so many."""
    low, whole = _number(found[1]), _number(found[3])
    high = _number(found[2]) if found[2] else low
    if not 0 <= low <= high <= whole or whole == 0:
        return None
    return Quantity(low / whole, high / whole, False, SHARE)


def _made(first: str, last: str, first_unit: str, last_unit: str) -> Quantity | None:
    """Return the range between two numbers, or the number where both are the same."""
    units = _unit(first_unit), _unit(last_unit)
    if units[0] is None or units[1] is None or units[0][1] != units[1][1]:
        return None
    (scale, dimension), (last_scale, _) = units[0], units[1]
    low, high = _number(first) * scale, _number(last) * last_scale
    if low > high:
        return None
    if not dimension and 0 < low <= high < 1:
        dimension = SHARE
    return Quantity(low, high, False, dimension)


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", ""))


def _unit(text: str) -> tuple[Fraction, Dimension] | None:
    """Return a unit's size in base units and its dimension, or None where it is not known."""
    if not text:
        return Fraction(1), ()
    text = re.sub(r" (?:old|of age)$", "", text.strip())
    scale, powers = Fraction(1), list[tuple[str, int]]()
    for place, name in enumerate(re.split(r"\s*/\s*|\s+per\s+", text)):
        known = _SYMBOLS.get(name) or _WORDS.get(name.lower()) or _WORDS.get(name.lower()[:-1])
        if known is None:
            return None
        factor, base = known
        scale = scale * factor if place == 0 else scale / factor
        powers.append((base, 1 if place == 0 else -1))
    return scale, tuple(sorted(powers))
