"""A run's processes are stopped together, wherever they have fled to."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil

from medenv.integrations.verl.processes import MARK, Tree, mark_of, marked, own_folder

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
    tree = Tree([sys.executable, "-c", FLEEING], {}, tmp_path / "log", "fleeing")
    wait_for(lambda: tree.poll() is not None)
    assert tree.poll() == 0
    (orphan,) = marked(tree.mark)
    assert tree.stop(grace=0.5) == 1
    wait_for(lambda: not psutil.pid_exists(orphan.pid))
    assert marked(tree.mark) == []


def test_output_goes_to_the_log_and_variables_reach_the_child(tmp_path: Path) -> None:
    code = f"import os; print(os.environ['GREETING'], os.environ['{MARK}'])"
    tree = Tree([sys.executable, "-c", code], {"GREETING": "hello"}, tmp_path / "log", "told")
    wait_for(lambda: tree.poll() is not None)
    assert (tmp_path / "log").read_text().split() == ["hello", tree.mark]
    tree.stop()


def test_a_folder_is_the_mark_of_its_processes_however_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    assert (
        mark_of(tmp_path / "link")
        == mark_of(tmp_path / "run")
        == mark_of(tmp_path / "other" / ".." / "run")
    )


def test_a_folder_is_taken_over_with_nothing_running_in_it(tmp_path: Path) -> None:
    folder, said = tmp_path / "run", list[str]()
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    left, elsewhere = (
        Tree(sleeper, {}, tmp_path / "log", mark) for mark in (mark_of(folder), "elsewhere")
    )
    with own_folder(folder, said.append):
        assert marked(mark_of(folder)) == []
        assert said == ["ending 1 process that an earlier start left running"]
    assert left.poll() is not None
    assert elsewhere.poll() is None
    elsewhere.stop(grace=2.0)


def test_another_trees_processes_are_left_alone(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    one, two = (Tree(sleeper, {}, tmp_path / name, name) for name in ("one", "two"))
    one.stop(grace=2.0)
    assert one.poll() is not None
    assert two.poll() is None
    two.stop(grace=2.0)
