"""Journals: one process at a time, and nothing lost but what was being written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from medenv.errors import DataError
from medenv.io import FolderInUseError, Journal

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
        (b"[1]\n", 1, "journal"),
        (b"caf\xe9\n", 1, "journal"),
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
        with pytest.raises(FolderInUseError) as caught:
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


def test_a_key_stands_once_where_keys_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with opened(path) as journal:
        journal.append(Row(1), Row(2), Row(1))
    with pytest.raises(DataError) as raised:
        Journal(path, RUN, Row, key=lambda row: row.i)
    assert raised.value.line == 4
    with opened(path) as journal:  # the refused one has released its lock
        assert journal.known == [Row(1), Row(2), Row(1)]


@pytest.mark.parametrize("torn", [b"", b'{"i":', b"x" * 200_000])
def test_a_journal_may_leave_its_records_on_disk(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, RUN, Row, keep=False) as journal:
        journal.append(*map(Row, range(20_000)))
        assert journal.known == []
    with path.open("ab") as file:
        file.write(torn)
    with Journal(path, RUN, Row, keep=False) as journal:
        journal.append(Row(-1))
        assert (journal.known, journal.head) == ([], RUN)
    assert opened(path).known == [*map(Row, range(20_000)), Row(-1)]


def test_a_caller_may_sync_the_journal_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    journal = Journal(tmp_path / "j.jsonl", RUN, Row, sync=False)
    with monkeypatch.context() as counted:
        counted.setattr(os, "fdatasync", synced.append)
        journal.append(Row(1))
        assert synced == []
        journal.sync()
        assert len(synced) == 1
        counted.setattr(os, "fdatasync", full)
        with pytest.raises(DataError, match="No space left"):
            journal.sync()
    journal.close()


def test_a_journal_without_a_whole_first_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"run":')
    with Journal(path, RUN, Row, keep=False) as journal:
        journal.append(Row(1))
    assert opened(path).known == [Row(1)]
    with pytest.raises(DataError, match="another run"):
        Journal(path, {"run": "9"}, Row, keep=False)
