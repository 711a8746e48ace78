"""The journal of a set: every episode as one line, in whatever order they ended.

It is only ever appended to. A line that a killed process left cut short is cut off, and its episode
is played again; so nothing is lost but what was being written, and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, Protocol, TypeVar

import msgspec

from medenv.errors import DataError
from medenv.records import Record


class Keyed(Protocol):
    """A record that something tells from all others."""

    @property
    def key(self) -> tuple[int, int]:
        """What tells it."""
        ...


K = TypeVar("K", bound=Keyed)


class _Begun(Record, frozen=True, kw_only=True):
    """The first line: which run the journal belongs to."""

    run: str


class Journal(Generic[K]):
    """Episodes on disk, or other records that bear a key.

    Args:
        path: The file; made where it is missing.
        run: What tells this run from others.
        type_: The record type of its lines.

    Attributes:
        known: The records in the file, in its order; it grows with each `append`.

    Raises:
        DataError: The file belongs to another run, or is damaged before its last line.
    """

    def __init__(self, path: Path, run: str, type_: type[K]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = path.read_bytes() if path.exists() else b""
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            with path.open("r+b") as file:
                file.truncate(whole)
        if not whole:
            scratch = path.with_name(f".{path.name}.new")
            scratch.write_bytes(msgspec.json.encode(_Begun(run=run)) + b"\n")
            scratch.replace(path)
        self.known: list[K] = list(_read(path, raw[:whole], run, type_))
        self._file: BinaryIO = path.open("ab")

    def append(self, record: K) -> None:
        """Write a record.

        Args:
            record: The record.
        """
        self._file.write(msgspec.json.encode(record) + b"\n")
        self._file.flush()
        self.known.append(record)

    def __enter__(self) -> Journal[K]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _read(path: Path, raw: bytes, run: str, type_: type[K]) -> Iterator[K]:
    lines = raw.splitlines()
    if not lines:
        return
    try:
        begun = msgspec.json.decode(lines[0], type=_Begun)
    except msgspec.MsgspecError as error:
        raise DataError(path, f"is no journal of trajectories ({error})", 1) from error
    if begun.run != run:
        raise DataError(
            path, "belongs to a run with other settings or questions; name another folder"
        )
    decode, seen = msgspec.json.Decoder(type_).decode, set[tuple[int, int]]()
    for number, line in enumerate(lines[1:], start=2):
        try:
            record = decode(line)
        except msgspec.MsgspecError as error:
            raise DataError(path, f"is damaged ({error})", number) from error
        if record.key in seen:
            raise DataError(path, f"holds the episode {record.key} twice", number)
        seen.add(record.key)
        yield record
