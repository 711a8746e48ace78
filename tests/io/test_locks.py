"""A folder belongs to one process at a time, and to nobody when that process is gone."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medenv.errors import DataError
from medenv.io.locks import LOCK_FILE, FolderInUseError, FolderLock

HOLDING = """
import sys, time
from pathlib import Path
from medenv.io.locks import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLDING, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with another_process(folder) as holder:
        with pytest.raises(FolderInUseError) as told, FolderLock(folder):
            pass
        assert told.value.holder is not None
        assert told.value.holder.pid == holder.pid
        line = str(told.value)
        assert str(folder) in line
        assert f"process {holder.pid} on " in line
        assert "\n" not in line


def test_a_killed_process_leaves_the_folder_free(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        holder.kill()
        holder.wait()
        with FolderLock(tmp_path):
            pass


def test_a_child_process_does_not_keep_the_folder(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with FolderLock(tmp_path):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_the_same_process_is_refused_too_and_may_come_back(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with lock, pytest.raises(FolderInUseError), FolderLock(tmp_path):
        pass
    with lock:
        pass


def test_a_holder_that_has_not_written_its_name_yet_is_no_error_of_another_kind(
    tmp_path: Path,
) -> None:
    with FolderLock(tmp_path):
        (tmp_path / LOCK_FILE).write_text("")
        with (
            pytest.raises(FolderInUseError, match="in use by another process"),
            FolderLock(tmp_path),
        ):
            pass


def test_the_error_crosses_process_borders(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(FolderInUseError) as told, FolderLock(tmp_path):
        pass
    copied = pickle.loads(pickle.dumps(told.value))
    assert (copied.folder, copied.holder) == (told.value.folder, told.value.holder)


FORKED = """
import os, sys, time
from pathlib import Path
from medenv.io.locks import FolderLock
with FolderLock(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        time.sleep(600)
with FolderLock(Path(sys.argv[1])):
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def test_a_forked_process_does_not_keep_a_folder_that_was_released(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], check=True)


def test_a_folder_that_cannot_hold_a_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"), FolderLock(tmp_path / "file"):
        pass
