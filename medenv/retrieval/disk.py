"""Passages that stay on disk: of a file larger than memory only where each line begins is kept.

Where the lines begin can be noted in a file beside it, together with the SHA-256 of the passages
and a stamp of their file. Notes are used where the stamp is still the same, or else the hash; so
notes of a file that was made anew are never used, whatever its size and time.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from medenv.errors import DataError
from medenv.io import (
    DecodingError,
    atomic_file,
    decode_text,
    file_digest,
    read_text,
    write_records,
    write_text,
)
from medenv.records import Passage
from medenv.retrieval.store import PassageStore

PASSAGES = "passages.jsonl"
"""File of the passages in the folder of an index."""

KEPT = 4_096
"""Passages kept decoded, those asked for last."""

_DIGEST = "passages.sha256"
_T = TypeVar("_T")
_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 16

_decode = msgspec.json.Decoder(Passage).decode


class _Id(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(_Id).decode
_Lines = NDArray[np.int64]


class _Noted(NamedTuple):
    """Where the lines of a file of passages lie.

    Attributes:
        lines: Begin and length of all lines, bytes, int64, shape [passages, 2], by passage id.
        digest: SHA-256 of the file, or ``""`` where nobody has noted it.
    """

    lines: _Lines
    digest: str


class PassageFile:
    """Passages of a file of JSON lines, numbered in the order of their ids, read when asked for.

    A passage costs 16 bytes of memory, or of a memory-mapped file where `note_lines` has been here;
    texts are read from the file each time, but for the `KEPT` last ones. While the lines are noted
    the ids are in memory, and never the texts. Safe to use from many threads; another process opens
    the file anew.

    Args:
        path: File of one `Passage` object a line, not compressed; empty lines are skipped.

    Raises:
        DataError: The file is missing or gzipped, a line is no passage, or two have the same id.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise DataError(self.path, f"cannot be read: {error.strerror}") from error
        weakref.finalize(self, os.close, self._file)
        if os.pread(self._file, 2, 0) == b"\x1f\x8b":
            raise DataError(self.path, "is gzipped; passages that stay on disk have to be unpacked")
        self._opened = os.fstat(self._file)
        self._lines, self._digest = _noted(self.path, self._opened)
        if _stamp(self.path.stat()) != _stamp(self._opened):
            raise DataError(self.path, "was changed while it was opened; open it again")
        self._kept = functools.lru_cache(KEPT)(self._read)
        self._number = functools.lru_cache(KEPT)(self._find)

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hexadecimal; read out of all of it where not noted."""
        if not self._digest:
            with os.fdopen(os.dup(self._file), "rb") as file:
                file.seek(0)
                self._digest = file_digest(file)
        return self._digest

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: int) -> Passage:
        return self._kept(range(len(self))[number])

    def __iter__(self) -> Iterator[Passage]:
        return map(self._read, range(len(self)))

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None.

        Raises:
            DataError: The file was changed since it was opened.
        """
        number = self._number(passage_id)
        return None if number is None else self._kept(number)

    def save(self, path: Path | str) -> None:
        """Write the passages as JSON lines, in the order of their ids."""
        if not Path(path).exists() or not Path(path).samefile(self.path):
            write_records(path, self)

    def _find(self, passage_id: str) -> int | None:
        """Return the number of the passage of that id, by bisection, or None."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            found = self._id(middle)
            if found == passage_id:
                return middle
            low, high = (middle + 1, high) if found < passage_id else (low, middle)
        now = os.fstat(self._file)
        if (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns):
            raise DataError(self.path, "was changed since it was opened; open it again")
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
        except (msgspec.DecodeError, UnicodeError) as error:
            problem = f"was changed since it was opened; open it again ({error})"
            raise DataError(self.path, problem) from error

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "digest": self.digest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]  # opened anew in this process
        if self.digest != state["digest"]:
            raise DataError(self.path, "was changed since another process opened it")


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


def write_passages(passages: Passages, folder: Path) -> str:
    """Write passages into the folder of an index, and return the SHA-256 of their file.

    Args:
        passages: The corpus.
        folder: The folder.
    """
    passages.save(folder / PASSAGES)
    digest = note_lines(folder / PASSAGES)
    write_text(folder / _DIGEST, digest + "\n")
    return digest


def read_passages(folder: Path | str) -> tuple[PassageFile, str]:
    """Return the passages of a saved index and the SHA-256 of their file.

    Args:
        folder: The index.

    Raises:
        DataError: A file is missing or damaged, or the passages are others than were indexed.
    """
    store = PassageFile(Path(folder) / PASSAGES)
    if not (Path(folder) / _DIGEST).exists():
        raise DataError(folder, f"has no {_DIGEST}, so it is no saved index: build it again")
    if read_text(Path(folder) / _DIGEST).strip() != store.digest:
        raise DataError(folder, f"the index is of another {PASSAGES}: build it again")
    return store, store.digest


_FORMAT = 2
_HEAD = 5
"""Rows of notes before those of the lines: format and number, two of the stamp, two of the hash."""
_TICK = 0.05
"""Seconds within which a file may be written twice and bear one time."""


def note_lines(path: Path | str) -> str:
    """Note beside a file of passages where its lines begin, so that it is opened at once.

    Args:
        path: The file.

    Returns:
        SHA-256 of the file, in hexadecimal.

    Raises:
        DataError: The file is missing, a line is no passage, or two have the same id.
    """
    path = Path(path)
    digest = file_digest(path)
    before = _stamp(path.stat())
    lines = _scan(path)
    if _stamp(path.stat()) != before:
        raise DataError(path, "was changed while its lines were noted")
    _note(path, lines, digest)
    return digest


def _note(path: Path, lines: _Lines, digest: str) -> None:
    stat = path.stat()
    # A file written just now may be written again within the same tick: then the hash decides.
    sure = time.time() - stat.st_mtime > _TICK
    head = np.zeros((_HEAD, 2), np.int64)
    head[0] = _FORMAT, len(lines)
    head[1:3] = np.reshape(_stamp(stat) if sure else (0,) * 4, (2, 2))
    head[3:] = np.frombuffer(bytes.fromhex(digest), np.int64).reshape(2, 2)
    with atomic_file(_beside(path)) as file:
        np.save(file, np.concatenate([head, lines]))


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file is written or replaced."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.lines.npy")


def _noted(path: Path, stat: os.stat_result) -> _Noted:
    """Return where the lines of a file lie, as noted where the notes are of this very file."""
    try:
        noted: _Lines = np.load(_beside(path), mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return _Noted(_scan(path), "")
    if noted.dtype == np.int64 and noted.ndim == 2 and len(noted) >= _HEAD:
        head, lines = noted[:_HEAD], noted[_HEAD:]
        digest = head[3:].tobytes().hex()
        if head[0].tolist() == [_FORMAT, len(lines)]:
            if tuple(head[1:3].ravel().tolist()) == _stamp(stat):
                return _Noted(lines, digest)
            if file_digest(path) == digest:
                with contextlib.suppress(DataError):  # noted once more, so that it is quick again
                    _note(path, lines, digest)
                return _Noted(lines, digest)
    return _Noted(_scan(path), "")


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
    start = number = 0
    try:
        with path.open("rb") as file:
            for whole in file:
                for line in whole.splitlines(keepends=True):
                    number += 1
                    text = line.removeprefix(_BOM) if number == 1 else line
                    if not text.isspace():
                        yield _id_of(text, path, number), start + len(line) - len(text), len(text)
                    start += len(line)
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error


def _id_of(line: bytes, path: Path, number: int) -> bytes:
    try:
        if not line.isascii():
            decode_text(line)
        passage_id = _decode(line).id.encode()
    except (DecodingError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DataError(path, f"expected a Passage: {error}", number) from error
    if b"\0" in passage_id:
        raise DataError(path, f"the id {passage_id.decode()!r} holds a NUL character", number)
    return passage_id
