"""The journal of a set: every episode as one line, in whatever order they ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from medenv import io


class Keyed(Protocol):
    """A record with a key that no other one has."""

    @property
    def key(self) -> tuple[int, int]:
        """Question and sample."""
        ...


K = TypeVar("K", bound=Keyed)


class Journal(io.Journal[K]):
    """Episodes on disk, or other records with a key, each there once.

    Args:
        path: The file; made where it is missing.
        run: What tells this run from others, by name, or one text.
        type_: The record type of its lines.

    Raises:
        FolderInUseError: Another process has it open.
        DataError: It belongs to another run, is damaged before its last line, or holds a key twice.
    """

    def __init__(self, path: Path, run: Mapping[str, str] | str, type_: type[K]) -> None:
        super().__init__(path, {"run": run} if isinstance(run, str) else run, type_)
        seen = set[tuple[int, int]]()
        for i, record in enumerate(self.known):
            if record.key in seen:
                self.close()
                raise self.damaged(i, f"the episode {record.key} is there twice")
            seen.add(record.key)
