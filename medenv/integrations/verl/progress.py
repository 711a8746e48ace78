"""Progress of a training run in the terminal: what is going on, how far, how long still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from medenv.integrations.verl.best import accuracies
from medenv.integrations.verl.run import Run
from medenv.report.progress import steps_bar

Report = Callable[[int, dict[str, float]], None]
"""Receives each step and what was logged for it."""


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
    return ", ".join(f"{value:.3f} {sampling}" for sampling, value in accuracies(logged).items())


def _described(logged: dict[str, float]) -> str:
    accuracy = logged.get("reward/accuracy/raw")
    return "training" if accuracy is None else f"training accuracy {accuracy:.2f}"
