"""The lookup tool: shows the knowledge graph's facts about a named entity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from medenv.errors import UsageError
from medenv.records import Entity
from medenv.tools.base import Tool, ToolOutput


class Fact(NamedTuple):
    """All targets of one relation of an entity.

    Attributes:
        relation: The relation in words.
        names: Names of the targets.
        passages: Ids of the passages that state the relation.
    """

    relation: str
    names: tuple[str, ...]
    passages: tuple[str, ...] = ()


class Facts(Protocol):
    """Interface to the facts of a knowledge graph."""

    def find(self, name: str) -> Sequence[Entity]:
        """Return the entities with a name or id, best match first."""
        ...

    def unknown(self, name: str) -> str:
        """Return the message to the policy about an unknown name."""
        ...

    def facts(self, entity: str) -> Sequence[Fact]:
        """Return the facts about an entity, given its id."""
        ...


class Lookup(Tool):
    """Tool that shows facts of the graph. It makes many questions trivial.

    Args:
        facts: The graph.
        max_names: Maximum number of names to show for one relation.

    Raises:
        UsageError: `max_names` below 1.
    """

    name = "lookup"

    def __init__(self, facts: Facts, *, max_names: int = 20) -> None:
        if max_names < 1:
            raise UsageError(f"max_names must be at least 1, got {max_names}")
        super().__init__()
        self._facts, self._max_names = facts, max_names

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
            shown = "; ".join(names[: self._max_names])
            rest = len(names) - self._max_names
            lines.append(f"{relation}: {shown}" + (f"; and {rest} more" if rest > 0 else ""))
            passages |= dict.fromkeys(stated[: self._max_names])
        if others:
            same = ", ".join(f"{other.id} ({other.kind})" for other in others[:5])
            lines.append(f"Of the same name: {same}")
        return ToolOutput(text="\n".join(lines), passages=tuple(passages), numbered=False)
