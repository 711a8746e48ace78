"""Stands in for verl's trainer, as `hardware.launch=[python, stand_in.py, BEHAVIOUR]`.

It writes what verl's trainer writes: a line of metrics a step, a heartbeat, checkpoints, a log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

BEHAVIOUR, CONFIG = sys.argv[1], Path(sys.argv[-1])
METRICS = Path(os.environ["VERL_FILE_LOGGER_PATH"])
FOLDER = CONFIG.parent
FIRST = METRICS.name == "0000.jsonl"
SLEEPER = "import time; time.sleep(600)"
# It imports nothing of medenv, so that it starts at once.


def log(step: int, **data: float) -> None:
    """Log a step as verl's file logger does."""
    with METRICS.open("a") as file:
        file.write(json.dumps({"step": step, "data": {"critic/score/mean": 0.5, **data}}) + "\n")


def beat(**report: object) -> None:
    """Write a heartbeat as `Watch` does."""
    partial = FOLDER / "heartbeat.part"
    partial.write_text(json.dumps(report))
    partial.replace(FOLDER / "heartbeat.json")


def say(line: str) -> None:
    """Write a line to the log."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def pending() -> NoReturn:
    """Wait for ever, as verl does for episodes that a dead worker owes it, and say so."""
    while True:
        say("INFO: pending: 4, running: 0, finished: 0, failure: 0")
        time.sleep(0.1)


def finish(after: int) -> None:
    """Train the steps that are left, and validate."""
    for step in range(after + 1, 5):
        log(step, **({"val-core/medenv/sampled/acc/mean@2": 1.0} if step == 4 else {}))


def hang() -> None:
    """Stand still after the second step."""
    log(1)
    log(2)
    pending()


def slow() -> None:
    """Take longer for a step than the patience, with episodes that end meanwhile."""
    for episodes in range(1, 9):
        beat(step=1, episodes=episodes)
        time.sleep(1.0)
    finish(0)


def lose() -> None:
    """Lose a worker for good in each attempt."""
    log(1)
    beat(step=2, episodes=3, lost="agent loop worker 0 (killed)")
    pending()


def fail_once() -> None:
    """Fail after two steps in the first attempt; train to the end in the second."""
    if FIRST:
        log(1)
        log(2)
        say("RuntimeError: the engine is gone")
        sys.exit(1)
    finish(2)


def fail_at_once() -> None:
    """Fail before the first step."""
    say("ValueError: a setting that verl refuses")
    sys.exit(1)


def leave_orphans() -> None:
    """Leave processes in sessions of their own in the first attempt; train in the next."""
    if FIRST:
        subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
        log(1)
        pending()
    finish(0)


if __name__ == "__main__":
    globals()[BEHAVIOUR]()
