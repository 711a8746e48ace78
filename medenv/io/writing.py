"""Files and folders that appear whole or not at all.

Each is written beside its place under a name of its own and moved there when it is whole and on the
disk, so that no reader sees half of it, no two writers meet in one partial file, and a crash leaves
what was there before. Modes are those that the umask gives to any new file.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import msgspec

from medenv.errors import DataError


def _partial(path: Path) -> Path:
    """Return a name beside a path that no other writer uses."""
    return path.with_name(f".{path.name[:100]}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")


@contextmanager
def whole_path(path: Path | str) -> Iterator[Path]:
    """Give a path to write a file at; what is written there is moved in place at the end.

    Where the file is a symbolic link, what it points to is replaced.

    Args:
        path: The file; its folder is made where it does not exist.

    Raises:
        DataError: The file cannot be written there.
    """
    path = Path(os.path.realpath(path))
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        with _naming(path):
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path | str) -> Iterator[BinaryIO]:
    """Give an open file to write to; it is moved in place at the end.

    Args:
        path: The file; its folder is made where it does not exist.

    Raises:
        DataError: The file cannot be written there.
    """
    with whole_path(path) as partial:
        with _naming(Path(path)):
            file = partial.open("xb")
        try:
            yield file
            with _naming(Path(path)):
                file.close()  # writes what is left
        finally:
            file.close()


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file, whole or not at all.

    Args:
        path: The file; its folder is made where it does not exist.
        content: What it holds.

    Raises:
        DataError: It cannot be written.
    """
    with whole_file(path) as file, _naming(Path(path)):
        file.write(content)


def write_text(path: Path | str, text: str) -> None:
    """Write a file of UTF-8 text, whole or not at all; lone surrogates become ``?``.

    Args:
        path: The file; its folder is made where it does not exist.
        text: What it holds.

    Raises:
        DataError: It cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path | str, value: Any, *, indent: int = 2) -> None:
    """Write a value as a file of JSON, whole or not at all.

    Args:
        path: The file; its folder is made where it does not exist.
        value: What it holds.
        indent: Spaces of each level.

    Raises:
        DataError: It cannot be written.
    """
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=indent) + b"\n")


def write_records(path: Path | str, records: Iterable[Any]) -> int:
    """Write values as JSON lines, whole or not at all, and return their number.

    Args:
        path: The file, gzipped where its name ends in ``.gz``; its folder is made where it does not
            exist.
        records: The values, each a line.

    Raises:
        DataError: It cannot be written.
    """
    encode, count = msgspec.json.encode, 0
    with whole_file(path) as file:
        packed = Path(path).suffix == ".gz"
        out = cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=file, mtime=0)) if packed else file
        for count, record in enumerate(records, 1):  # noqa: B007 - the last count is returned
            line = encode(record) + b"\n"
            try:
                out.write(line)
            except OSError as error:
                raise DataError(path, f"cannot be written: {error.strerror or error}") from error
        if packed:
            out.close()
    return count


@contextmanager
def whole_folder(
    folder: Path | str, *, existing: Literal["refuse", "keep", "replace"] = "refuse"
) -> Iterator[Path]:
    """Give a folder to build in; it takes its final name when nothing failed.

    Args:
        folder: The final name.
        existing: What happens to a folder that has the name by then and holds something: it is
            refused, kept while what was built is dropped (as where another process was faster), or
            replaced.

    Raises:
        DataError: The folder exists and is neither kept nor replaced, or cannot be written.
    """
    final = Path(os.path.realpath(folder))
    if existing == "refuse" and final.exists() and not _empty(final):
        raise DataError(final, "holds something else already; name a new folder")
    partial = _partial(final)
    with _naming(final):
        partial.mkdir(parents=True)
    try:
        yield partial
        with _naming(final):
            for parent, _, names in os.walk(partial):
                for name in names:
                    _sync(Path(parent, name))
                _sync(Path(parent))
            _place(partial, final, existing)
            _sync(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _place(partial: Path, final: Path, existing: str) -> None:
    """Give a finished folder its final name."""
    replaced: list[Path] = []
    try:
        while True:
            try:
                partial.rename(final)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    if replaced:
                        replaced.pop().rename(final)
                    raise
            if existing == "refuse":
                raise DataError(final, "holds something else already; name a new folder")
            if existing == "keep":
                return
            old = _partial(final)
            with contextlib.suppress(FileNotFoundError):  # another writer replaces it right now
                final.rename(old)
                replaced.append(old)
    finally:
        for old in replaced:
            shutil.rmtree(old, ignore_errors=True)


def _empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        if not path.is_dir():  # of a folder, not every file system can
            raise
    finally:
        os.close(number)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file that could not be written."""
    try:
        yield
    except OSError as error:
        raise DataError(path, f"cannot be written: {error.strerror or error}") from error
