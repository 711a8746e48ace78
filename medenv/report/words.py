"""Numbers as a reader likes them: signs, units and as many digits as they can bear."""

from __future__ import annotations

import math
from typing import Literal

from medenv.statistics import Interval

NBSP = "\N{NO-BREAK SPACE}"

Unit = Literal["share", "count"]
"""A share is shown in percent and compared in percentage points; a count is shown as it is."""


def show(value: float, unit: Unit) -> str:
    """Return a mean as text: a share in percent, a count with as many digits as it can bear."""
    if unit == "share":
        return f"{100 * value:.1f}{NBSP}%"
    return minus(f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}")


def show_difference(value: float, unit: Unit) -> str:
    """Return a difference as text with its sign; a share's in percentage points."""
    if unit == "share":
        return minus(f"{100 * value:+.1f}{NBSP}points")
    return minus(f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2f}")


def span(interval: Interval, unit: Unit, *, signed: bool = False) -> str:
    """Return the ends of an interval as text, or a dash where they are not known."""
    if math.isnan(interval.low):
        return "\N{EN DASH}"
    scale = 100 if unit == "share" else 1
    wide = unit == "count" and max(abs(interval.low), abs(interval.high)) >= 100
    form = ("+" if signed else "") + (".0f" if wide else ".1f" if unit == "share" else ".2f")
    low, high = (minus(format(scale * end, form)) for end in (interval.low, interval.high))
    return f"{low} to {high}"


def number(value: float) -> str:
    """Return a number in at most four significant digits, without an exponent where it can."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        digits = 0 if abs(value) >= 1000 else 4 - len(str(int(abs(value))))
        text = f"{value:.{max(digits, 0)}f}" if abs(value) >= 1 else f"{value:.3g}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:.1e}"
    return minus(text)


def odds(chance: float) -> str:
    """Return a probability as ``1 in n``, which is easier to grasp than a small percentage."""
    if chance <= 0:
        return "none"
    return f"1 in {1 / chance:,.0f}" if chance < 0.5 else show(chance, "share")


def minus(text: str) -> str:
    """Return the text with true minus signs."""
    return text.replace("-", "\N{MINUS SIGN}")
