"""Commands on finished episodes: look at an evaluation, compare several, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medenv.envs.rendering import outcome, panel
from medenv.errors import UsageError
from medenv.evaluation.compare import Comparison, compare, read_evaluation, report_of
from medenv.evaluation.failures import failure_of
from medenv.evaluation.memory import MEMORY, Contrast
from medenv.evaluation.summary import summarise
from medenv.io import read_json, write_json
from medenv.records import Scored
from medenv.report.contrast import contrast_table
from medenv.report.evaluation import MARKDOWN, PAGE, EvaluationReport, verdict, write_evaluation
from medenv.report.formatting import show
from medenv.report.headline import failure_table, rich_table
from medenv.report.training import write_training_report

LISTED = 12
"""Episodes that are listed in the terminal at a time."""


def register(app: typer.Typer) -> None:
    """Add the commands.

    Args:
        app: The command line.
    """
    app.command("view")(view)
    app.command("compare")(compare_runs)
    app.command("export")(export_episodes)


def view(
    folder: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    page: Annotated[Path | None, typer.Option(help="Output HTML page; FOLDER/page.html.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Output Markdown file; FOLDER/report.md.")
    ] = None,
    terminal: Annotated[bool, typer.Option(help="Look at episodes here instead.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
) -> None:
    """Show an evaluation: how good, where it fails and why, and its episodes turn by turn."""
    run = read_evaluation(folder)
    console = Console()
    if terminal:
        summary = summarise(run.main, seed=seed)
        console.print(verdict(summary), soft_wrap=True, markup=False)
        if summary.failures:
            console.print(failure_table(summary.failures, "why not right"))
        _browse(console, run.main)
        return
    target = page or folder / PAGE
    report = EvaluationReport(
        sampled=run.sampled,
        greedy=run.greedy,
        facts={"folder": str(folder)},
        contrast=read_json(folder / MEMORY, Contrast) if (folder / MEMORY).exists() else None,
        title=folder.resolve().name,
        seed=seed,
    )
    write_evaluation(target, report, markdown or folder / MARKDOWN)
    console.print(f"wrote {target}: open it in a browser", markup=False, soft_wrap=True)


def _browse(console: Console, episodes: Sequence[Scored]) -> None:
    """List episodes by words, and show one by its number, until an empty line."""
    shown = list(enumerate(episodes, start=1))
    while True:
        table = Table("#", "outcome", "question", "answer")
        for number, one in shown[:LISTED]:
            failure, trajectory = failure_of(one), one.trajectory
            said = "right" if failure is None else str(failure.why)
            cells = (str(number), said, trajectory.question.text, trajectory.answer or "")
            table.add_row(*map(escape, cells))
        console.print(table)
        left = len(shown) - LISTED
        console.print(f"{left:,} more" * (left > 0), style="dim")
        line = _asked("number of an episode, or words or a reason to list by; empty stops: ")
        if not line:
            return
        if line.isdecimal() and 1 <= int(line) <= len(episodes):
            _show(console, episodes[int(line) - 1])
            continue
        found = [(i, one) for i, one in enumerate(episodes, start=1) if _has(one, line)]
        if not found:
            console.print(f"no episode has {line!r}", markup=False)
        shown = found or shown


def _asked(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        return ""


def _has(one: Scored, words: str) -> bool:
    """Return whether an episode's question, answer or outcome has every word."""
    failure, trajectory = failure_of(one), one.trajectory
    said = "right" if failure is None else failure.why
    text = f"{trajectory.question.id} {trajectory.question.text} {trajectory.answer} {said}"
    return all(word in text.lower() for word in words.lower().split())


def _show(console: Console, one: Scored) -> None:
    """Print an episode, its score and its proof."""
    trajectory = one.trajectory
    console.print(panel(trajectory.question.text, trajectory.question.id, "bold"))
    for number, turn in enumerate(trajectory.turns, start=1):
        console.print(panel(turn.text, f"Turn {number}", "green"))
        if turn.observation:
            console.print(panel(turn.observation, f"Results of turn {number}", "cyan"))
    if trajectory.ending is not None:
        console.print(outcome(trajectory.ending, one.score))
    gold = ", ".join(answer.name for answer in trajectory.question.answers) or "unknown"
    console.print(f"The answer was: {gold}", markup=False, soft_wrap=True)
    failure = failure_of(one)
    if failure is not None:
        where = f", decided in turn {failure.turn + 1}" * (failure.turn >= 0)
        console.print(f"Not right: {failure.why}{where}", markup=False)


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
    if one.contrast is not None:
        console.print(contrast_table(one.contrast))
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


def export_episodes(
    folder: Annotated[
        Path, typer.Argument(help="Folder of an evaluation, a set of trajectories or a training.")
    ],
    to: Annotated[str, typer.Option(help="Form: atif, openai or parquet.")] = "atif",
    out: Annotated[Path | None, typer.Option(help="Output file; FOLDER/export.FORM.jsonl.")] = None,
) -> None:
    """Write episodes as ATIF, as chats of OpenAI's API, or as a table."""
    from medenv.trajectories.interchange import export, read_source

    suffix = "parquet" if to == "parquet" else f"{to}.jsonl"
    target = out or folder / f"export.{suffix}"
    written = export(read_source(folder), target, to)
    Console().print(f"wrote {written:,} episodes to {target}", markup=False, soft_wrap=True)
