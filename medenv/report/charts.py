"""The geometry of the charts: numbers in, coordinates of an inline SVG out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from medenv.errors import UsageError
from medenv.report.formatting import minus, number

Point = tuple[float, float]
Tone = Literal[
    "before", "after", "validation", "control",
    "arm0", "arm1", "arm2", "arm3", "arm4", "arm5", "arm6", "arm7",
]  # fmt: skip
"""Meaning of a colour; the style sheet holds the colours, for light and for dark."""

WIDTH, SMALL = 440.0, 320.0
"""Widths in user units: for two charts in a row and for three, so that the text stays legible."""

_RIGHT, _TOP, _BOTTOM, _DIGIT = 14.0, 12.0, 44.0, 6.6


class Series(NamedTuple):
    """One curve.

    Args:
        label: Name in the legend.
        points: (x, y), sorted by x.
        tone: What its colour means.
        style: How it is drawn.
        ends: (low, high) per point: a band around a line, whiskers at dots; empty for none.
    """

    label: str
    points: tuple[Point, ...]
    tone: Tone = "after"
    style: Literal["line", "faint", "dashed", "dots"] = "line"
    ends: tuple[Point, ...] = ()


class Chart(NamedTuple):
    """A chart with its words.

    Args:
        title: What it shows.
        series: The curves.
        y_label: Quantity and unit.
        x_label: Quantity and unit.
        percent: Whether y is a share, shown in percent.
        note: One line under the chart.
    """

    title: str
    series: tuple[Series, ...]
    y_label: str
    x_label: str = "training step"
    percent: bool = False
    note: str = ""


class Drawn(NamedTuple):
    """One curve in coordinates.

    Args:
        series: What was drawn.
        path: The SVG path of its line; empty for dots.
        band: The SVG path of its band; empty without one.
        dots: Centres of its dots.
        whiskers: (x, y of the low end, y of the high end) of its dots.
    """

    series: Series
    path: str
    band: str
    dots: tuple[Point, ...]
    whiskers: tuple[tuple[float, float, float], ...]


class Drawing(NamedTuple):
    """A chart in coordinates, ready for the template.

    Args:
        width: Width of the whole, user units.
        height: Height of the whole.
        left: Where the x axis starts.
        right: Where it ends.
        top: Where the y axis ends.
        floor: Height of the x axis.
        x_ticks: (position, text).
        y_ticks: (position, text).
        curves: The curves.
        readings: (x, position, [(label, tone, text)]) that a pointer over the chart shows.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    floor: float
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    curves: tuple[Drawn, ...]
    readings: list[tuple[str, float, list[tuple[str, str, str]]]]


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) from below `low` to above `high`.

    Args:
        low: Smallest value to show.
        high: Largest value to show; equal ends are widened.
        count: About how many steps.

    Raises:
        UsageError: The ends are not finite, or in the wrong order.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UsageError(f"expected finite ends in order, got {low} and {high}")
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        half = abs(low) / 2 or 0.5
        low, high = low - half, high + half
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / rough)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def smooth(points: Sequence[Point], window: int) -> tuple[Point, ...]:
    """Return the centred rolling mean, over fewer points near the ends.

    Args:
        points: (x, y), sorted by x.
        window: Number of points averaged; even numbers count as the next odd one.
    """
    half = window // 2
    result = []
    for i, (x, _) in enumerate(points):
        near = points[max(0, i - half) : i + half + 1]
        result.append((x, math.fsum(y for _, y in near) / len(near)))
    return tuple(result)


def draw(chart: Chart, width: float = WIDTH) -> Drawing:
    """Lay a chart out.

    Args:
        chart: What to draw; a share's axis includes 0.
        width: Width in user units.

    Raises:
        UsageError: A chart without points, or a series with intervals for some points only.
    """
    xs, ys = _extent(chart)
    y_values = ticks(min(ys), max(ys))
    x_values = [x for x in ticks(min(xs), max(xs), 5) if min(xs) <= x <= max(xs)] or [min(xs)]
    y_texts = [axis_text(y, y_values, chart.percent) for y in y_values]
    height = round(0.4 * width + 74)
    left, right = round(28 + _DIGIT * max(map(len, y_texts)), 1), width - _RIGHT
    to_x = _Scale(min(xs), max(xs), left, right)
    to_y = _Scale(y_values[0], y_values[-1], height - _BOTTOM, _TOP)
    return Drawing(
        width=width,
        height=height,
        left=left,
        right=right,
        top=_TOP,
        floor=height - _BOTTOM,
        x_ticks=tuple((to_x(x), number(x)) for x in x_values),
        y_ticks=tuple((to_y(y), text) for y, text in zip(y_values, y_texts, strict=True)),
        curves=tuple(_curve(series, to_x, to_y) for series in chart.series),
        readings=_readings(chart, to_x),
    )


def shared_legend(charts: Sequence[Chart]) -> list[Series]:
    """Return one series per entry of the legend that all `charts` share."""
    found = {(s.label, s.tone, s.style): s for chart in charts for s in chart.series}
    return list(found.values())


def axis_text(value: float, values: Sequence[float], percent: bool) -> str:
    """Return a tick's text; shares as percent, with digits only where the ticks need them."""
    if not percent:
        return number(value)
    step = values[1] - values[0]
    return minus(f"{100 * value:.{0 if step >= 0.00999 else 1}f}")


def _extent(chart: Chart) -> tuple[list[float], list[float]]:
    """Return all x and all y that the axes must hold."""
    xs = [x for series in chart.series for x, _ in series.points]
    ys = [y for series in chart.series for _, y in series.points]
    for series in chart.series:
        if series.ends and len(series.ends) != len(series.points):
            raise UsageError(
                f"expected an interval for each of the {len(series.points)} points of "
                f"{series.label!r} or for none, got {len(series.ends)}"
            )
        ys += [end for ends in series.ends for end in ends]
    if not xs:
        raise UsageError(f"expected points to draw in {chart.title!r}, got none")
    return xs, [*ys, 0.0] if chart.percent else ys


class _Scale(NamedTuple):
    """Maps values to positions, linearly; a single value to the middle."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 2)


def _curve(series: Series, to_x: _Scale, to_y: _Scale) -> Drawn:
    spots = tuple((to_x(x), to_y(y)) for x, y in series.points)
    ends = tuple(
        (x, to_y(low), to_y(high))
        for (x, _), (low, high) in zip(spots, series.ends, strict=bool(series.ends))
    )
    dotted = series.style == "dots" or len(spots) == 1
    band = ""
    if ends and not dotted:
        edge = [(x, high) for x, _, high in ends] + [(x, low) for x, low, _ in reversed(ends)]
        band = _path(edge) + "Z"
    return Drawn(
        series=series,
        path=_path(spots),
        band=band,
        dots=spots if dotted else (),
        whiskers=ends if dotted else (),
    )


def _path(spots: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in spots)


def _readings(chart: Chart, to_x: _Scale) -> list[tuple[str, float, list[tuple[str, str, str]]]]:
    """Collect what is known at each x, for the pointer."""
    found: dict[float, list[tuple[str, str, str]]] = {}
    for series in chart.series:
        for i, (x, y) in enumerate(series.points):
            text = f"{100 * y:.1f} %" if chart.percent else number(y)
            if series.ends:
                low, high = series.ends[i]
                scale = 100 if chart.percent else 1
                text += f" ({number(scale * low)} to {number(scale * high)})"
            found.setdefault(x, []).append((series.label, series.tone, text))
    return [(f"{chart.x_label} {number(x)}", to_x(x), rows) for x, rows in sorted(found.items())]
