"""Near-duplicates among texts: MinHash candidates, exact overlap.

Broder 1997, "On the resemblance and containment of documents"; bands after Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", chapter 3; hashing after Dietzfelbinger 1996,
"Universal hashing and k-wise independent random variables via integer arithmetic without primes".
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from medenv.errors import UsageError
from medenv.text import words

SHINGLE = 5
"""Words per shingle."""

BANDS, ROWS = 24, 4
"""Texts that agree in all rows of one band are compared; at an overlap of 0.8 this misses one pair
in a hundred thousand: (1 - 0.8^4)^24."""


class NearDuplicates:
    """Sequence of texts, each compared with the earlier ones.

    Args:
        similar: Jaccard threshold on word sequences for near-duplicates.

    Raises:
        UsageError: `similar` outside (0, 1].
    """

    def __init__(self, similar: float = 0.8) -> None:
        if not 0 < similar <= 1:
            raise UsageError(f"expected similar in (0, 1], got {similar}")
        self._similar = similar
        rng = np.random.default_rng(0)
        self._factors = rng.integers(1 << 64, size=BANDS * ROWS, dtype=np.uint64)
        self._offsets = rng.integers(1 << 64, size=BANDS * ROWS, dtype=np.uint64)
        self._texts: list[frozenset[int]] = []
        self._bands: dict[tuple[int, bytes], list[int]] = {}

    def add(self, text: str) -> int | None:
        """Add a text; return the index of an earlier near-duplicate, or None.

        A near-duplicate is not kept.

        Args:
            text: The text.
        """
        found = shingles(text)
        keys = self._keys(found)
        for number in sorted({at for key in keys for at in self._bands.get(key, ())}):
            if _overlap(found, self._texts[number]) >= self._similar:
                return number
        for key in keys:
            self._bands.setdefault(key, []).append(len(self._texts))
        self._texts.append(found)
        return None

    def _keys(self, shingles: frozenset[int]) -> list[tuple[int, bytes]]:
        hashes = np.fromiter(sorted(shingles), dtype=np.uint64, count=len(shingles))
        # Multiply-shift: products wrap around at 2^64; their high halves are well mixed.
        mixed = (hashes[:, None] * self._factors + self._offsets) >> np.uint64(32)
        signature: npt.NDArray[np.uint64] = mixed.min(axis=0)
        rows = signature.reshape(BANDS, ROWS)
        return [(band, rows[band].tobytes()) for band in range(BANDS)]


def shingles(text: str) -> frozenset[int]:
    """Return hashes of all sequences of `SHINGLE` words; a shorter text is one.

    Args:
        text: The text.
    """
    found = words(text)
    last = max(1, len(found) - SHINGLE + 1)
    return frozenset(zlib.crc32(" ".join(found[at : at + SHINGLE]).encode()) for at in range(last))


def _overlap(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)
