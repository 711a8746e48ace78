"""The report of an online ablation: training runs under several rewards and seeds, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

from rich import box
from rich.table import Table
from rich.text import Text

from medenv.errors import UsageError
from medenv.evaluation.measures import MEASURES, MISSING, Measure, is_missing
from medenv.evaluation.statistics import Interval, cluster_bootstrap, paired_difference
from medenv.evaluation.summary import counted, values_by_question
from medenv.records import Record, Scored
from medenv.report.charts import Chart, Point, Series, Tone, smooth
from medenv.report.dots import Dots, dots
from medenv.report.effects import Effect, effect_charts, in_words
from medenv.report.formatting import show, show_difference, span
from medenv.report.html import write_page

CURVES = (
    ("reward/accuracy/raw", "Accuracy while learning", "accuracy, %", True),
    ("val/accuracy", "Accuracy on held-out questions", "accuracy, %", True),
    ("reward/total", "Reward while learning", "total reward per episode", False),
    ("reward/dead_groups", "Groups that teach nothing", "dead groups, %", True),
    ("reward/phantom_groups", "Groups that teach a better wrong answer", "phantoms, %", True),
)
"""Key of a metric, title, axis, and whether it is a share; drawn where a run has it."""

_TONES: tuple[Tone, ...] = tuple(tone for tone in get_args(Tone) if tone.startswith("arm"))

MAX_ARMS = len(_TONES)
"""Arms that one page can tell apart."""


class TrainedRun(Record, frozen=True, kw_only=True):
    """One training run of a sweep.

    Args:
        arm: The reward that it was trained with.
        seed: Its seed.
        metrics: One mapping per training step with the key ``"step"``.
        evaluated: Episodes after training; the same questions in every run of a sweep.
    """

    arm: str
    seed: int
    metrics: list[dict[str, float]]
    evaluated: list[Scored]


class Compared(Record, frozen=True, kw_only=True):
    """One measure of one arm over all its seeds.

    Args:
        mean: Mean over questions and seeds, or None where no episode counts for it.
        difference: This arm's less the other's, paired by question, or None likewise.
        seeds: Seed to the mean of that run alone.
    """

    mean: Interval | None
    difference: Interval | None
    seeds: dict[int, float]


class Sweep:
    """The runs of a sweep, checked.

    Args:
        runs: The runs; the arm of the first is what the others are compared with.
        seed: Seed of the intervals.

    Raises:
        UsageError: No run, two of one arm and seed, too many arms, a run without steps or episodes,
            or runs that were evaluated on different questions.
    """

    def __init__(self, runs: Sequence[TrainedRun], *, seed: int = 0) -> None:
        self.runs, self.seed = tuple(runs), seed
        self.arms = tuple(dict.fromkeys(run.arm for run in runs))
        self._check()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is compared: `MEASURES`, and how much is missing where anything is."""
        missing = any(is_missing(one) for run in self.runs for one in run.evaluated)
        return (*MEASURES, MISSING) if missing else MEASURES

    def of(self, arm: str) -> list[TrainedRun]:
        """Return the runs of an arm, by seed."""
        return sorted((run for run in self.runs if run.arm == arm), key=lambda run: run.seed)

    def compared(self, arm: str, measure: Measure, other: str = "") -> Compared:
        """Compare an arm with another by a measure.

        Args:
            arm: The arm.
            measure: What is measured of an episode.
            other: What it is compared with; without it the first arm.
        """
        before, after = (self._values(name, measure.of) for name in (other or self.arms[0], arm))
        flat = [(value, name) for name, values in sorted(after.items()) for value in values]
        both = bool(flat) and any(before.values())
        return Compared(
            mean=cluster_bootstrap(*_unzip(flat), seed=self.seed) if flat else None,
            difference=paired_difference(before, after, seed=self.seed) if both else None,
            seeds=self.by_seed(arm, measure),
        )

    def by_seed(self, arm: str, measure: Measure) -> dict[int, float]:
        """Return an arm's mean for each seed, without seeds of which no episode counts."""
        each = {run.seed: values_by_question(run.evaluated, measure.of) for run in self.of(arm)}
        return {seed: _mean(values) for seed, values in each.items() if any(values.values())}

    def _values(self, arm: str, value: Callable[[Scored], float | None]) -> dict[str, list[float]]:
        """Return each question's values over all seeds."""
        found: dict[str, list[float]] = {name: [] for name in sorted(self._questions)}
        for run in self.of(arm):
            for name, values in values_by_question(run.evaluated, value).items():
                found[name] += values
        return found

    def _check(self) -> None:
        if not self.runs:
            raise UsageError("a sweep needs at least one run, got none")
        if len(self.arms) > MAX_ARMS:
            raise UsageError(f"a sweep shows at most {MAX_ARMS} arms, got {len(self.arms)}")
        self._questions = {one.trajectory.question.id for one in self.runs[0].evaluated}
        seen: set[tuple[str, int]] = set()
        for run in self.runs:
            name = f"run {run.arm!r} with seed {run.seed}"
            if (run.arm, run.seed) in seen:
                raise UsageError(f"{name} is there twice")
            seen.add((run.arm, run.seed))
            if not run.metrics or not all("step" in row for row in run.metrics):
                raise UsageError(f"{name} has no metrics, or an entry without a step")
            counted(run.evaluated)  # which refuses a run of which every episode is missing
            questions = {one.trajectory.question.id for one in run.evaluated}
            if not questions or questions != self._questions:
                raise UsageError(
                    f"{name} was evaluated on {len(questions)} questions that are not the"
                    f" {len(self._questions)} of the first run; evaluate all on one set"
                )


def curves(sweep: Sweep) -> list[Chart]:
    """Return one chart per metric: a line per arm, the mean of its seeds, in the band they span.

    Args:
        sweep: The runs.
    """
    charts = []
    for key, title, unit, percent in CURVES:
        series = [
            Series(arm, points, tone, ends=ends)
            for arm, tone in zip(sweep.arms, _TONES, strict=False)
            for points, ends in [_band([_points(run, key) for run in sweep.of(arm)])]
            if points
        ]
        if series:
            note = "Mean over seeds, smoothed; the band spans the seeds."
            charts.append(Chart(title, tuple(series), unit, percent=percent, note=note))
    return charts


def write_sweep(
    path: Path | str,
    sweep: Sweep,
    *,
    weights: Mapping[str, str] | None = None,
    found: Sequence[Effect] = (),
    facts: Mapping[str, str] | None = None,
    title: str = "Rewards, trained with",
) -> None:
    """Write the report as one HTML file that needs nothing but itself.

    Args:
        path: The HTML file.
        sweep: The runs.
        weights: Arm to its weights in words.
        found: What each part of a reward moves; see `medenv.report.effects.effects`.
        facts: Configuration, machine, versions: name to text.
        title: Title of the page.
    """
    measures = sweep.measures
    rows = {arm: {one.name: sweep.compared(arm, one) for one in measures} for arm in sweep.arms}
    context = {
        "title": title,
        "verdict": verdict(sweep),
        "effects": found,
        "moved": effect_charts(found),
        "said": [in_words(one) for one in found],
        "sweep": sweep,
        "measures": measures,
        "rows": rows,
        "accuracy": _chart(sweep),
        "curves": curves(sweep),
        "weights": weights or {},
        "facts": facts or {},
    }
    write_page(path, "sweep.html.j2", context)


def sweep_table(sweep: Sweep) -> Table:
    """Return held-out accuracy by arm for a terminal.

    Args:
        sweep: The runs.
    """
    table = Table(title=Text(verdict(sweep), style="bold"), box=box.SIMPLE_HEAD, pad_edge=False)
    table.title_justify = "left"
    table.add_column("arm", no_wrap=True)
    for heading in ("accuracy", "95 %", f"less {sweep.arms[0]}", "95 %", "by seed"):
        table.add_column(heading, justify="right")
    for arm in sweep.arms:
        found = sweep.compared(arm, MEASURES[0])
        cells = ["–"] * 4
        if found.mean is not None:
            cells[:2] = show(found.mean.mean, "share"), span(found.mean, "share")
        if found.difference is not None and arm != sweep.arms[0]:
            change = found.difference
            cells[2:] = show_difference(change.mean, "share"), span(change, "share", signed=True)
        seeds = ", ".join(show(mean, "share") for mean in found.seeds.values())
        table.add_row(Text(arm), *cells, seeds)
    return table


def verdict(sweep: Sweep) -> str:
    """Say in a sentence which arms learnt more or less than the first.

    Args:
        sweep: The runs.
    """
    said: dict[str, list[str]] = {"more": [], "less": []}
    for arm in sweep.arms[1:]:
        change = sweep.compared(arm, MEASURES[0]).difference
        if change is not None and change.excludes_zero:
            said["more" if change.low > 0 else "less"].append(arm)
    parts = [f"{', '.join(arms)} answered {way} right" for way, arms in said.items() if arms]
    if not parts:
        return f"No reward did clearly better or worse than {sweep.arms[0]} on these questions."
    return f"Compared with {sweep.arms[0]}, {' and '.join(parts)}."


def _chart(sweep: Sweep) -> Dots | None:
    rows = {arm: sweep.compared(arm, MEASURES[0]).mean for arm in sweep.arms}
    return dots("Accuracy after training", rows, baseline=sweep.arms[0])


def _points(run: TrainedRun, key: str) -> dict[float, float]:
    rows = sorted(run.metrics, key=lambda row: row["step"])
    return {row["step"]: row[key] for row in rows if math.isfinite(row.get(key, math.nan))}


def _band(runs: Sequence[Mapping[float, float]]) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return the mean over runs at each step that all have, smoothed, and what they span."""
    known = [run for run in runs if run]
    steps = sorted(set.intersection(*(set(run) for run in known))) if known else []
    window = max(1, len(steps) // 15)
    smoothed = [smooth([(step, run[step]) for step in steps], window) for run in known]
    at = [[points[i][1] for points in smoothed] for i in range(len(steps))]
    means = tuple((step, math.fsum(ys) / len(ys)) for step, ys in zip(steps, at, strict=True))
    ends = tuple((min(ys), max(ys)) for ys in at) if len(known) > 1 else ()
    return means, ends


def _mean(values: Mapping[str, Sequence[float]]) -> float:
    flat = [value for one in values.values() for value in one]
    return math.fsum(flat) / len(flat)


def _unzip(pairs: Sequence[tuple[float, str]]) -> tuple[list[float], list[str]]:
    return [value for value, _ in pairs], [name for _, name in pairs]
