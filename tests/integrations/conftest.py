"""One run of GRPO that the tests of training and of sweeps share: starting it takes a minute."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from .smoke import EVERY_SAVED, LAST, LONGER, NAME, ROOT, Stopped, marked_processes, recipe, train


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all runs."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def stopped(root: Path) -> Stopped:
    """A run stopped by Ctrl-C after its first step."""
    metrics = root / NAME / "metrics" / "0000.jsonl"
    with (root / "out").open("wb") as out:
        started = subprocess.Popen(
            recipe(root, *EVERY_SAVED, f"trainer.total_training_steps={LAST - 1}"),
            cwd=ROOT,
            stdout=out,
            stderr=out,
        )
        end = time.monotonic() + 400
        while time.monotonic() < end and started.poll() is None:
            if metrics.exists() and '"step":1,' in metrics.read_text():
                break  # which is logged when its checkpoint is saved
            time.sleep(0.1)
        ran = {process.name() for process in marked_processes(root)}
        started.send_signal(signal.SIGINT)
        code = started.wait(timeout=60)
    left = marked_processes(root)
    saved = root / NAME / "checkpoints" / "latest_checkpointed_iteration.txt"
    return Stopped(code, (root / "out").read_text(), ran, left, int(saved.read_text()))


@pytest.fixture(scope="session")
def run(root: Path, stopped: Stopped) -> Path:
    """The folder of that run, gone on to its end."""
    done = train(root, *LONGER)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "report:" in done.stdout
    return root / NAME
