"""The report of a sweep: a comparison of training runs by arm and seed."""

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
from medenv.report.charts import Chart, Dots, Point, Series, Tone, dots, smooth
from medenv.report.formatting import markdown_row, show, show_difference, span
from medenv.report.html import write_page
from medenv.reward.analysis.variants import Contrast

CURVES = (
    ("reward/accuracy/raw", "Accuracy while learning", "accuracy, %", True),
    ("val/accuracy", "Accuracy on held-out questions", "accuracy, %", True),
    ("reward/total", "Reward while learning", "total reward per episode", False),
    ("reward/dead_groups", "Groups that teach nothing", "dead groups, %", True),
    ("reward/phantom_groups", "Groups that teach a better wrong answer", "phantoms, %", True),
)
"""Key of a metric, title, axis label, and whether it is a share."""

_TONES: tuple[Tone, ...] = tuple(tone for tone in get_args(Tone) if tone.startswith("arm"))

MAX_ARMS = len(_TONES)
"""Maximum number of arms whose curves are drawn, limited by the number of colours."""


class TrainedRun(Record, frozen=True, kw_only=True):
    """One training run of a sweep.

    Args:
        arm: What it shares with runs that differ from it in the seed alone, e.g. the reward.
        seed: Seed of the run.
        metrics: One mapping per training step with the key ``"step"``.
        evaluated: Episodes after training, with the same questions in every run of a sweep.
    """

    arm: str
    seed: int
    metrics: list[dict[str, float]]
    evaluated: list[Scored]


class Compared(Record, frozen=True, kw_only=True):
    """One measure of one arm over all its seeds.

    Args:
        mean: Mean over questions and seeds, or None if no episode has a value.
        difference: Difference from the other arm, paired by question, or None.
        seeds: Seed to the mean of that run.
    """

    mean: Interval | None
    difference: Interval | None
    seeds: dict[int, float]


class Sweep:
    """The validated runs of a sweep.

    Args:
        runs: The runs; the arm of the first run is the baseline.
        seed: Seed of the intervals.

    Raises:
        UsageError: No run, two runs with the same arm and seed, a run without steps or episodes,
            or runs that were evaluated on different questions.
    """

    def __init__(self, runs: Sequence[TrainedRun], *, seed: int = 0) -> None:
        self.runs, self.seed = tuple(runs), seed
        self.arms = tuple(dict.fromkeys(run.arm for run in runs))
        self._check()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Those of `MEASURES` that any episode counts for, and `MISSING` if any is missing."""
        episodes = [episode for run in self.runs for episode in run.evaluated]
        known = [
            one for one in MEASURES if any(one.of(episode) is not None for episode in episodes)
        ]
        return (*known, MISSING) if any(map(is_missing, episodes)) else tuple(known)

    def of(self, arm: str) -> list[TrainedRun]:
        """Return the runs of an arm, sorted by seed."""
        return sorted((run for run in self.runs if run.arm == arm), key=lambda run: run.seed)

    def compared(self, arm: str, measure: Measure, other: str = "") -> Compared:
        """Compare two arms by a measure.

        Args:
            arm: The arm.
            measure: The measure.
            other: The arm to compare with; by default the first arm.
        """
        before, after = (self._values(name, measure.of) for name in (other or self.arms[0], arm))
        flat = [value for _, values in sorted(after.items()) for value in values]
        clusters = [name for name, values in sorted(after.items()) for _ in values]
        both = bool(flat) and any(before.values())
        return Compared(
            mean=cluster_bootstrap(flat, clusters, seed=self.seed) if flat else None,
            difference=paired_difference(before, after, seed=self.seed) if both else None,
            seeds=self.by_seed(arm, measure),
        )

    def by_seed(self, arm: str, measure: Measure) -> dict[int, float]:
        """Return an arm's mean for each seed that has a value."""
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
        self._questions = {scored.trajectory.question.id for scored in self.runs[0].evaluated}
        seen: set[tuple[str, int]] = set()
        for run in self.runs:
            name = f"run {run.arm!r} with seed {run.seed}"
            if (run.arm, run.seed) in seen:
                raise UsageError(f"expected one {name}, got two")
            seen.add((run.arm, run.seed))
            if not run.metrics or not all("step" in row for row in run.metrics):
                raise UsageError(f"{name} has no metrics, or an entry without a step")
            counted(run.evaluated)  # raises if all episodes are missing
            questions = {scored.trajectory.question.id for scored in run.evaluated}
            if not questions or questions != self._questions:
                raise UsageError(
                    f"expected the {len(self._questions)} questions of the first run, got"
                    f" {len(questions)} other questions of {name}; evaluate all on one set"
                )


class Effect(Record, frozen=True, kw_only=True):
    """The effect of one change of the reward on every measure.

    Args:
        contrast: The two arms and their difference.
        moved: Name of a measure to the difference between the arms, paired by question; without
            measures that have no values.
        seeds: Name of a measure to the same difference for each common seed.
    """

    contrast: Contrast
    moved: dict[str, Interval]
    seeds: dict[str, dict[int, float]]

    @property
    def label(self) -> str:
        """The change and the arm that it was added to."""
        return f"{self.contrast.what}, added to {self.contrast.before}"


def effects(sweep: Sweep, contrasts: Sequence[Contrast]) -> list[Effect]:
    """Return the effect of each contrast with both arms in a sweep.

    Args:
        sweep: The runs.
        contrasts: Pairs of arms.
    """
    arms = set(sweep.arms)
    return [
        _effect(sweep, contrast)
        for contrast in contrasts
        if {contrast.before, contrast.after} <= arms
    ]


def in_words(effect: Effect) -> str:
    """Return a sentence about the measures whose interval excludes zero.

    Args:
        effect: The effect.
    """
    changes = []
    for measure in (*MEASURES, MISSING):
        found, unit = effect.moved.get(measure.name), measure.unit
        if found is not None and found.excludes_zero:
            change = f"{show_difference(found.mean, unit)}, {span(found, unit, signed=True)}"
            changes.append(f"{measure.label[0].lower()}{measure.label[1:]} ({change})")
    return f"{effect.label}: {', '.join(changes) if changes else 'nothing moved clearly'}."


def effect_charts(found: Sequence[Effect]) -> list[Dots]:
    """Return one chart per measure with all effects and their intervals.

    Args:
        found: The effects.
    """
    charts = []
    for measure in (*MEASURES, MISSING):
        rows = {effect.label: effect.moved.get(measure.name) for effect in found}
        chart = dots(measure.label, rows, unit=measure.unit, signed=True)
        if chart is not None:
            charts.append(chart)
    return charts


def sweep_markdown(
    sweep: Sweep, found: Sequence[Effect], facts: Mapping[str, str], verdict: str
) -> str:
    """Return the sweep in Markdown: verdict, arms, effects, setup.

    Args:
        sweep: The runs.
        found: The effects.
        facts: Configuration, machine and versions: name to text.
        verdict: The result in a sentence.
    """
    first = sweep.arms[0]
    lines = ["# Training runs compared", "", verdict, "", "## After training", ""]
    lines += [f"95 % intervals from drawing questions; Δ is the difference from {first}.", ""]
    lines += markdown_row("measure", *sweep.arms, head=True)
    for measure in sweep.measures:
        cells = (_arm_cell(sweep, arm, measure) for arm in sweep.arms)
        lines += markdown_row(measure.label, *cells)
    if found:
        lines += ["", "## What moves what", "", *(f"- {in_words(effect)}" for effect in found), ""]
        lines += markdown_row("measure", *(effect.label for effect in found), head=True)
        for measure in sweep.measures:
            lines += markdown_row(
                measure.label, *(_effect_cell(effect, measure) for effect in found)
            )
    lines += ["", "## Setup", "", *(f"- {name}: {text}" for name, text in facts.items())]
    return "\n".join(lines) + "\n"


def _arm_cell(sweep: Sweep, arm: str, measure: Measure) -> str:
    cell, unit = sweep.compared(arm, measure), measure.unit
    if cell.mean is None:
        return "–"
    text = f"{show(cell.mean.mean, unit)} ({span(cell.mean, unit)})"
    if cell.difference is not None and arm != sweep.arms[0]:
        text += f"; Δ {_change(cell.difference, measure)}"
    return text


def _effect_cell(effect: Effect, measure: Measure) -> str:
    name, unit = measure.name, measure.unit
    if name not in effect.moved:
        return "–"
    seeds = ", ".join(show_difference(mean, unit) for mean in effect.seeds[name].values())
    return f"{_change(effect.moved[name], measure)}; by seed {seeds or '–'}"


def _change(found: Interval, measure: Measure) -> str:
    """Return a difference with its interval, in bold if the interval excludes zero."""
    unit = measure.unit
    text = f"{show_difference(found.mean, unit)} ({span(found, unit, signed=True)})"
    return f"**{text}**" if found.excludes_zero else text


def _effect(sweep: Sweep, contrast: Contrast) -> Effect:
    moved, seeds = {}, {}
    for measure in sweep.measures:
        after = sweep.compared(contrast.after, measure, contrast.before)
        if after.difference is not None:
            before = sweep.by_seed(contrast.before, measure)
            both = sorted(after.seeds.keys() & before.keys())
            moved[measure.name] = after.difference
            seeds[measure.name] = {seed: after.seeds[seed] - before[seed] for seed in both}
    return Effect(contrast=contrast, moved=moved, seeds=seeds)


def curves(sweep: Sweep) -> list[Chart]:
    """Return one chart per metric: a line per arm with the mean of its seeds and their range.

    Args:
        sweep: The runs.

    Returns:
        The charts; none where there are more than `MAX_ARMS` arms.
    """
    charts: list[Chart] = []
    if len(sweep.arms) > MAX_ARMS:
        return charts
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
    notes: Mapping[str, str] | None = None,
    found: Sequence[Effect] = (),
    facts: Mapping[str, str] | None = None,
    title: str = "Training runs compared",
) -> None:
    """Write the report as one self-contained HTML file.

    Args:
        path: The HTML file.
        sweep: The runs.
        notes: Arm to what stands beside its name.
        found: The effects of the reward's parts; see `effects`.
        facts: Configuration, machine and versions: name to text.
        title: Title of the page.
    """
    measures = sweep.measures
    rows = {arm: {m.name: sweep.compared(arm, m) for m in measures} for arm in sweep.arms}
    accuracies = {arm: sweep.compared(arm, MEASURES[0]).mean for arm in sweep.arms}
    context = {
        "title": title,
        "verdict": verdict(sweep),
        "effects": found,
        "moved": effect_charts(found),
        "said": [in_words(effect) for effect in found],
        "sweep": sweep,
        "measures": measures,
        "rows": rows,
        "accuracy": dots("Accuracy after training", accuracies, baseline=sweep.arms[0]),
        "curves": curves(sweep),
        "too_many": len(sweep.arms) > MAX_ARMS,
        "notes": notes or {},
        "facts": facts or {},
    }
    write_page(path, "sweep.html.j2", context)


def sweep_table(sweep: Sweep) -> Table:
    """Return a table of held-out accuracy by arm for a terminal.

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
    """Return a sentence about the arms with clearly more or less accuracy than the first.

    Args:
        sweep: The runs.
    """
    changed: dict[str, list[str]] = {"more": [], "less": []}
    for arm in sweep.arms[1:]:
        change = sweep.compared(arm, MEASURES[0]).difference
        if change is not None and change.excludes_zero:
            changed["more" if change.low > 0 else "less"].append(arm)
    parts = [f"{', '.join(arms)} answered {way} right" for way, arms in changed.items() if arms]
    if not parts:
        return f"None did clearly better or worse than {sweep.arms[0]} on these questions."
    return f"Compared with {sweep.arms[0]}, {' and '.join(parts)}."


def _points(run: TrainedRun, key: str) -> dict[float, float]:
    rows = sorted(run.metrics, key=lambda row: row["step"])
    return {row["step"]: row[key] for row in rows if math.isfinite(row.get(key, math.nan))}


def _band(runs: Sequence[Mapping[float, float]]) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return the smoothed mean over runs at each common step, and the range of the runs."""
    known = [run for run in runs if run]
    steps = sorted(set.intersection(*(set(run) for run in known))) if known else []
    window = max(1, len(steps) // 15)
    smoothed = [smooth([(step, run[step]) for step in steps], window) for run in known]
    by_step = [[points[i][1] for points in smoothed] for i in range(len(steps))]
    means = tuple((step, math.fsum(ys) / len(ys)) for step, ys in zip(steps, by_step, strict=True))
    ends = tuple((min(ys), max(ys)) for ys in by_step) if len(known) > 1 else ()
    return means, ends


def _mean(values: Mapping[str, Sequence[float]]) -> float:
    flat = [value for question in values.values() for value in question]
    return math.fsum(flat) / len(flat)
