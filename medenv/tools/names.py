"""Names that a policy writes, resolved to the entities that bear them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from medenv.records import Entity
from medenv.text import fold

LOOKED_AT = 100
"""Characters of a name that are compared with known names."""

_WHOLE, _BEGINNING = 60.0, 75.0
"""How alike names have to be, of 100, and how much so where it is only how they begin."""

_WORTH = 0.95
"""Of a beginning, against a whole."""


def alike(name: str, names: Sequence[str], count: int = 3) -> list[int]:
    """Return where the names stand that are most like one, in the whole or in how they begin.

    Of names that are equally like it the shorter ones come first. This is for suggestions: what is
    alike is often another disease.

    Args:
        name: What somebody wrote; what is beyond 100 characters is not looked at.
        names: What it may have meant, casefolded.
        count: How many at most.
    """
    asked = name[:LOOKED_AT].casefold()
    if not asked:
        return []
    beginnings = [one[: len(asked)] for one in names]
    scores: dict[int, float] = {}
    for texts, least, worth in ((names, _WHOLE, 1.0), (beginnings, _BEGINNING, _WORTH)):
        for _, score, place in process.extract(
            asked, texts, scorer=fuzz.ratio, limit=100, score_cutoff=least
        ):
            scores[place] = max(scores.get(place, 0.0), score * worth)
    return sorted(scores, key=lambda i: (-scores[i], len(names[i]), names[i]))[:count]


class NameIndex:
    """Entities by id, name and alias; case, accents and typographic variants make no difference.

    Args:
        entities: What can be named.
    """

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._by_name: dict[str, list[Entity]] = {}
        for entity in entities:
            for name in {fold(text) for text in (entity.id, entity.name, *entity.aliases)}:
                self._by_name.setdefault(name, []).append(entity)
        self._names = list(self._by_name)
        self._trigrams = Trigrams(self._names)

    def find(self, name: str) -> tuple[Entity, ...]:
        """Return the entities that bear a name: those whose own name it is before the others.

        Args:
            name: As the policy wrote it.
        """
        wanted = " ".join(fold(name).split())
        found = self._by_name.get(wanted, ())
        return tuple(sorted(found, key=lambda one: (fold(one.name) != wanted, one.id)))

    def near(self, name: str, count: int = 3) -> tuple[str, ...]:
        """Return the preferred names of the entities whose names are most like this one.

        Args:
            name: As the policy wrote it; what is beyond 100 characters is not looked at.
            count: How many at most.
        """
        asked = fold(name[:LOOKED_AT])
        sharing = [self._names[place] for place in self._trigrams.sharing(asked)]
        names = [self._by_name[sharing[i]][0].name for i in alike(asked, sharing, 4 * count)]
        return tuple(dict.fromkeys(names))[:count]

    def unknown(self, kind: str, name: str) -> str:
        """Return what to tell the policy of a name that nothing bears.

        Args:
            kind: What was looked for, e.g. ``"finding"``.
            name: As the policy wrote it.
        """
        near = self.near(name)
        hint = f"; did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
        return f"no {kind} is named {name[:LOOKED_AT]!r}{hint}"


class Trigrams:
    """Finds the texts that share most trigrams with a text, so that only these are compared.

    Args:
        texts: The texts.
    """

    _PAD = "\x02\x02"  # so that a text of one character has trigrams, and beginnings count more

    def __init__(self, texts: Sequence[str]) -> None:
        lengths = np.array([*map(len, texts)], np.int64) + len(self._PAD)
        total = int(lengths.sum())
        self._bits = min(total.bit_length() + 1, 16)
        grams = self._of(self._PAD + self._PAD.join(texts))[:total]
        owners = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
        self._owners = owners[np.argsort(grams, kind="stable")]
        counts = np.bincount(grams, minlength=1 << self._bits)
        self._starts = np.concatenate(([0], np.cumsum(counts)))
        self._lengths = lengths

    def sharing(self, text: str, count: int = 200) -> list[int]:
        """Return where the texts stand that share most with a text, ascending.

        Args:
            text: What to compare with.
            count: How many of those that share most in all, and as many again of those that share
                most for their length.
        """
        starts = self._starts
        lists = [
            self._owners[starts[gram] : starts[gram + 1]]
            for gram in np.unique(self._of(self._PAD + text)).tolist()
        ]
        if not lists:
            return []
        shared = np.bincount(np.concatenate(lists), minlength=self._lengths.size)
        found = np.flatnonzero(shared)
        if found.size > count:
            shared, lengths = shared[found], self._lengths[found]
            in_all = np.argpartition(shared - 1e-3 * lengths, -count)[-count:]
            share = shared / (lengths + len(text))
            found = found[np.union1d(in_all, np.argpartition(share, -count)[-count:])]
        places: list[int] = found.tolist()
        return places

    def _of(self, text: str) -> NDArray[np.uint16]:
        """Return a text's trigrams, each as a number of a few bits that few others have."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        codes = codes.astype(np.uint64)
        mixed = (codes[:-2] * np.uint64(31) + codes[1:-1]) * np.uint64(1009) + codes[2:]
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        return (mixed >> np.uint64(64 - self._bits)).astype(np.uint16)
