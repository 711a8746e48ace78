"""Follow a trainer: yield what it logs, notice when it stands still, start it again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from medenv.errors import InfraError
from medenv.integrations.verl.processes import Tree
from medenv.io import write_records
from medenv.records import Record

Logged = tuple[int, dict[str, float]]
"""A step and what was logged for it."""


HEARTBEAT = "heartbeat.json"
"""Name of the heartbeat's file in a run's folder."""


class Heartbeat(Record, frozen=True, kw_only=True):
    """Progress of a trainer as its own process reports it; rewritten at every change.

    Args:
        step: The step that it is in.
        episodes: Episodes that have ended with a score since it started.
        lost: The process that has died, or empty.
    """

    step: int = 0
    episodes: int = 0
    lost: str = ""

    def write(self, path: Path) -> None:
        """Replace the file with this report."""
        write_records(path, [self])

    @classmethod
    def read(cls, path: Path | None) -> Heartbeat:
        """Return the last report; zeros where there is none."""
        if path is None or not path.exists():
            return cls()
        return msgspec.json.decode(path.read_bytes(), type=cls)


class TrainingFailedError(InfraError):
    """A trainer ended early, stood still or lost one of its processes."""


def next_metrics(folder: Path) -> Path:
    """Return the file for the metrics of a new attempt; verl's file logger overwrites its file.

    Args:
        folder: The folder with a file for each attempt; made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{len(list(folder.glob('*.jsonl'))):04d}.jsonl"


def follow(
    tree: Tree, metrics: Path, log: Path, patience: float, heartbeat: Path | None = None
) -> Iterator[Logged]:
    """Yield what a trainer logs until it ends.

    Progress is a step that was logged or an episode that has ended; lines in the log are none,
    since verl reports every minute that it waits.

    Args:
        tree: The trainer.
        metrics: The JSON lines that verl's file logger writes.
        log: All output of the trainer's processes.
        patience: How long it may make no progress, seconds.
        heartbeat: The file of the trainer's `Heartbeat`, where it writes one.

    Raises:
        TrainingFailedError: The trainer failed, lost a process that it cannot do without, or made
            no progress for as long as `patience`.
    """
    seen, moved, before = 0, time.monotonic(), Heartbeat()
    while True:
        status = tree.poll()
        lines = metrics.read_bytes().split(b"\n")[:-1] if metrics.exists() else []
        for line in lines[seen:]:
            entry = json.loads(line)
            yield int(entry["step"]), entry["data"]
        now = Heartbeat.read(heartbeat)
        if len(lines) != seen or now != before:
            seen, moved, before = len(lines), time.monotonic(), now
        if now.lost:
            raise TrainingFailedError(f"the trainer lost {now.lost} and was stopped (see {log})")
        if status is not None:
            if status != 0:
                raise TrainingFailedError(f"the trainer ended with status {status}: {_why(log)}")
            return
        if time.monotonic() - moved > patience:
            done = f", {now.episodes:,} episodes in step {now.step}" if heartbeat else ""
            raise TrainingFailedError(
                f"the trainer has made no progress for {patience:g} s ({seen} lines of metrics"
                f"{done}) and was stopped; see {log}"
            )
        time.sleep(0.5)


def persist(
    attempt: Callable[[], Iterator[Logged]],
    restarts: int,
    is_finished: Callable[[], bool],
    say: Callable[[str], object],
) -> Iterator[Logged]:
    """Yield what a trainer logs, and restart it when it fails after its first step.

    A trainer that fails before its first step would fail again, and is not restarted.

    Args:
        attempt: Starts the trainer from its newest checkpoint, and yields what it logs.
        restarts: How often it may be restarted.
        is_finished: Returns whether training is complete, however the trainer ended.
        say: Receives the reason of a restart, in words.

    Raises:
        TrainingFailedError: It failed before its first step, or once more than `restarts` times.
    """
    for number in range(restarts + 1):
        steps = 0
        try:
            for step, logged in attempt():
                steps = max(steps, step)
                yield step, logged
            return
        except TrainingFailedError as error:
            if is_finished():
                return
            if not steps or number == restarts:
                raise
            say(f"{error}; restarting from the newest checkpoint ({number + 1} of {restarts})")


def _why(log: Path) -> str:
    """The last line of the log that names an error, and where the rest is."""
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if "Error" in line and not line.startswith(" ")]
    return f"{errors[-1][-300:] if errors else 'no error was printed'} (see {log})"
