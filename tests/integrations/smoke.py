"""A small training run for real, and what tests read of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

from medenv.integrations.verl.processes import MARK

ROOT = Path(__file__).parents[2]


NAME = "ablation/composite-seed0"
"""The run that all tests look at: what the sweep calls the reward `composite` with seed 0."""

LAST = 4
FILTERED = (
    "algorithm.filter_groups.enable=true",
    "algorithm.filter_groups.metric=reward/accuracy/raw",
)
"""As in DAPO; what is not filtered trains elsewhere, with PPO."""

ALARMED = ("alarms.steps=1", "alarms.entropy_below=100")
"""An alarm goes off in the first step, and the run goes on."""

EVERY_SAVED = (*FILTERED, *ALARMED, "trainer.save_freq=1", f"trainer.test_freq={LAST}")
LONGER = (*EVERY_SAVED, f"trainer.total_training_steps={LAST}")


def recipe(root: Path, *overrides: str) -> list[str]:
    command = [sys.executable, "recipes/train.py", "experiment=smoke", f"root={root}"]
    reward = "scoring.weights={accuracy: 1.0, format: 0.1, efficiency: 0.2}"
    return [*command, f"run={NAME}", reward, *overrides]


def train(root: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        recipe(root, *overrides), cwd=ROOT, capture_output=True, text=True, check=False
    )


def logged(folder: Path, attempt: int) -> dict[int, dict[str, float]]:
    lines = (folder / "metrics" / f"{attempt:04d}.jsonl").read_text().splitlines()
    steps: dict[int, dict[str, float]] = {}
    for line in lines:
        entry = json.loads(line)
        steps.setdefault(entry["step"], {}).update(entry["data"])
    return steps


def marked_processes(root: Path) -> list[psutil.Process]:
    """All processes of runs below a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            told = process.environ()
            mine = any(value.startswith(str(root)) for value in told.values())
            if MARK in told and mine and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


class Stopped(NamedTuple):
    """What became of a run that was stopped, and what it left.

    A step takes about a second, so the next one may be saved before all processes are gone.
    """

    code: int
    said: str
    ran: set[str]
    left: list[psutil.Process]
    checkpoint: int
