"""Progress in the terminal: the step that is under way, how far it is, how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from medenv.kg.questions import synthesis


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )


@contextmanager
def steps_bar(total: int, description: str, console: Console) -> Iterator[Callable[..., None]]:
    """Show a bar over steps with an estimate of the time that is left.

    Args:
        total: Number of steps.
        description: Text before the first step.
        console: Where it is shown.

    Yields:
        A function of the number of steps done, a new description, and the number of all steps
        where it has changed.
    """
    with Progress(*_columns(), console=console, speed_estimate_period=600) as progress:
        bar = progress.add_task(description, total=total)

        def advance(step: int, now: str, total: int | None = None) -> None:
            progress.update(bar, completed=step, description=now, total=total)

        yield advance


class ConsoleProgress(synthesis.Progress):
    """Prints each step, and shows a bar while questions are made.

    Args:
        console: Where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._bar = TaskID(0)

    def say(self, step: str) -> None:
        """Print the step that begins."""
        self._console.print(f"  {step} ...", soft_wrap=True)

    def made(self, split: str, wanted: int, so_far: int) -> None:
        """Move the bar of a split; it ends with the last question."""
        if self._bars is None:
            self._bars = Progress(*_columns(), console=self._console)
            # Questions of an earlier run say nothing about the speed of this one.
            self._bar = self._bars.add_task(f"{split} questions", total=wanted, completed=so_far)
            self._bars.start()
        self._bars.update(self._bar, completed=so_far)
        if so_far >= wanted:
            self.close()

    def close(self) -> None:
        """End the bar, if there is one."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def __enter__(self) -> ConsoleProgress:
        """Return the progress."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the bar."""
        self.close()
