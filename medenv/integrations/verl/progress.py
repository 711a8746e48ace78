"""Progress of a training run in the terminal: what is going on, how far, how long still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from medenv.integrations.verl.run import Run

Report = Callable[[int, dict[str, float]], None]
"""Is told each step and what was logged for it."""


@contextmanager
def steps_bar(total: int, description: str, console: Console) -> Iterator[Callable[..., None]]:
    """Show a bar over steps with an estimate of the time that is left.

    Args:
        total: Number of steps.
        description: What is shown before the first step.
        console: Where to.

    Yields:
        A function that takes the number of steps done, a new description, and where it has
        changed the number of all steps.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=600) as progress:
        bar = progress.add_task(description, total=total)

        def advance(step: int, now: str, total: int | None = None) -> None:
            progress.update(bar, completed=step, description=now, total=total)

        yield advance


@contextmanager
def training_bar(run: Run, console: Console) -> Iterator[Report]:
    """Show a bar over the run's steps; validations are printed above it.

    Args:
        run: The run.
        console: Where to.

    Yields:
        A function that takes a step and what was logged for it.
    """
    with steps_bar(run.steps, "starting the engines", console) as advance:

        def report(step: int, logged: dict[str, float]) -> None:
            held_out = _held_out(logged)
            if held_out:
                console.print(f"step {step}: held-out accuracy {held_out}")
            advance(step, _described(logged))

        yield report


def _held_out(logged: dict[str, float]) -> str:
    """The accuracies of a validation, by how the policy wrote."""
    shown = []
    for name, value in sorted(logged.items()):
        if name.startswith("val-core/medenv/") and "/acc/mean@" in name:
            shown.append(f"{value:.3f} {name.split('/')[2]}")
    return ", ".join(shown)


def _described(logged: dict[str, float]) -> str:
    accuracy = logged.get("reward/accuracy/raw")
    return "training" if accuracy is None else f"training accuracy {accuracy:.2f}"
