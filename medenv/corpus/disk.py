"""Passages that stay on disk: of a file larger than memory only where each line begins is kept."""

from __future__ import annotations

import functools
import itertools
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from medenv.corpus.store import PassageStore
from medenv.errors import DataError
from medenv.io import write_records
from medenv.records import Passage

KEPT = 4_096
"""Passages kept decoded, those asked for last."""

_T = TypeVar("_T")
_CHUNK = 1 << 16

_decode = msgspec.json.Decoder(Passage).decode


class _Id(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(_Id).decode
_Lines = NDArray[np.int64]


class PassageFile:
    """Passages of a file of JSON lines, numbered in the order of their ids, read when asked for.

    A passage costs 16 bytes of memory, or of a memory-mapped file where `note_lines` has been here;
    texts are read from the file each time, but for the `KEPT` last ones. While the lines are noted
    the ids are in memory, and never the texts. Safe to use from many threads; another process opens
    the file anew.

    Args:
        path: File of one `Passage` object a line, not compressed; empty lines are skipped.

    Raises:
        DataError: The file is missing, a line is no passage, or two have the same id.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lines = _noted(self.path)
        self._open()

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: int) -> Passage:
        return self._kept(range(len(self))[number])

    def __iter__(self) -> Iterator[Passage]:
        return map(self._read, range(len(self)))

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None."""
        number = self._number(passage_id)
        return None if number is None else self._kept(number)

    def save(self, path: Path | str) -> None:
        """Write the passages as JSON lines, in the order of their ids."""
        if not Path(path).exists() or not Path(path).samefile(self.path):
            write_records(path, self)

    def _open(self) -> None:
        try:
            self._file = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise DataError(self.path, f"cannot be read: {error.strerror}") from error
        weakref.finalize(self, os.close, self._file)
        self._kept = functools.lru_cache(KEPT)(self._read)
        self._number = functools.lru_cache(KEPT)(self._find)

    def _find(self, passage_id: str) -> int | None:
        """Return the number of the passage of that id, by bisection, or None."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            found = self._id(middle)
            if found == passage_id:
                return middle
            low, high = (middle + 1, high) if found < passage_id else (low, middle)
        return None

    def _line(self, number: int) -> bytes:
        start, length = self._lines[number].tolist()
        return os.pread(self._file, length, start)

    def _id(self, number: int) -> str:
        return self._decoded(_decode_id, number).id

    def _read(self, number: int) -> Passage:
        return self._decoded(_decode, number)

    def _decoded(self, decode: Callable[[bytes], _T], number: int) -> _T:
        try:
            return decode(self._line(number))
        except msgspec.DecodeError as error:
            problem = f"changed since its lines were noted in {_beside(self.path).name}: {error}"
            raise DataError(self.path, problem) from error

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._lines = _noted(self.path)
        self._open()


Passages = PassageStore | PassageFile
"""Passages by number and by id, in memory or on disk."""


def stored(passages: Iterable[Passage]) -> Passages:
    """Return passages as a store, those of one as they are.

    Args:
        passages: Passages of different ids.

    Raises:
        UsageError: Two passages have the same id.
    """
    return passages if isinstance(passages, Passages) else PassageStore(passages)


def note_lines(path: Path | str) -> None:
    """Note beside a file of passages where its lines begin, so that it is opened at once.

    Args:
        path: The file.

    Raises:
        DataError: The file is missing, a line is no passage, or two have the same id.
    """
    lines = _scan(Path(path))
    size = np.array([[Path(path).stat().st_size, len(lines)]], np.int64)
    partial = _beside(Path(path)).with_suffix(f".{os.getpid()}.part")
    with partial.open("wb") as file:
        np.save(file, np.concatenate([size, lines]))
    partial.replace(_beside(Path(path)))


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.lines.npy")


def _noted(path: Path) -> _Lines:
    """Return begin and length of all lines, bytes, int64, shape [passages, 2], by passage id."""
    try:
        noted: _Lines = np.load(_beside(path), mmap_mode="r")
        if noted.dtype == np.int64 and noted[0].tolist() == [path.stat().st_size, len(noted) - 1]:
            return noted[1:]
    except (OSError, ValueError, EOFError, IndexError):
        pass  # nothing is noted, or not of this file as it is now
    return _scan(path)


def _scan(path: Path) -> _Lines:
    """Read a whole file of passages and return what `_noted` does."""
    ids: list[NDArray[np.bytes_]] = []
    lines: list[_Lines] = []
    read = _walk(path)
    while chunk := list(itertools.islice(read, _CHUNK)):
        ids.append(np.array([passage_id for passage_id, _, _ in chunk]))
        lines.append(np.array([(start, length) for _, start, length in chunk], np.int64))
    if not ids:
        return np.empty((0, 2), np.int64)
    names = np.concatenate(ids)
    order = np.argsort(names, kind="stable")  # UTF-8 sorts as the characters it stands for
    names = names[order]
    doubles = np.flatnonzero(names[1:] == names[:-1])
    if len(doubles):
        raise DataError(path, f"two passages have the id {names[doubles[0]].decode()!r}")
    return np.asarray(np.concatenate(lines)[order])


def _walk(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield of each passage in a file its id in UTF-8 and begin and length of its line, bytes."""
    start = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield _id_of(line, path, number), start, len(line)
                start += len(line)
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error


def _id_of(line: bytes, path: Path, number: int) -> bytes:
    try:
        passage_id = _decode(line).id.encode()
    except msgspec.DecodeError as error:
        raise DataError(path, f"expected a Passage: {error}", number) from error
    if b"\0" in passage_id:
        raise DataError(path, f"the id {passage_id.decode()!r} holds a NUL character", number)
    return passage_id
