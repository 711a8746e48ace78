"""The report of a training run: accuracy, learning curves and example episodes."""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.table import Table

from medenv.evaluation.measures import is_missing
from medenv.evaluation.memory import Contrast
from medenv.evaluation.summary import Summary, summarise
from medenv.records import Record, Scored
from medenv.report.charts import forest
from medenv.report.curves import Run, component_charts, learning_charts, other_charts
from medenv.report.episodes import RULE, choose, passages_of, path_steps
from medenv.report.headline import (
    Pair,
    accuracy_rows,
    component_rows,
    headline,
    pair,
    rich_table,
    verdict,
)
from medenv.report.html import write_page


class TrainingReport(Record, frozen=True, kw_only=True):
    """The data of a training report.

    Args:
        before_sampled: Episodes before training, with sampling; several per question.
        after_sampled: Episodes after training, with sampling, over the same questions.
        before_greedy: Episodes before training, greedy; may be empty.
        after_greedy: Episodes after training, greedy; may be empty.
        metrics: One mapping per training step with the key ``"step"``; reward components under
            ``"reward/<name>/raw"`` and ``"reward/<name>/weighted"``, the sum under
            ``"reward/total"``, validation under ``"val/accuracy"`` with optional ``"/low"`` and
            ``"/high"``.
        control: Metrics of a control run to draw for comparison, or None.
        facts: Configuration, seed, machine and versions: name to text.
        notices: Licences and acknowledgements of the sources.
        title: Title of the page.
        contrast: Memory against research, where the two sides differ in it; else None.
        training: Whether training lies between the two, which the page then says.
        seed: Seed of the bootstrap intervals.
    """

    before_sampled: list[Scored]
    after_sampled: list[Scored]
    before_greedy: list[Scored] = msgspec.field(default_factory=list)
    after_greedy: list[Scored] = msgspec.field(default_factory=list)
    metrics: list[dict[str, float]] = msgspec.field(default_factory=list)
    control: list[dict[str, float]] | None = None
    facts: dict[str, str] = msgspec.field(default_factory=dict)
    notices: list[str] = msgspec.field(default_factory=list)
    title: str = "Training report"
    contrast: Contrast | None = None
    training: bool = True
    seed: int = 0


def write_training_report(path: Path | str, report: TrainingReport) -> None:
    """Write the report as one self-contained HTML file.

    Args:
        path: The HTML file.
        report: The data.

    Raises:
        UsageError: No scored episode on a side, no question on both sides, an episode without an
            accuracy part, or metrics without a step.
    """
    sampled, greedy = _pairs(report)
    rows = headline(sampled, greedy, seed=report.seed)
    run = Run(report.metrics, report.control)
    well_known, rest = other_charts(run)
    context = {
        "title": report.title,
        "training": report.training,
        "later": "after training" if report.training else "after",
        "verdict": verdict(sampled, rows[0]),
        "sampled": sampled,
        "rows": rows,
        "contrast": report.contrast,
        "components": component_rows(sampled, seed=report.seed),
        "forest": forest(accuracy_rows(rows)),
        "sides": _sides(report, sampled),
        "learning": learning_charts(run),
        "component_charts": component_charts(run),
        "well_known": well_known,
        "other_charts": rest,
        "shown": choose(
            [*report.before_greedy, *report.before_sampled],
            [*report.after_greedy, *report.after_sampled],
        ),
        "rule": RULE,
        "facts": report.facts,
        "notices": report.notices,
        "path_steps": path_steps,
        "passages_of": passages_of,
    }
    write_page(path, "training.html.j2", context)


def print_table(report: TrainingReport) -> Table:
    """Return the headline table for a terminal.

    Args:
        report: The data.

    Raises:
        UsageError: As `write_training_report`.
    """
    sampled, greedy = _pairs(report)
    rows = headline(sampled, greedy, seed=report.seed)
    return rich_table(rows, verdict(sampled, rows[0]))


def _pairs(report: TrainingReport) -> tuple[Pair, Pair | None]:
    sampled = pair(report.before_sampled, report.after_sampled)
    if not (report.before_greedy and report.after_greedy):
        return sampled, None
    return sampled, pair(report.before_greedy, report.after_greedy)


def _sides(report: TrainingReport, sampled: Pair) -> list[tuple[str, Summary, int]]:
    """Return (name, summary, missing episodes including greedy ones) of both sides."""
    sides = (
        ("before", sampled.before, [*report.before_sampled, *report.before_greedy]),
        ("after", sampled.after, [*report.after_sampled, *report.after_greedy]),
    )
    return [
        (name, summarise(paired, seed=report.seed), sum(map(is_missing, every)))
        for name, paired, every in sides
    ]
