"""Charts of a training run, from the trainer's metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from medenv.errors import UsageError
from medenv.report.charts import Chart, Point, Series, smooth

Metrics = Sequence[Mapping[str, float]]

_OTHERS = (
    ("kl", "KL divergence from the reference", "nats"),
    ("entropy", "Entropy of the policy", "nats per token"),
    ("response_length/mean", "Response length", "tokens"),
    ("grad_norm", "Gradient norm", "norm"),
    ("clipfrac", "Clipped share", "share"),
    ("num_turns/mean", "Turns per episode", "turns"),
)
"""Suffixes of well-known metrics with a title and a unit; the first match of each is shown."""


class Run:
    """The metrics of one run, validated and sorted by step.

    Args:
        metrics: One mapping per step, each with the key ``"step"``.
        control: Metrics of a control run to draw for comparison, or None.

    Raises:
        UsageError: An entry without a step.
    """

    def __init__(self, metrics: Metrics, control: Metrics | None = None) -> None:
        self.metrics, self.control = _sorted(metrics), _sorted(control or [])
        self.window = max(1, len(self.metrics) // 15)

    @property
    def keys(self) -> list[str]:
        """Sorted names of all metrics except the step."""
        return sorted({key for row in self.metrics for key in row} - {"step"})

    def points(self, key: str, *, control: bool = False) -> tuple[Point, ...]:
        """Return (step, value) for all finite values of a metric."""
        rows = self.control if control else self.metrics
        return tuple(
            (row["step"], row[key]) for row in rows if key in row and math.isfinite(row[key])
        )


def learning_charts(run: Run) -> list[Chart]:
    """Return the learning curves: accuracy with validation points, and total reward."""
    accuracy = [
        *_trend(run, "reward/accuracy/raw", "training"),
        *_validation(run),
        *_control(run, "reward/accuracy/raw", "control run, training"),
        *_control(run, "val/accuracy", "control run, held out"),
    ]
    reward = [
        *_trend(run, "reward/total", "training"),
        *_control(run, "reward/total", "control run"),
    ]
    charts = [
        Chart("Accuracy while learning", tuple(accuracy), "accuracy, %", percent=True),
        Chart("Reward while learning", tuple(reward), "total reward per episode"),
    ]
    steps = sum(row["step"] > 0 for row in run.metrics)  # step 0 is the initial evaluation
    note = f"{steps} training steps, each on its own batch of questions, harder or easier ones"
    if steps == 1:
        note = "1 training step"
    return [chart._replace(note=note) for chart in charts if chart.series]


def component_charts(run: Run) -> list[Chart]:
    """Return one chart per reward component with its raw and weighted values."""
    parts = [key.split("/") for key in run.keys if key.startswith("reward/")]
    names = {part[1] for part in parts if len(part) == 3 and part[2] in ("raw", "weighted")}
    charts = []
    for name in sorted(names):
        series = [*_trend(run, f"reward/{name}/raw", "raw value")]
        if weighted := smooth(run.points(f"reward/{name}/weighted"), run.window):
            series.append(Series("weighted, as paid", weighted, "before", "dashed"))
        series += _control(run, f"reward/{name}/raw", "control run, raw value")
        if series:
            charts.append(Chart(name, tuple(series), "per episode"))
    return charts


def other_charts(run: Run) -> tuple[list[Chart], list[Chart]]:
    """Return the charts of other well-known metrics, and the charts of all remaining metrics."""
    shown: list[Chart] = []
    taken = {key for key in run.keys if key.startswith(("reward/", "val/accuracy"))}
    for ending, title, unit in _OTHERS:
        for key in run.keys:
            if key not in taken and _ends_with(key, ending) and run.points(key):
                taken.add(key)
                shown.append(_plain(run, key, title, unit))
                break
    rest = [key for key in run.keys if key not in taken and run.points(key)]
    return shown, [_plain(run, key, key, key.rsplit("/", 1)[-1]) for key in rest]


def _sorted(metrics: Metrics) -> list[dict[str, float]]:
    for number, row in enumerate(metrics):
        if "step" not in row:
            raise UsageError(
                f"expected a 'step' in every entry of the metrics, got entry {number} with "
                f"{', '.join(sorted(row)) or 'nothing'}"
            )
    return sorted((dict(row) for row in metrics), key=lambda row: row["step"])


def _ends_with(key: str, ending: str) -> bool:
    return key == ending or key.endswith(("/" + ending, "_" + ending))


def _trend(run: Run, key: str, label: str) -> Iterable[Series]:
    """Yield the series of a noisy curve: faint values per step and their rolling mean."""
    points = run.points(key)
    if points and run.window > 1:
        yield Series(f"{label}, each step", points, "after", "faint")
        yield Series(f"{label}, mean of {run.window | 1} steps", smooth(points, run.window))
    elif points:
        yield Series(label, points)


def _control(run: Run, key: str, label: str) -> Iterable[Series]:
    points = run.points(key, control=True)
    if points and key.startswith("val/"):
        yield Series(label, points, "control", "dots")
    elif points:
        yield Series(label, smooth(points, run.window), "control", "dashed")


def _validation(run: Run) -> Iterable[Series]:
    key = "val/accuracy"
    points = run.points(key)
    low, high = dict(run.points(f"{key}/low")), dict(run.points(f"{key}/high"))
    ends = tuple((low[x], high[x]) for x, _ in points if x in low and x in high)
    if points:
        whole = ends if len(ends) == len(points) else ()
        label = "held out, 95 % interval" if whole else "held out"
        yield Series(label, points, "validation", "dots", whole)


def _plain(run: Run, key: str, title: str, unit: str) -> Chart:
    series = [*_trend(run, key, "training"), *_control(run, key, "control run")]
    return Chart(title, tuple(series), unit, note=key if title != key else "")
