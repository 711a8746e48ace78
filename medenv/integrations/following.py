"""Following a trainer: what it logs as it logs it, and one line that says why it ended early."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from medenv.errors import InfraError
from medenv.integrations.processes import Tree

Logged = tuple[int, dict[str, float]]
"""A step and what was logged for it."""


class TrainingFailedError(InfraError):
    """A trainer ended early or stood still; its log says why."""


def follow(tree: Tree, metrics: Path, log: Path, patience: float) -> Iterator[Logged]:
    """Yield what a trainer logs until it ends.

    Args:
        tree: The trainer.
        metrics: The JSON lines that verl's file logger writes.
        log: All output of the trainer's processes.
        patience: How long neither file may stand still, seconds.

    Raises:
        TrainingFailedError: The trainer failed, or did nothing for as long as `patience`.
    """
    seen, moved, size = 0, time.monotonic(), -1
    while True:
        status = tree.poll()
        lines = metrics.read_bytes().split(b"\n")[:-1] if metrics.exists() else []
        for line in lines[seen:]:
            entry = json.loads(line)
            yield int(entry["step"]), entry["data"]
        if len(lines) != seen or log.stat().st_size != size:
            seen, moved, size = len(lines), time.monotonic(), log.stat().st_size
        if status is not None:
            if status != 0:
                raise TrainingFailedError(f"the trainer ended with status {status}: {_why(log)}")
            return
        if time.monotonic() - moved > patience:
            raise TrainingFailedError(
                f"the trainer has done nothing for {patience:g} s and was stopped; see {log}"
            )
        time.sleep(0.5)


def _why(log: Path) -> str:
    """The last line of the log that names an error, and where the rest is."""
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if "Error" in line and not line.startswith(" ")]
    return f"{errors[-1][-300:] if errors else 'no error was printed'} (see {log})"
