"""Formatting of numbers for readers: signs, units and significant digits."""

from __future__ import annotations

import math
from typing import Literal

from medenv.evaluation.statistics import Interval

NBSP = "\N{NO-BREAK SPACE}"

Unit = Literal["share", "count"]
"""A share is shown in percent, its differences in percentage points; a count is shown unscaled."""


def show(value: float, unit: Unit) -> str:
    """Return a mean as text: a share in percent, a count with digits by its size."""
    if unit == "share":
        return minus(f"{100 * value:.1f}{NBSP}%")
    return minus(f"{value:.{_digits(value)}f}")


def show_difference(value: float, unit: Unit) -> str:
    """Return a difference as text with its sign; shares are in percentage points."""
    if unit == "share":
        return f"{_signed(100 * value, 1)}{NBSP}points"
    return _signed(value, _digits(value))


def span(interval: Interval, unit: Unit, *, signed: bool = False) -> str:
    """Return the ends of an interval as text, or a dash if they are unknown."""
    if math.isnan(interval.low):
        return "\N{EN DASH}"
    ends = (interval.low, interval.high)
    if unit == "share":
        ends, digits = (100 * interval.low, 100 * interval.high), 1
    else:
        digits = _digits(max(map(abs, ends)))
    low, high = (_signed(end, digits) if signed else minus(f"{end:.{digits}f}") for end in ends)
    return f"{low} to {high}"


def _digits(value: float) -> int:
    """Return the number of decimals of a count."""
    size = abs(value)
    if 1e-9 < size < 1e-3:  # money: two significant digits
        return 1 - math.floor(math.log10(size))
    return 3 if 0 < size < 0.1 else 2 if size < 10 else 1 if size < 100 else 0


def _signed(value: float, digits: int) -> str:
    """Return a number with its sign, or zero without a sign."""
    rounded = round(value, digits)
    return minus(f"{rounded:+.{digits}f}") if rounded else f"{0:.{digits}f}"


def number(value: float) -> str:
    """Return a number with at most four significant digits, if possible without an exponent."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        digits = 0 if abs(value) >= 1000 else 4 - len(str(int(abs(value))))
        text = f"{value:.{max(digits, 0)}f}" if abs(value) >= 1 else f"{value:.3g}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:.1e}"
    return minus(text)


def odds(chance: float) -> str:
    """Return a small probability as ``1 in n``, others in percent."""
    if chance <= 0:
        return "none"
    return f"1 in {1 / chance:,.0f}" if chance < 0.5 else show(chance, "share")


def markdown_row(*cells: str, head: bool = False) -> list[str]:
    """Return a row of a table in Markdown, with the rule below it where it is the head.

    Args:
        cells: The texts of the cells.
        head: Whether it is the head.
    """
    rule = [f"|{'---|' * len(cells)}"] if head else []
    return [f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |", *rule]


def minus(text: str) -> str:
    """Replace hyphens by minus signs."""
    return text.replace("-", "\N{MINUS SIGN}")
