"""Compare numbers with units: judge whether an answer states the gold quantity.

Quantities are compared exactly, as fractions of whole numbers: 5 % is 0.05 and 1 in 20, 12 weeks
are 84 days but not 3 months. Quantities are equal where rounding explains the difference: 66.7 % is
two thirds. An ambiguous text is no quantity: a list of two, a vague number ("about 5"), an unknown
unit, digits of other scripts. Units are a closed list; a library of all units would also accept
unintended readings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from medenv.records import Entity

QUANTITY_KINDS = frozenset(("value", "prevalence"))
"""Kinds of answers that are quantities: an edge's qualifier, a count, a prevalence."""

MAX_CHARS = 80
"""Longest text that is read as a quantity."""

Dimension = tuple[tuple[str, int], ...]
"""Base units above (1) and below (-1) the stroke, sorted; mg/kg is not a share of anything."""

SHARE: Dimension = (("share", 1),)


class Quantity(NamedTuple):
    """A number or a range with a dimension; equal where its meaning is the same.

    Attributes:
        low: Lower end in base units, or None for a range without one.
        high: Upper end likewise; equal to `low` for a single number.
        open: Whether the range excludes its given end ("less than").
        dimension: Its dimension; empty for a plain number.
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
"""Unit symbols, case-sensitive; months and years are not converted to days."""

_WORDS: dict[str, tuple[Fraction, str]] = {
    **_scaled("day", second="1/86400", minute="1/1440", hour="1/24", day="1", week="7"),
    **_scaled("month", month="1", year="12"),
    **_scaled("g", kilogram="1000", gram="1", milligram="1/1000", microgram="1/1000000"),
    **_scaled("l", litre="1", liter="1", millilitre="1/1000", milliliter="1/1000"),
    **_scaled("m", metre="1", meter="1", centimetre="1/100", centimeter="1/100"),
    **_scaled("m", millimetre="1/1000", millimeter="1/1000"),
    **_scaled("share", percent="1/100"),
}
"""Unit words, in any case, singular or plural."""

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
_SUPERSCRIPT = re.compile("(?<=[0-9])[⁺⁻]?[⁰¹²³⁴-⁹]+")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_VULGAR = re.compile("(?<![0-9])[½⅓⅔¼¾⅕-⅞]")
_POWER = re.compile(
    r"\s*[x×*]\s*10(?:\^([-+]?[0-9]{1,2})|([-+][0-9]{1,2}))(?![0-9])"
    r"|(?<![0-9.,])10\^([-+]?[0-9]{1,2})(?![0-9])"
)
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_ONES += " fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDED = {word: number for number, word in enumerate(_ONES.split())} | {
    word: 10 * number for number, word in enumerate(_TENS.split(), start=2)
}
_WORDED_NUMBER = re.compile(
    rf"\b(?P<tens>[a-z]+ty)[- ](?P<ones>{'|'.join(list(_WORDED)[1:10])})\b"
    rf"|\b(?:{'|'.join(sorted(_WORDED, key=len, reverse=True))})\b",
    re.IGNORECASE,
)
_NOUNS = (
    r"(?:diseases?|disorders?|conditions?|syndromes?|diagnos[ei]s|genes?|findings?|phenotypes?"
    r"|symptoms?|signs?|features?|abnormalit(?:y|ies)|drugs?|medications?|entit(?:y|ies))"
)
_COUNTED = re.compile(
    rf"((?:[0-9]+|[0-9]{{1,3}}(?:[, ][0-9]{{3}})+)) (?:(?:distinct|different|unique|separate|such"
    rf"|associated|reported|recorded|known) )*{_NOUNS}"
    r"(?: (?:in total|in all|altogether|reported|recorded|associated))?|([0-9]+) in (?:total|all)",
    re.IGNORECASE,
)
_PATIENTS = re.compile(
    r"(.*(?:%|percent|/).*) (?:of|in) (?:(?:all|the|affected|reported) )*"
    r"(?:patients|cases|individuals|people|persons|subjects)",
    re.IGNORECASE,
)
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
    """Parse a text that states one quantity and nothing else.

    Args:
        text: Such as ``"5 %"``, ``"3/4"``, ``"1-9 / 100 000"``, ``"<1 in 1,000,000"``,
            ``"2.5 mg/dL"``, ``"12 weeks"``, ``"two diseases"`` or ``"75 % of patients"``.

    Returns:
        The quantity, or None where the text is ambiguous or no quantity.
    """
    clean = _cleaned(text)
    bound = _BOUND.match(clean)
    if bound is None:
        return _between(clean)
    return _bounded(_between(clean[bound.end() :].strip()), str(bound.lastgroup))


def _cleaned(text: str) -> str:
    """Return a text with numbers in digits and without counted nouns; "" if it is too long."""
    if len(text) > MAX_CHARS:
        return ""
    if not text.isascii():
        text = _SUPERSCRIPT.sub(lambda power: "^" + power[0].translate(_SUPERSCRIPTS), text)
        text = _VULGAR.sub(lambda part: unicodedata.normalize("NFKC", part[0]), text)
    clean = " ".join(text.translate(_SPELLED).split()).rstrip(".")
    if lead_in := _LEAD_IN.match(clean):
        clean = clean[lead_in.end() :]
    clean = _POWER.sub(_in_exponents, clean)
    clean = _WORDED_NUMBER.sub(_in_digits, clean).replace("per cent", "percent")
    if counted := _COUNTED.fullmatch(clean):
        return counted[1] or counted[2]
    clean = re.sub(r"^in (?=[0-9])", "", clean, flags=re.IGNORECASE)
    of_patients = _PATIENTS.fullmatch(clean)
    return of_patients[1] if of_patients else clean


def _in_exponents(power: re.Match[str]) -> str:
    return f"1e{power[3]}" if power[3] else f"e{power[1] or power[2]}"


def _in_digits(worded: re.Match[str]) -> str:
    tens = _WORDED.get((worded["tens"] or "").lower())
    if worded["tens"]:
        return worded[0] if tens is None else str(tens + _WORDED[worded["ones"].lower()])
    return str(_WORDED[worded[0].lower()])


def same_quantity(answer: str, gold: Entity) -> bool | None:
    """Return whether an answer states the quantity of a gold answer.

    Args:
        answer: One quantity, or one with an equal quantity after it: ``"3/4 (75 %)"``.
        gold: The gold answer; each of its names that is a quantity counts.

    Returns:
        None where the answer is no quantity, or no name of the gold answer is one.
    """
    names = [name for name in (gold.name, *gold.aliases) if quantity(name)]
    twice = _PARENTHESIS.fullmatch(answer)
    parts = [part.strip() for part in (twice.groups() if twice else (answer,))]
    stated = [quantity(part) for part in parts]
    if not names or None in stated:
        return None
    known = {name: _measured(name) for name in names}
    exact = [name for name, found in known.items() if found and not found.step]
    # Percentages of an exact share are roundings; `_differs_by_rounding` judges them.
    wanted = {
        quantity(name) for name, found in known.items() if not (exact and found and found.step)
    }
    return all(
        one in wanted or _differs_by_rounding(part, names)
        for part, one in zip(parts, stated, strict=True)
    )


class _Measured(NamedTuple):
    """A number in its written precision.

    Attributes:
        value: The number in base units.
        step: Value of one unit in its last digit, in base units; 0 where it is exact.
        dimension: What it measures.
    """

    value: Fraction
    step: Fraction
    dimension: Dimension


def _differs_by_rounding(answer: str, names: Sequence[str]) -> bool:
    """Return whether rounding explains how an answer differs from a gold quantity.

    A fraction is exact: the answer must be its value, rounded to whole percents or finer. A
    measured value has limited digits: an answer with more digits is right where it rounds to
    that value. A count is never rounded, and a part never to all or none.
    """
    said = _measured(answer)
    known = [found for name in names if (found := _measured(name))]
    exact = [found for found in known if not found.step]
    if said is None:
        return False
    for gold in exact or known:
        if said.dimension != gold.dimension or (said.value in (0, 1) and gold.dimension == SHARE):
            continue
        step = said.step if exact else gold.step
        fine = step <= _PERCENT if exact else said.step < step and gold.value >= 10 * step
        if fine and abs(said.value - gold.value) <= step / 2 and (gold.dimension or step < 1):
            return True
    return False


_PERCENT = Fraction(1, 100)


def _measured(text: str) -> _Measured | None:
    """Parse one number with its precision; None for a range, a bound or no number."""
    clean = _cleaned(text)
    if found := _OF.fullmatch(clean):
        share = _share_of(found)
        if share is None or share.low is None or share.low != share.high:
            return None
        return _Measured(share.low, Fraction(0), SHARE)
    if (found := _SINGLE.fullmatch(clean)) and (unit := _unit(found[2] or "")):
        size, dimension = unit
        digits, _, exponent = found[1].lower().partition("e")
        places = len(digits.partition(".")[2]) - int(exponent or 0)
        value = _number(found[1]) * size
        dimension = dimension or (SHARE if 0 < value < 1 else ())
        return _Measured(value, size / Fraction(10) ** places, dimension)
    return None


@lru_cache(maxsize=1 << 12)
def without_quantities(entity: Entity) -> Entity:
    """Return an entity without the names that are quantities; ``""`` replaces the first name.

    Args:
        entity: An entity.
    """
    kept = tuple(name for name in (entity.name, *entity.aliases) if quantity(name) is None)
    return Entity(id=entity.id, kind=entity.kind, name="", aliases=kept)


def _bounded(found: Quantity | None, bound: str) -> Quantity | None:
    """Return the open range below or above a quantity."""
    if found is None or found.low != found.high:
        return None
    below, strict = bound in ("below", "most"), bound in ("below", "above")
    low, high = (None, found.high) if below else (found.low, None)
    return Quantity(low, high, strict, found.dimension)


def _between(text: str) -> Quantity | None:
    """Parse a share, a number or a range, in this order."""
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
    """Return the share in "a of b"."""
    low, whole = _number(found[1]), _number(found[3])
    high = _number(found[2]) if found[2] else low
    if not 0 <= low <= high <= whole or whole == 0:
        return None
    return Quantity(low / whole, high / whole, False, SHARE)


def _made(first: str, last: str, first_unit: str, last_unit: str) -> Quantity | None:
    """Return the range between two numbers, or a single number where both are equal."""
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
