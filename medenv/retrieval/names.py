"""Names that a policy writes, resolved to the entities that bear them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medenv.records import Entity
from medenv.text import fold, name_key

_WHOLE, _BEGINNING = 60.0, 75.0
"""How alike names have to be, of 100, and how much so where it is only how they begin."""

_WORTH = 0.95
"""Weight of a beginning, relative to a whole."""

_LOOKED_AT = 100
"""Characters of a name that is looked for."""

_CANDIDATES = 300
"""Names that are compared with one letter by letter."""

_POSTINGS = 20_000
"""Most places of common groups of letters that are looked through for candidates."""


def alike(name: str, names: Sequence[str], count: int = 3) -> list[int]:
    """Return where the names stand that are most like one, in the whole or in how they begin.

    Of names that are equally like it the shorter ones come first. This is for suggestions: what is
    alike is often another disease.

    Args:
        name: What somebody wrote; what is beyond 100 characters is not looked at.
        names: What it may have meant, folded.
        count: How many at most.
    """
    from rapidfuzz import fuzz, process

    asked = fold(name[:_LOOKED_AT])
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
    """Entities by id, name and alias, whatever case, accents and spacing they are written with.

    Args:
        entities: What can be named.
    """

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._by_name: dict[str, list[Entity]] = {}
        for entity in entities:
            for name in {name_key(text) for text in (entity.id, entity.name, *entity.aliases)}:
                self._by_name.setdefault(name, []).append(entity)
        self._names = list(self._by_name)

    def find(self, name: str) -> tuple[Entity, ...]:
        """Return the entities that bear a name: those whose own name it is before the others.

        Args:
            name: As the policy wrote it.
        """
        wanted = name_key(name)
        found = self._by_name.get(wanted, ())
        return tuple(sorted(found, key=lambda one: (name_key(one.name) != wanted, one.id)))

    def near(self, name: str, count: int = 3) -> tuple[str, ...]:
        """Return the preferred names of the entities whose names are most like this one.

        Args:
            name: As the policy wrote it; what is beyond 100 characters is not looked at.
            count: How many at most.
        """
        some = [self._names[place] for place in self._letters.candidates(name)]
        names = [self._by_name[some[place]][0].name for place in alike(name, some, 4 * count)]
        return tuple(dict.fromkeys(names))[:count]

    @cached_property
    def _letters(self) -> _Letters:
        return _Letters(self._names)

    def unknown(self, kind: str, name: str) -> str:
        """Return what to tell the policy of a name that nothing bears.

        Args:
            kind: What was looked for, e.g. ``"finding"``.
            name: As the policy wrote it.
        """
        near = self.near(name)
        hint = f"; did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
        return f"no {kind} is named {name[:100]!r}{hint}"


class _Letters:
    """Finds names that share groups of three letters with one, among many.

    Args:
        names: The names, folded.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._count = len(names)
        groups = _groups("".join(f"\n{name}\n" for name in names))
        owners = np.repeat(np.arange(len(names), dtype=np.int32), [len(one) + 2 for one in names])
        order = np.argsort(groups, kind="stable")
        self._owners = owners[1:-1][order]
        self._begins = np.searchsorted(groups[order], np.arange((1 << 16) + 1))
        self._lengths = np.bincount(self._owners, minlength=self._count)

    def candidates(self, name: str) -> list[int]:
        """Return where the names stand that are most worth comparing with one, ascending.

        Rare groups of letters count for more, and are looked up first.

        Args:
            name: What somebody wrote; what is beyond 100 characters is not looked at.
        """
        if self._count <= _CANDIDATES:
            return list(range(self._count))
        groups = np.unique(_groups(f"\n{fold(name[:_LOOKED_AT])}\n")).astype(np.int64)
        sizes = self._begins[groups + 1] - self._begins[groups]
        order = np.argsort(sizes, kind="stable")
        order = order[(sizes[order] > 0) & (np.cumsum(sizes[order]) <= _POSTINGS)]
        shared = np.zeros(self._count)
        for group, size in zip(groups[order].tolist(), sizes[order].tolist(), strict=True):
            weight = np.log1p(self._count / size)
            shared[self._owners[self._begins[group] : self._begins[group] + size]] += weight
        found = np.flatnonzero(shared)
        if len(found) <= _CANDIDATES:
            return list(map(int, found))
        # Half of them by the share of a name that is alike, half by how much of it is.
        by_share = shared[found] / np.sqrt(self._lengths[found])
        count = _CANDIDATES // 2
        best = (np.argpartition(-one, count)[:count] for one in (by_share, shared[found]))
        return sorted({int(place) for half in best for place in found[half]})


def _groups(text: str) -> NDArray[np.uint16]:
    """Return a number for each three characters in a row, uint16, shape [characters - 2]."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    factors = (np.uint32(0x9E3779B1), np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35))
    first, second, third = (
        codes[at : len(codes) - 2 + at] * factor for at, factor in enumerate(factors)
    )
    groups: NDArray[np.uint16] = ((first + second + third) >> np.uint32(16)).astype(np.uint16)
    return groups
