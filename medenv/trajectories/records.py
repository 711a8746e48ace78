"""Records of the episodes played for a set."""

from __future__ import annotations

from typing import Literal

from medenv.records import Record, Scored
from medenv.tools.faults import Fault

Part = Literal["guided", "exploration", "foil"]
"""Purpose of an episode: follow the gold path, explore, or be the worse of a pair."""


class InjectedFault(Record, frozen=True, kw_only=True):
    """A fault that was injected into a tool call.

    Args:
        tool: Name of the tool.
        kind: Fault kind.
    """

    tool: str
    kind: Fault


class Rollout(Record, frozen=True, kw_only=True):
    """An episode and its origin, one line of a journal.

    Args:
        i: Index of the question in playing order.
        sample: Index of the episode within the question.
        part: Its purpose.
        teacher: Name of the teacher.
        scored: The episode and its score.
        faults: Injected tool failures.
    """

    i: int
    sample: int
    part: Part
    teacher: str
    scored: Scored
    faults: tuple[InjectedFault, ...] = ()

    @property
    def key(self) -> tuple[int, int]:
        """Unique key."""
        return self.i, self.sample

    @property
    def calls(self) -> int:
        """Number of tool calls made."""
        return sum(len(turn.calls) for turn in self.scored.trajectory.turns)


class Rewriting(Record, frozen=True, kw_only=True):
    """Result of rewriting an episode, one line of a journal.

    Args:
        i: Number of the question.
        sample: Index of the episode within the question.
        rollout: The episode with its new thoughts, or None if unchanged.
        reason: Refusal, or ``""``.
    """

    i: int
    sample: int
    rollout: Rollout | None = None
    reason: str = ""

    @property
    def key(self) -> tuple[int, int]:
        """Unique key."""
        return self.i, self.sample
