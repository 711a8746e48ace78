"""The command that holds finished evaluations against one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medenv.errors import UsageError
from medenv.evaluation.compare import Comparison, compare, read_evaluation, report_of
from medenv.io import write_json
from medenv.report.formatting import show
from medenv.report.headline import rich_table
from medenv.report.training import write_training_report


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: The command line.
    """
    app.command("compare")(compare_runs)


def compare_runs(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of evaluations; the first is held against each.")
    ],
    flips: Annotated[int, typer.Option(help="Number of changed questions to list.")] = 10,
    page: Annotated[Path | None, typer.Option(help="Output HTML page, of two evaluations.")] = None,
    json: Annotated[Path | None, typer.Option(help="Output JSON file of all results.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the intervals and tests.")] = 0,
) -> None:
    """Compare finished evaluations of the same questions: paired differences, tests, flips."""
    if page and len(folders) != 2:
        raise UsageError(f"a page shows two evaluations, got {len(folders)}; leave --page out")
    runs = [read_evaluation(folder) for folder in folders]
    found = compare(runs, seed=seed)
    console = Console()
    for one in found:
        _print(console, one, flips, len(found))
    if page:
        write_training_report(page, report_of(runs[0], runs[1], seed=seed))
        console.print(f"wrote {page}", markup=False, soft_wrap=True)
    if json:
        write_json(json, found)


def _print(console: Console, one: Comparison, flips: int, tests: int) -> None:
    console.print(rich_table(one.rows, f"{one.before} and {one.after}"))
    gained = sum(flip.after > flip.before for flip in one.flips)
    left_out = f"; {one.dropped:,} that only one of them has are left out" * (one.dropped > 0)
    corrected = f", {one.corrected:.2g} corrected for {tests} comparisons" * (tests > 1)
    console.print(
        f"Of {one.questions:,} questions {gained:,} gained and {len(one.flips) - gained:,} lost "
        f"right answers{left_out}. Chance of so great a difference in accuracy between policies "
        f"that are alike: p = {one.p:.2g}{corrected} (permutations within questions).",
        soft_wrap=True,
    )
    if one.flips and flips > 0:
        table = Table("question", "before", "after", "asks", title="changed most")
        for flip in one.flips[:flips]:
            ends = show(flip.before, "share"), show(flip.after, "share")
            table.add_row(escape(flip.question), *ends, escape(flip.text))
        console.print(table)
    if one.failures:
        table = Table("why not right", "before", "after")
        for why, (before, after) in one.failures.items():
            table.add_row(why, f"{before:,}", f"{after:,}")
        console.print(table)
