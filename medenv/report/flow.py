"""Layout of the figure that shows where episodes are lost: a Sankey diagram from top to bottom.

The trunk holds the episodes that are not lost yet. At each stage a band for each failure class
leaves it to the right, as thick as its number of episodes. Each label has a row of its own, so that
none can cover another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from medenv.evaluation.flow import Stage
from medenv.report.formatting import show

WIDTH = 360.0
"""Width in user units, about that of a phone, so that text there is as large as elsewhere."""

_LEFT, _TRUNK, _TIP, _LABEL = 4.0, 64.0, 82.0, 88.0
_HEAD, _ROW, _BEND, _THINNEST = 25.0, 21.0, 5.0, 1.2


class Band(NamedTuple):
    """The episodes of one failure class, in coordinates.

    Args:
        label: The class.
        text: Number and share of its episodes.
        path: SVG path of the band.
        y: Centre of its row.
        link: Address of these episodes on the page.
    """

    label: str
    text: str
    path: str
    y: float
    link: str


class Level(NamedTuple):
    """One stage, in coordinates.

    Args:
        label: The stage.
        text: Number and share of the episodes that reach it.
        y: Where it begins.
        bottom: Where the next one begins.
        width: Width of the trunk below its losses.
        link: Address of its episodes on the page, or ``""``.
    """

    label: str
    text: str
    y: float
    bottom: float
    width: float
    link: str


class FlowDrawing(NamedTuple):
    """The figure in coordinates.

    Args:
        levels: The stages, the last one the right answers.
        bands: The losses.
        width: Total width, user units.
        height: Total height.
        left: Left edge of the trunk.
        label: Left edge of the labels.
    """

    levels: tuple[Level, ...]
    bands: tuple[Band, ...]
    width: float
    height: float
    left: float
    label: float


def draw_flow(stages: Sequence[Stage]) -> FlowDrawing:
    """Compute the layout of the figure.

    Args:
        stages: What `medenv.evaluation.flow.flow_of` returns for at least one episode.
    """
    total = stages[0].episodes
    scale = _TRUNK / total
    levels, bands, y = [], [], 4.0
    for stage in stages:
        last = stage is stages[-1]
        row, edge = y + _HEAD, _LEFT + stage.episodes * scale
        for why, count in stage.lost.items():
            thick = max(_THINNEST, count * scale)
            height = max(_ROW, thick + 6)
            middle = row + height / 2
            bands.append(
                Band(
                    label=why,
                    text=_counted(count, total),
                    path=_turning(edge - count * scale, edge, y, middle, thick),
                    y=round(middle, 2),
                    link=f"#why={quote(why)}",
                )
            )
            row, edge = row + height, edge - count * scale
        levels.append(
            Level(
                label=stage.name,
                text=_counted(stage.episodes, total),
                y=y,
                bottom=row if last else row + 3,
                width=round(edge - _LEFT, 2),
                link="#why=right" if last else "",
            )
        )
        y = levels[-1].bottom
    return FlowDrawing(tuple(levels), tuple(bands), WIDTH, y + 4, _LEFT, _LABEL)


def _counted(count: int, total: int) -> str:
    return f"{count:,} · {show(count / total, 'share')}"


def _turning(left: float, right: float, top: float, middle: float, thick: float) -> str:
    """Return the path of a band that goes down from the trunk and turns to the right."""
    upper, lower = middle - thick / 2, middle + thick / 2
    left = right - thick if right - left < thick else left
    outer = _BEND + thick
    return (
        f"M{left:.2f},{top:.2f}V{lower - outer:.2f}A{outer:.2f},{outer:.2f} 0 0 0 "
        f"{left + outer:.2f},{lower:.2f}H{_TIP:.2f}V{upper:.2f}H{right + _BEND:.2f}"
        f"A{_BEND:.2f},{_BEND:.2f} 0 0 1 {right:.2f},{upper - _BEND:.2f}V{top:.2f}Z"
    )
