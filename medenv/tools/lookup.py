"""The lookup tool: a name in, what the knowledge graph states of it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from medenv.errors import UsageError
from medenv.records import Entity
from medenv.tools.base import Tool, ToolOutput


class Fact(NamedTuple):
    """What an entity is related to in one way.

    Attributes:
        relation: The relation in words.
        names: Names of what it leads to.
        passages: Ids of the passages that state it.
    """

    relation: str
    names: tuple[str, ...]
    passages: tuple[str, ...] = ()


class Facts(Protocol):
    """What a knowledge graph states."""

    def find(self, name: str) -> Sequence[Entity]:
        """Return the entities that bear a name or id, the best match first."""
        ...

    def unknown(self, name: str) -> str:
        """Return what to tell the policy of a name that nothing bears."""
        ...

    def facts(self, entity: str) -> Sequence[Fact]:
        """Return what is stated of an entity, by its id."""
        ...


class Lookup(Tool):
    """Shows facts of the graph. It makes many questions trivial: withhold it where that matters.

    Args:
        facts: The graph.
        most: Names shown for one relation.

    Raises:
        UsageError: `most` below 1.
    """

    name = "lookup"

    def __init__(self, facts: Facts, *, most: int = 20) -> None:
        if most < 1:
            raise UsageError(f"most must be at least 1, got {most}")
        super().__init__()
        self._facts, self._most = facts, most

    def call(self, name: str) -> ToolOutput:
        """Look up a disease, gene or finding by its name or id.

        Args:
            name: Its name, another name for it, or its id.
        """
        found = self._facts.find(name)
        if not found:
            return ToolOutput(text=self._facts.unknown(name), status="empty")
        entity, *others = found
        lines = [f"{entity.name} ({entity.id}), a {entity.kind}"]
        passages: dict[str, None] = {}
        for relation, names, stated in self._facts.facts(entity.id):
            shown = "; ".join(names[: self._most])
            rest = len(names) - self._most
            lines.append(f"{relation}: {shown}" + (f"; and {rest} more" if rest > 0 else ""))
            passages |= dict.fromkeys(stated[: self._most])
        if others:
            same = ", ".join(f"{other.id} ({other.kind})" for other in others[:5])
            lines.append(f"Of the same name: {same}")
        return ToolOutput(text="\n".join(lines), passages=tuple(passages), numbered=False)
