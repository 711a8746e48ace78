"""Charts of intervals: a row per thing compared, a dot for the mean, a whisker for the interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from medenv.evaluation.statistics import Interval
from medenv.report.charts import axis_text, ticks
from medenv.report.formatting import Unit, show, show_difference, span

WIDTH = 440.0
_LEFT, _RIGHT, _ROW, _TOP, _BOTTOM = 14.0, 14.0, 36.0, 6.0, 34.0


class Dot(NamedTuple):
    """One row in coordinates.

    Args:
        label: What it is.
        x: The mean, or None where there is none.
        y: Height of the dot; the label stands above it.
        low: Lower end; the mean where it is not known.
        high: Upper end; likewise.
        text: Mean and interval in words.
        baseline: Whether the others are compared with it.
    """

    label: str
    x: float | None
    y: float
    low: float
    high: float
    text: str
    baseline: bool


class Dots(NamedTuple):
    """A whole chart in coordinates.

    Args:
        title: What it shows.
        rows: The rows.
        ticks: (position, text) of the axis.
        zero: Position of zero.
        height: Height of the drawing.
        floor: Height of the axis.
        unit: Unit of the axis, in words.
        note: One line under the chart.
    """

    title: str
    rows: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    zero: float
    height: float
    floor: float
    unit: str
    note: str


def dots(
    title: str,
    rows: Mapping[str, Interval | None],
    *,
    baseline: str = "",
    unit: Unit = "share",
    note: str = "",
    signed: bool = False,
) -> Dots | None:
    """Lay out a chart of intervals on an axis that holds them all and zero.

    Args:
        title: What it shows.
        rows: What is compared to its interval, None where it has none.
        baseline: The row that the others are compared with.
        unit: How numbers are shown.
        note: One line under the chart.
        signed: Whether the rows are differences, which are told with their signs.

    Returns:
        The chart, or None where no row has an interval.
    """
    ends = [0.0]
    for one in rows.values():
        if one is not None:
            known = (one.low, one.high) if not math.isnan(one.low) else ()
            ends += [one.mean, *known]
    if len(ends) == 1:
        return None
    values = ticks(min(ends), max(ends) or (1.0 if min(ends) == 0 else 0.0))
    scale = (WIDTH - _LEFT - _RIGHT) / (values[-1] - values[0])

    def place(value: float) -> float:
        return round(_LEFT + (value - values[0]) * scale, 2)

    drawn = []
    for number, (label, one) in enumerate(rows.items()):
        y, first = _TOP + number * _ROW + 26, label == baseline
        if one is None:
            drawn.append(Dot(label, None, y, 0.0, 0.0, "none", first))
            continue
        low, high = (one.mean, one.mean) if math.isnan(one.low) else (one.low, one.high)
        mean = show_difference(one.mean, unit) if signed else show(one.mean, unit)
        text = f"{mean} ({span(one, unit, signed=signed)})"
        drawn.append(Dot(label, place(one.mean), y, place(low), place(high), text, first))
    floor = _TOP + len(rows) * _ROW + 4
    return Dots(
        title=title,
        rows=tuple(drawn),
        ticks=tuple((place(at), axis_text(at, values, unit == "share")) for at in values),
        zero=place(0.0),
        height=floor + _BOTTOM,
        floor=floor,
        unit="%" if unit == "share" else "",
        note=note,
    )
