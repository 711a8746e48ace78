"""A run's processes are stopped together, wherever they have fled to."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil

from medenv.integrations.processes import MARK, Tree

FLEEING = """
import os, subprocess, sys, time
sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=True)
print("started", flush=True)
"""


def wait_for(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:  # type: ignore[operator]  # a plain callable
        time.sleep(0.05)


def test_an_orphan_in_a_session_of_its_own_is_found_and_stopped(tmp_path: Path) -> None:
    tree = Tree([sys.executable, "-c", FLEEING], {}, tmp_path / "log")
    wait_for(lambda: tree.poll() is not None)
    assert tree.poll() == 0
    (orphan,) = tree.members()
    assert tree.stop(grace=0.5) == 1
    wait_for(lambda: not psutil.pid_exists(orphan.pid))
    assert tree.members() == []


def test_output_goes_to_the_log_and_variables_reach_the_child(tmp_path: Path) -> None:
    code = f"import os; print(os.environ['GREETING'], os.environ['{MARK}'])"
    tree = Tree([sys.executable, "-c", code], {"GREETING": "hello"}, tmp_path / "log")
    wait_for(lambda: tree.poll() is not None)
    assert (tmp_path / "log").read_text().split() == ["hello", tree.mark]
    tree.stop()


def test_another_trees_processes_are_left_alone(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    one, two = (Tree(sleeper, {}, tmp_path / name) for name in ("one", "two"))
    one.stop(grace=2.0)
    assert one.poll() is not None
    assert two.poll() is None
    two.stop(grace=2.0)
