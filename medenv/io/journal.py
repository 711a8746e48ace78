"""Append-only JSONL journals that survive a crash of the process.

The first line identifies the run, every other line is a record. Opening a journal removes an
incomplete last line that a killed process left, so only the record being written is lost. While a
journal is open, no other process can open it.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Generic, Self, TypeVar

import msgspec

from medenv.errors import DataError
from medenv.io.locks import FileLock
from medenv.io.reading import DecodingError, decode_json, read_bytes

T = TypeVar("T")

_SYNC_EVERY = 1.0
"""Minimum interval between two calls of fsync, seconds."""

_BLOCK = 1 << 16
"""Bytes that are read at once in search of the last line."""


class Journal(Generic[T]):
    """Records on disk, in the order in which they were appended.

    Args:
        path: The file; created if missing.
        run: Named values that identify the run, such as settings and hashes.
        type_: The type of the records.
        facts: Further values for the first line of a new journal.
        key: Returns the key of a record, which must be unique; None compares no keys.
        keep: Whether the records stay in memory. Without, the file may be larger than memory: its
            records are neither read nor checked.
        sync: Whether `append` syncs the file to disk, about once a second; else its caller calls
            `sync`, from any thread.

    Attributes:
        head: The first line: `run`, and `facts` as given when the journal was created.
        known: The records in the file's order, if they are kept; `append` adds to it.

    Raises:
        FolderInUseError: Another process has the journal open.
        DataError: The journal belongs to another run, is damaged before its last line, contains a
            key twice, or cannot be written.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        path: Path | str,
        run: Mapping[str, str],
        type_: type[T],
        facts: Mapping[str, str] | None = None,
        key: Callable[[T], Hashable] | None = None,
        *,
        keep: bool = True,
        sync: bool = True,
    ) -> None:
        self.path, self._keep, self._syncs = Path(path), keep, sync
        self._lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), self.path)
        self._lock.acquire()
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._number = os.open(self.path, flags, 0o666)
            self._close = weakref.finalize(self, os.close, self._number)
            raw = read_bytes(self.path) if keep else self._head_alone()
            whole = raw.rfind(b"\n") + 1
            if keep or not whole:
                os.ftruncate(self._number, whole)
            if not whole:
                raw = msgspec.json.encode({**run, **(facts or {})}) + b"\n"
                whole = len(raw)
                self._write(raw)
            self._synced = 0.0
            self.head: dict[str, str] = {}
            self.known: list[T] = []
            self._read(raw[:whole].split(b"\n")[:-1], type_, run, key)
        except OSError as error:
            self._lock.release()
            raise DataError(self.path, f"cannot be written: {error.strerror}") from error
        except BaseException:
            self._lock.release()
            raise

    def _head_alone(self) -> bytes:
        """Return the first line, or what there is of it, and remove an incomplete last line."""
        with self.path.open("r+b") as file:
            head = file.readline()
            end = file.seek(0, os.SEEK_END)
            while end > len(head):
                begin = max(len(head), end - _BLOCK)
                file.seek(begin)
                newline = file.read(end - begin).rfind(b"\n")
                if newline >= 0:
                    file.truncate(begin + newline + 1)
                    return head
                end = begin
            file.truncate(len(head))
        return head

    def _read(
        self,
        lines: list[bytes],
        type_: type[T],
        run: Mapping[str, str],
        key: Callable[[T], Hashable] | None,
    ) -> None:
        try:
            self.head = decode_json(lines[0], dict[str, str])
        except DecodingError as error:
            raise DataError(self.path, f"is not a journal ({error})", 1) from error
        changed = [name for name, value in run.items() if self.head.get(name) != value]
        if changed:
            values = (f"{n} {self.head.get(n, 'none')!r}, now {run[n]!r}" for n in changed)
            problem = f"belongs to another run ({', '.join(values)}); name another folder"
            raise DataError(self.path, problem)
        decoder = msgspec.json.Decoder(type_)
        for i, line in enumerate(lines[1:]):
            try:
                self.known.append(decoder.decode(line))
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                raise self.damaged(i, str(error)) from error
        if key is None:
            return
        seen = set[Hashable]()
        for i, record in enumerate(self.known):
            if (found := key(record)) in seen:
                raise self.damaged(i, f"the record {found} is there twice")
            seen.add(found)

    def damaged(self, i: int, why: str) -> DataError:
        """Return the error for an invalid record.

        Args:
            i: Index of the record in `known`.
            why: Description of the problem.
        """
        return DataError(self.path, f"is damaged ({why})", i + 2)

    def append(self, *records: T) -> None:
        """Append records in one write.

        Args:
            *records: The records.

        Raises:
            DataError: The records cannot be written; the journal is unchanged.
        """
        self._write(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        if self._keep:
            self.known += records
        if self._syncs and time.monotonic() - self._synced > _SYNC_EVERY:
            self.sync()
            self._synced = time.monotonic()

    def sync(self) -> None:
        """Sync the file to disk.

        Raises:
            DataError: The file cannot be written.
        """
        try:
            os.fdatasync(self._number)
        except OSError as error:
            raise DataError(self.path, f"cannot be written: {error.strerror}") from error

    def _write(self, raw: bytes) -> None:
        size = os.fstat(self._number).st_size
        left = memoryview(raw)
        try:
            while left:
                left = left[os.write(self._number, left) :]
        except OSError as error:
            os.ftruncate(self._number, size)
            raise DataError(self.path, f"cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Sync the file to disk and release the lock; further calls do nothing."""
        if self._close.alive:
            os.fdatasync(self._number)
            self._close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
