"""Passages in memory, and their form on disk: one JSON object a line."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from medenv.errors import DataError, UsageError
from medenv.io import read_records, write_records
from medenv.records import Passage


class PassageStore:
    """Passages of one corpus, numbered in the order of their ids.

    Args:
        passages: Passages of different ids, in any order.

    Raises:
        UsageError: Two passages have the same id.
    """

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = sorted(passages, key=lambda passage: passage.id)
        self._by_id = {passage.id: passage for passage in self._passages}
        if len(self._by_id) < len(self._passages):
            ids = [passage.id for passage in self._passages]
            double = next(a for a, b in itertools.pairwise(ids) if a == b)
            raise UsageError(f"two passages have the id {double!r}")

    def __len__(self) -> int:
        return len(self._passages)

    def __getitem__(self, number: int) -> Passage:
        return self._passages[number]

    def __iter__(self) -> Iterator[Passage]:
        return iter(self._passages)

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None."""
        return self._by_id.get(passage_id)

    def save(self, path: Path | str) -> None:
        """Write the passages as JSON lines, in the order of their ids."""
        write_records(path, self._passages)

    @classmethod
    def load(cls, path: Path | str) -> PassageStore:
        """Read passages from JSON lines.

        Args:
            path: File of one `Passage` object a line; empty lines are skipped.

        Raises:
            DataError: The file is missing, or a line is no passage, or two have the same id.
        """
        try:
            return cls(read_records(path, Passage))
        except DataError:
            raise
        except UsageError as error:
            raise DataError(path, str(error)) from error
