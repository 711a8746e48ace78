"""Names that a policy writes, resolved to the entities that bear them."""

from __future__ import annotations

from collections.abc import Iterable

from medenv.records import Entity


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
        from rapidfuzz import fuzz, process

        matches = process.extract(
            name[:100].casefold(), self._by_name.keys(), scorer=fuzz.ratio, limit=4 * count
        )
        names = [self._by_name[match[0]][0].name for match in matches if match[1] >= 60]
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
