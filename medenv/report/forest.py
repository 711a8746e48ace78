"""The chart of accuracies before and after, with their intervals, one row per group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from medenv.evaluation.statistics import Interval
from medenv.report.formatting import show
from medenv.report.headline import Row

WIDTH, LEFT, RIGHT = 440.0, 14.0, 14.0
_ROW, _TOP, _BOTTOM = 54.0, 4.0, 40.0


class Mark(NamedTuple):
    """One mean with its whiskers, in coordinates.

    Args:
        tone: ``"before"`` or ``"after"``.
        x: The mean.
        y: Its height.
        low: Lower end; the mean where it is not known.
        high: Upper end; likewise.
        text: What a pointer over it shows.
    """

    tone: str
    x: float
    y: float
    low: float
    high: float
    text: str


class ForestRow(NamedTuple):
    """One group: its label, height and marks.

    Args:
        label: Which answers.
        note: What narrows it down.
        y: Height of the label.
        marks: The means before and after.
    """

    label: str
    note: str
    y: float
    marks: tuple[Mark, ...]


class Forest(NamedTuple):
    """The whole chart in coordinates.

    Args:
        rows: The groups.
        ticks: (position, text) of the axis.
        height: Height of the drawing.
        floor: Height of the axis.
    """

    rows: tuple[ForestRow, ...]
    ticks: tuple[tuple[float, str], ...]
    height: float
    floor: float


def forest(rows: Sequence[Row]) -> Forest:
    """Lay out the rows of shares on an axis from 0 to 100 percent.

    Args:
        rows: Rows of the headline table whose unit is a share.
    """
    drawn = []
    for number, row in enumerate(rows):
        y = _TOP + number * _ROW
        sides = (("before", row.before, y + 28), ("after", row.after, y + 40))
        marks = tuple(_mark(tone, side, at) for tone, side, at in sides if side is not None)
        drawn.append(ForestRow(row.label, row.note, y + 16, marks))
    floor = _TOP + len(rows) * _ROW
    return Forest(
        rows=tuple(drawn),
        ticks=tuple((_x(share / 100), str(share)) for share in range(0, 101, 20)),
        height=floor + _BOTTOM,
        floor=floor,
    )


def _mark(tone: str, side: Interval, y: float) -> Mark:
    known = not math.isnan(side.low)
    low, high = (side.low, side.high) if known else (side.mean, side.mean)
    ends = f", 95 % interval {show(low, 'share')} to {show(high, 'share')}" if known else ""
    text = f"{tone}: {show(side.mean, 'share')}{ends}"
    return Mark(tone, _x(side.mean), y, _x(low), _x(high), text)


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)
