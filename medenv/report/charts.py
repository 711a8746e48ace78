"""Layout of the charts: converts numbers to coordinates of an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from medenv.errors import UsageError
from medenv.evaluation.statistics import Interval
from medenv.report.formatting import Unit, minus, number, show, show_difference, span

if TYPE_CHECKING:
    from medenv.report.headline import Row

Point = tuple[float, float]
Tone = Literal[
    "before", "after", "validation", "control",
    "arm0", "arm1", "arm2", "arm3", "arm4", "arm5", "arm6", "arm7",
]  # fmt: skip
"""Meaning of a colour; the style sheet defines the colours for light and dark mode."""

WIDTH, SMALL = 440.0, 320.0
"""Widths of a chart in user units, for two charts per row and for three."""

_RIGHT, _TOP, _BOTTOM, _DIGIT = 14.0, 12.0, 44.0, 6.6
_DOTS_ROW, _DOTS_TOP, _DOTS_BOTTOM = 36.0, 6.0, 34.0
_FOREST_ROW, _FOREST_TOP, _FOREST_BOTTOM = 54.0, 4.0, 40.0


class Series(NamedTuple):
    """One curve.

    Args:
        label: Name in the legend.
        points: (x, y), sorted by x.
        tone: Meaning of its colour.
        style: Style of the line or the dots.
        ends: (low, high) per point, a band around a line or whiskers at dots; empty for none.
    """

    label: str
    points: tuple[Point, ...]
    tone: Tone = "after"
    style: Literal["line", "faint", "dashed", "dots"] = "line"
    ends: tuple[Point, ...] = ()


class Chart(NamedTuple):
    """The data and labels of a chart.

    Args:
        title: Title.
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
        series: The curve's data.
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
        width: Total width, user units.
        height: Total height.
        left: Start of the x axis.
        right: End of the x axis.
        top: End of the y axis.
        floor: y coordinate of the x axis.
        x_ticks: (position, text).
        y_ticks: (position, text).
        curves: The curves.
        readings: (x, position, [(label, tone, text)]) for the tooltip.
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
    """Return tick values, 1, 2 or 5 times a power of ten apart, that include `low` and `high`.

    Args:
        low: Smallest value to show.
        high: Largest value to show; equal ends are widened.
        count: Approximate number of steps.

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
        window: Number of points to average; an even number counts as the next odd number.
    """
    half = window // 2
    result = []
    for i, (x, _) in enumerate(points):
        near = points[max(0, i - half) : i + half + 1]
        result.append((x, math.fsum(y for _, y in near) / len(near)))
    return tuple(result)


def draw(chart: Chart, width: float = WIDTH) -> Drawing:
    """Compute the layout of a chart.

    Args:
        chart: The chart; the axis of a share includes 0.
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
    """Return one series per entry of the common legend of `charts`."""
    found = {(s.label, s.tone, s.style): s for chart in charts for s in chart.series}
    return list(found.values())


def axis_text(value: float, values: Sequence[float], percent: bool) -> str:
    """Return the text of a tick; shares are in percent, with decimals only if needed."""
    if not percent:
        return number(value)
    step = values[1] - values[0]
    return minus(f"{100 * value:.{0 if step >= 0.00999 else 1}f}")


def _extent(chart: Chart) -> tuple[list[float], list[float]]:
    """Return all x and y values that the axes must include."""
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
    """Linear map from values to positions; a single value maps to the middle."""

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
    """Collect the values at each x, for the tooltip."""
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


class Dot(NamedTuple):
    """One row of a chart of intervals in coordinates.

    Args:
        label: Label of the row.
        x: The mean, or None.
        y: y coordinate of the dot; the label is above it.
        low: Lower end of the interval; the mean if unknown.
        high: Upper end of the interval; the mean if unknown.
        text: Mean and interval as text.
        baseline: Whether this row is the baseline of the comparison.
    """

    label: str
    x: float | None
    y: float
    low: float
    high: float
    text: str
    baseline: bool


class Dots(NamedTuple):
    """A chart of intervals in coordinates: a dot for each mean, a whisker for each interval.

    Args:
        title: Title.
        rows: The rows.
        ticks: (position, text) of the axis.
        zero: Position of zero.
        height: Total height.
        floor: y coordinate of the axis.
        unit: Unit of the axis.
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
    """Compute the layout of a chart of intervals; its axis includes zero.

    Args:
        title: Title.
        rows: Label to interval, or None for no interval.
        baseline: Label of the baseline of the comparison.
        unit: Unit of the numbers.
        note: One line under the chart.
        signed: Whether the rows are differences, shown with their signs.

    Returns:
        The chart, or None if no row has an interval.
    """
    ends = [0.0]
    for interval in rows.values():
        if interval is not None:
            known = (interval.low, interval.high) if not math.isnan(interval.low) else ()
            ends += [interval.mean, *known]
    if len(ends) == 1:
        return None
    values = ticks(min(ends), max(ends) or (1.0 if min(ends) == 0 else 0.0))
    scale = (WIDTH - 2 * _RIGHT) / (values[-1] - values[0])

    def place(value: float) -> float:
        return round(_RIGHT + (value - values[0]) * scale, 2)

    drawn = []
    for i, (label, interval) in enumerate(rows.items()):
        y, first = _DOTS_TOP + i * _DOTS_ROW + 26, label == baseline
        if interval is None:
            drawn.append(Dot(label, None, y, 0.0, 0.0, "none", first))
            continue
        middle = interval.mean
        low, high = (interval.low, interval.high)
        if math.isnan(low):
            low = high = middle
        mean = show_difference(middle, unit) if signed else show(middle, unit)
        text = f"{mean} ({span(interval, unit, signed=signed)})"
        drawn.append(Dot(label, place(middle), y, place(low), place(high), text, first))
    floor = _DOTS_TOP + len(rows) * _DOTS_ROW + 4
    return Dots(
        title=title,
        rows=tuple(drawn),
        ticks=tuple((place(tick), axis_text(tick, values, unit == "share")) for tick in values),
        zero=place(0.0),
        height=floor + _DOTS_BOTTOM,
        floor=floor,
        unit="%" if unit == "share" else "",
        note=note,
    )


class Mark(NamedTuple):
    """One mean with its whiskers, in coordinates.

    Args:
        tone: ``"before"`` or ``"after"``.
        x: The mean.
        y: y coordinate.
        low: Lower end of the interval; the mean if unknown.
        high: Upper end of the interval; the mean if unknown.
        text: Text of the tooltip.
    """

    tone: str
    x: float
    y: float
    low: float
    high: float
    text: str


class ForestRow(NamedTuple):
    """One group of a forest plot.

    Args:
        label: Label of the group.
        note: Further description of the group.
        y: y coordinate of the label.
        marks: The means before and after.
    """

    label: str
    note: str
    y: float
    marks: tuple[Mark, ...]


class Forest(NamedTuple):
    """A forest plot of accuracies before and after, in coordinates.

    Args:
        rows: The groups.
        ticks: (position, text) of the axis.
        height: Total height.
        floor: y coordinate of the axis.
    """

    rows: tuple[ForestRow, ...]
    ticks: tuple[tuple[float, str], ...]
    height: float
    floor: float


def forest(rows: Sequence[Row]) -> Forest:
    """Compute the layout of a forest plot on an axis from 0 to 100 percent.

    Args:
        rows: Rows of the headline table whose unit is a share.
    """
    drawn = []
    for i, row in enumerate(rows):
        y = _FOREST_TOP + i * _FOREST_ROW
        sides = (("before", row.before, y + 28), ("after", row.after, y + 40))
        marks = tuple(_mark(tone, mean, mark_y) for tone, mean, mark_y in sides if mean is not None)
        drawn.append(ForestRow(row.label, row.note, y + 16, marks))
    floor = _FOREST_TOP + len(rows) * _FOREST_ROW
    return Forest(
        rows=tuple(drawn),
        ticks=tuple((_x(share / 100), str(share)) for share in range(0, 101, 20)),
        height=floor + _FOREST_BOTTOM,
        floor=floor,
    )


def _mark(tone: str, side: Interval, y: float) -> Mark:
    known = not math.isnan(side.low)
    low, high = (side.low, side.high) if known else (side.mean, side.mean)
    ends = f", 95 % interval {show(low, 'share')} to {show(high, 'share')}" if known else ""
    text = f"{tone}: {show(side.mean, 'share')}{ends}"
    return Mark(tone, _x(side.mean), y, _x(low), _x(high), text)


def _x(share: float) -> float:
    return round(_RIGHT + share * (WIDTH - 2 * _RIGHT), 2)
