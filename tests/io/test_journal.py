"""Journals and locks: one process at a time, and nothing lost but what was being written."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from medenv.errors import DataError, InUseError, UsageError
from medenv.io import FolderLock, Journal

RUN = {"run": "7", "model": "m"}


class Row(msgspec.Struct):
    i: int


def opened(path: Path, run: dict[str, str] = RUN) -> Journal[Row]:
    return Journal(path, run, Row, {"date": "today"})


def test_what_was_appended_is_known_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "j.jsonl"
    with opened(path) as journal:
        journal.append(Row(1))
        journal.append(Row(2), Row(3))
        assert journal.known == [Row(1), Row(2), Row(3)]
    with Journal(path, RUN, Row, {"date": "tomorrow"}) as journal:
        assert journal.known == [Row(1), Row(2), Row(3)]
        assert journal.head == {**RUN, "date": "today"}
        journal.append(Row(4))
    assert path.read_bytes().count(b"\n") == 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_last_line_that_was_cut_short_is_dropped_and_the_next_one_whole(
    tmp_path: Path, cut: int
) -> None:
    path = tmp_path / "j.jsonl"
    with opened(path) as journal:
        journal.append(Row(1), Row(22222))
    path.write_bytes(path.read_bytes()[:-cut])
    with opened(path) as journal:
        assert journal.known == [Row(1)]
        journal.append(Row(3))
    with opened(path) as journal:
        assert journal.known == [Row(1), Row(3)]


def test_a_first_line_that_was_cut_short_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"run":')
    with opened(path) as journal:
        assert (journal.known, journal.head["run"]) == ([], "7")


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"[1]\n", 1, "is no journal"),
        (b"caf\xe9\n", 1, "is no journal"),
        (b'{"run":"7","model":"m"}\n{"i":1}\n{"i":\n{"i":3}\n', 3, "is damaged"),
        (b'{"run":"7","model":"m"}\n{"i":"\xe9"}\n', 2, "is damaged"),
        (b'{"run":"8","model":"m"}\n', None, "run '8', now '7'"),
        (b'{"run":"7"}\n', None, "model 'none', now 'm'"),
    ],
)
def test_another_runs_journal_and_a_damaged_one_are_refused_and_left_free(
    tmp_path: Path, content: bytes, line: int | None, problem: str
) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(DataError, match=problem) as caught:
            opened(path)
        assert (caught.value.path, caught.value.line) == (path, line)
    assert path.read_bytes() == content


def test_a_second_one_is_refused_in_one_line_that_names_file_and_process(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with opened(path) as journal:
        with pytest.raises(InUseError) as caught:
            opened(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
        assert f"process {os.getpid()}" in str(caught.value)
        journal.append(Row(1))
    assert opened(path).known == [Row(1)]


def test_a_write_that_fails_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with opened(tmp_path / "j.jsonl") as journal:
        journal.append(Row(1))

        def half(number: int, data: bytes) -> int:
            if len(data) > 3:
                return write(number, bytes(data[:3]))
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", half)
        with pytest.raises(DataError, match="No space left"):
            journal.append(Row(2))
        monkeypatch.undo()
        journal.append(Row(3))
    assert opened(tmp_path / "j.jsonl").known == [Row(1), Row(3)]


HOLD = (
    "import sys, time; from medenv.io import FolderLock; from pathlib import Path\n"
    "lock = FolderLock(sys.argv[1], mark='abc'); print('held', flush=True); time.sleep(600)\n"
)


def test_a_folder_in_use_is_refused_until_its_process_ends_however_that_is(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "held\n"
            with pytest.raises(InUseError) as caught:
                FolderLock(tmp_path)
            assert f"process {child.pid} (since 20" in str(caught.value)
            assert caught.value.path == tmp_path
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
    with FolderLock(tmp_path) as lock:
        assert (lock.left["mark"], lock.left["pid"]) == ("abc", str(child.pid))
    with FolderLock(tmp_path, mark="def") as lock:
        assert lock.left == {}, "the last holder released it"


def test_a_lock_is_released_once_and_by_the_end_of_its_block(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "new") as lock:
        with pytest.raises(InUseError):
            FolderLock(tmp_path / "new")
        lock.release()
        with FolderLock(tmp_path / "new"):
            pass
        lock.release()


FORKED = """
import os, sys, time
from medenv.io import FolderLock
lock = FolderLock(sys.argv[1])
child = os.fork()
if child == 0:
    time.sleep(600)
lock.release()
FolderLock(sys.argv[1]).release()
os.kill(child, 9)
os.waitpid(child, 0)
"""


def test_a_lock_is_released_for_forked_processes_too(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], check=True)


def test_a_lock_that_nobody_keeps_is_free(tmp_path: Path) -> None:
    FolderLock(tmp_path)
    FolderLock(tmp_path)


def test_a_folder_that_cannot_hold_a_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        FolderLock(tmp_path / "file")


def test_the_refusal_crosses_process_borders(tmp_path: Path) -> None:
    error = pickle.loads(pickle.dumps(InUseError(tmp_path, "process 7")))
    assert isinstance(error, UsageError)
    assert (error.path, error.holder) == (tmp_path, "process 7")
