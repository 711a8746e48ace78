"""Progress of a training run in the terminal: what is going on, how far, how long still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

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
    shown = []
    for name, value in sorted(logged.items()):
        if name.startswith("val-core/medenv/") and "/acc/mean@" in name:
            shown.append(f"{value:.3f} {name.split('/')[2]}")
    return ", ".join(shown)


def _described(logged: dict[str, float]) -> str:
    accuracy = logged.get("reward/accuracy/raw")
    return "training" if accuracy is None else f"training accuracy {accuracy:.2f}"
