"""Names that a policy writes, resolved to the entities that bear them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medenv.records import Entity

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
    from rapidfuzz import fuzz, process

    asked = name[:100].casefold()
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
    """Entities by id, name and alias, ignoring case.

    Args:
        entities: What can be named.
    """

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._by_name: dict[str, list[Entity]] = {}
        for entity in entities:
            for name in {text.casefold() for text in (entity.id, entity.name, *entity.aliases)}:
                self._by_name.setdefault(name, []).append(entity)
        self._names = list(self._by_name)

    def find(self, name: str) -> tuple[Entity, ...]:
        """Return the entities that bear a name: those whose own name it is before the others.

        Args:
            name: As the policy wrote it.
        """
        wanted = " ".join(name.split()).casefold()
        found = self._by_name.get(wanted, ())
        return tuple(sorted(found, key=lambda one: (one.name.casefold() != wanted, one.id)))

    def near(self, name: str, count: int = 3) -> tuple[str, ...]:
        """Return the preferred names of the entities whose names are most like this one.

        Args:
            name: As the policy wrote it; what is beyond 100 characters is not looked at.
            count: How many at most.
        """
        places = alike(name, self._names, 4 * count)
        names = [self._by_name[self._names[place]][0].name for place in places]
        return tuple(dict.fromkeys(names))[:count]

    def unknown(self, kind: str, name: str) -> str:
        """Return what to tell the policy of a name that nothing bears.

        Args:
            kind: What was looked for, e.g. ``"finding"``.
            name: As the policy wrote it.
        """
        near = self.near(name)
        hint = f"; did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
        return f"no {kind} is named {name[:100]!r}{hint}"
