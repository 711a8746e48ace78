"""Files and folders that appear whole or not at all, with the modes of the umask."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from medenv.errors import DataError
from medenv.io import (
    atomic_file,
    atomic_folder,
    atomic_path,
    read_records,
    write_bytes,
    write_json,
    write_records,
    write_text,
)


class Row(msgspec.Struct):
    i: int


@pytest.fixture(params=[0o022, 0o002, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def by_path(path: Path) -> None:
    with atomic_path(path) as partial:
        partial.write_bytes(b"x")


WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: write_bytes(path, b"x"),
    "text": lambda path: write_text(path, "x"),
    "json": lambda path: write_json(path, {"x": 1}),
    "records": lambda path: write_records(path, [Row(1)]),
    "path": by_path,
}
every = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@every
def test_files_have_the_modes_of_the_umask(
    tmp_path: Path, write: Callable[[Path], object], umask: int
) -> None:
    write(tmp_path / "folder" / "file")
    assert mode(tmp_path / "folder" / "file") == 0o666 & ~umask
    assert mode(tmp_path / "folder") == 0o777 & ~umask


def test_folders_and_all_in_them_have_the_modes_of_the_umask(tmp_path: Path, umask: int) -> None:
    with atomic_folder(tmp_path / "new") as partial:
        (partial / "inside").mkdir()
        write_text(partial / "inside" / "file", "x")
    assert mode(tmp_path / "new") == mode(tmp_path / "new" / "inside") == 0o777 & ~umask
    assert mode(tmp_path / "new" / "inside" / "file") == 0o666 & ~umask


@every
def test_a_file_that_exists_is_replaced_and_nothing_else_left(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    (tmp_path / "file").write_text("old")
    write(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() != "old"


@every
def test_a_link_stays_and_what_it_points_to_is_replaced(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "big" / "file")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "big" / "file").read_text() != "old"


def half_a_file(path: Path) -> None:
    with atomic_file(path) as file:
        file.write(b"half")
        raise KeyError


def half_a_folder(path: Path) -> None:
    with atomic_folder(path) as partial:
        (partial / "half").write_text("x")
        raise KeyError


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    def broken() -> Iterator[Row]:
        yield Row(1)
        raise KeyError

    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyError):
        write_records(tmp_path / "file", broken())
    with pytest.raises(KeyError):
        half_a_file(tmp_path / "file")
    with pytest.raises(KeyError):
        half_a_folder(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_killed_writer_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    code = """
import os, sys
from pathlib import Path
from medenv.io import atomic_file, atomic_folder
here = Path(sys.argv[1])
target = here / "folder"
with atomic_file(here / "file") as file, atomic_folder(target, existing="replace") as folder:
    file.write(b"new")
    file.flush()
    (folder / "file").write_text("new")
    os.kill(os.getpid(), 9)
"""
    status = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode
    assert status == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "file").read_text() == "old"


def test_writers_at_the_same_time_never_meet_in_one_partial_file(tmp_path: Path) -> None:
    def write(i: int) -> None:
        for _ in range(20):
            write_records(tmp_path / "file", [Row(i)] * 200)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.i for one in read_records(tmp_path / "file", Row)}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for write in (*WRITERS.values(), lambda path: atomic_folder(path).__enter__()):
        with pytest.raises(DataError, match="cannot be written") as caught:
            write(tmp_path / "file" / "below")
        assert caught.value.path == tmp_path / "file" / "below"
    with pytest.raises(DataError, match="cannot be written"):
        write_bytes(tmp_path, b"x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_by_name(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic_file(tmp_path / "file") as file:
            os.dup2(full, file.fileno())
            file.write(b"x")

    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(DataError, match="No space left"):
        fill()
    os.close(full)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("existing", "content", "refused"),
    [("refuse", "old", True), ("keep", "old", False), ("replace", "new", False)],
)
def test_a_folder_that_exists_is_refused_kept_or_replaced(
    tmp_path: Path, existing: Literal["refuse", "keep", "replace"], content: str, refused: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")

    def write() -> None:
        with atomic_folder(tmp_path / "folder", existing=existing) as partial:
            (partial / "file").write_text("new")

    if refused:
        with pytest.raises(DataError, match="not empty"):
            write()
    else:
        write()
    assert (tmp_path / "folder" / "file").read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "folder") as partial:
            (partial / "file").write_text("new")
            (tmp_path / "folder").mkdir()
            (tmp_path / "folder" / "file").write_text("old")

    with pytest.raises(DataError, match="not empty"):
        write()
    assert (tmp_path / "folder" / "file").read_text() == "old"


@pytest.mark.parametrize("existing", ["refuse", "keep", "replace"])
def test_an_empty_folder_is_used_and_a_file_never_replaced(
    tmp_path: Path, existing: Literal["refuse", "keep", "replace"]
) -> None:
    (tmp_path / "folder").mkdir()
    with atomic_folder(tmp_path / "folder", existing=existing) as partial:
        (partial / "file").write_text("new")
    assert (tmp_path / "folder" / "file").read_text() == "new"
    with (
        pytest.raises(DataError),
        atomic_folder(tmp_path / "folder" / "file", existing=existing) as partial,
    ):
        (partial / "x").write_text("x")
    assert (tmp_path / "folder" / "file").read_text() == "new"


def test_many_who_replace_one_folder_leave_one_of_their_works(tmp_path: Path) -> None:
    def write(i: int) -> None:
        for _ in range(20):
            with atomic_folder(tmp_path / "folder", existing="replace") as partial:
                for name in ("a", "b"):
                    (partial / name).write_text(str(i))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_text() for path in (tmp_path / "folder").iterdir()}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_lines_are_packed_where_the_name_says_so_and_alike_each_time(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        assert write_records(tmp_path / name, [Row(1), Row(2)]) == 2
    assert (tmp_path / "a.jsonl.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert list(read_records(tmp_path / "a.jsonl.gz", Row)) == [Row(1), Row(2)]


def test_lone_surrogates_do_not_keep_a_text_from_being_written(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "a\ud800b\n")
    assert (tmp_path / "x").read_bytes() == b"a?b\n"
