"""Write files and folders atomically.

Each is written next to its destination under a unique temporary name, synced to disk, and then
renamed. Readers never see a partial file, concurrent writers do not share a temporary file, and a
crash leaves the previous content. File modes follow the umask.
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
    """Return a unique temporary name in the folder of a path."""
    return path.with_name(f".{path.name[:100]}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path; the file written there is renamed to `path` at the end.

    If `path` is a symbolic link, its target is replaced.

    Args:
        path: The file; its folder is created if missing.

    Raises:
        DataError: The file cannot be written.
    """
    path = Path(os.path.realpath(path))
    with _write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        with _write_errors(path):
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path | str) -> Iterator[BinaryIO]:
    """Yield an open temporary file; it is renamed to `path` at the end.

    Args:
        path: The file; its folder is created if missing.

    Raises:
        DataError: The file cannot be written.
    """
    with atomic_path(path) as partial:
        with _write_errors(Path(path)):
            file = partial.open("xb")
        try:
            yield file
            with _write_errors(Path(path)):
                file.close()  # flushes the buffer
        finally:
            file.close()


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file atomically.

    Args:
        path: The file; its folder is created if missing.
        content: The bytes to write.

    Raises:
        DataError: The file cannot be written.
    """
    with atomic_file(path) as file, _write_errors(Path(path)):
        file.write(content)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file atomically; lone surrogates become ``?``.

    Args:
        path: The file; its folder is created if missing.
        text: The text to write.

    Raises:
        DataError: The file cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path | str, value: Any, *, indent: int = 2) -> None:
    """Write a value to a JSON file atomically.

    Args:
        path: The file; its folder is created if missing.
        value: The value to encode.
        indent: Spaces per level.

    Raises:
        DataError: The file cannot be written.
    """
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=indent) + b"\n")


def write_records(path: Path | str, records: Iterable[Any]) -> int:
    """Write values to a JSONL file atomically and return their number.

    Args:
        path: The file, gzipped if its name ends in ``.gz``; its folder is created if missing.
        records: The values, one per line.

    Raises:
        DataError: The file cannot be written.
    """
    encode, count = msgspec.json.encode, 0
    with atomic_file(path) as file:
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
def atomic_folder(
    folder: Path | str, *, existing: Literal["refuse", "keep", "replace"] = "refuse"
) -> Iterator[Path]:
    """Yield a temporary folder; it is renamed to `folder` at the end unless an exception occurs.

    Args:
        folder: The final path.
        existing: Action if a non-empty folder of that name exists: ``"refuse"`` raises, ``"keep"``
            keeps it and discards the new one (another process was faster), ``"replace"`` replaces
            it.

    Raises:
        DataError: The folder exists and `existing` is ``"refuse"``, or it cannot be written.
    """
    final = Path(os.path.realpath(folder))
    if existing == "refuse" and final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise DataError(final, "exists and is not empty; choose a new folder")
    partial = _partial(final)
    with _write_errors(final):
        partial.mkdir(parents=True)
    try:
        yield partial
        with _write_errors(final):
            for parent, _, names in os.walk(partial):
                for name in names:
                    _sync(Path(parent, name))
                _sync(Path(parent))
            _move_into_place(partial, final, existing)
            _sync(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move_into_place(partial: Path, final: Path, existing: str) -> None:
    """Rename a finished folder to its final path."""
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
                raise DataError(final, "exists and is not empty; choose a new folder")
            if existing == "keep":
                return
            old = _partial(final)
            with contextlib.suppress(FileNotFoundError):  # replaced by another writer
                final.rename(old)
                replaced.append(old)
    finally:
        for old in replaced:
            shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """Sync a file, or the entries of a folder, to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        if not path.is_dir():  # some file systems cannot sync a folder
            raise
    finally:
        os.close(number)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Convert an OSError to a DataError with the path."""
    try:
        yield
    except OSError as error:
        raise DataError(path, f"cannot be written: {error.strerror or error}") from error
