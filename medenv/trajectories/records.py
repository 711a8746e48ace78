"""What is kept of every episode that was played for learning from."""

from __future__ import annotations

from typing import Literal

from medenv.records import Record, Scored
from medenv.tools.faults import Fault

Part = Literal["guided", "exploration", "foil"]
"""Why an episode was played: along the gold path, freely, or to be the worse of a pair."""


class InjectedFault(Record, frozen=True, kw_only=True):
    """A fault that was injected into a tool call.

    Args:
        tool: Name of the tool.
        kind: What went wrong.
    """

    tool: str
    kind: Fault


class Rollout(Record, frozen=True, kw_only=True):
    """An episode and how it came about, one line of a journal.

    Args:
        i: Number of the question in the order of playing.
        sample: Number of the episode among those of the question.
        part: Why it was played.
        teacher: Name of the teacher.
        scored: The episode and its score.
        faults: Tool failures that were injected.
    """

    i: int
    sample: int
    part: Part
    teacher: str
    scored: Scored
    faults: tuple[InjectedFault, ...] = ()

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from all others."""
        return self.i, self.sample

    @property
    def calls(self) -> int:
        """Number of tool calls made."""
        return sum(len(turn.calls) for turn in self.scored.trajectory.turns)


class Rewriting(Record, frozen=True, kw_only=True):
    """What came of rewriting an episode's thoughts, one line of a journal.

    Args:
        i: Number of the question.
        sample: Number of the episode among those of the question.
        rollout: The episode with its new thoughts, or None where it stays as it was.
        reason: Why it stays, or ``""``.
    """

    i: int
    sample: int
    rollout: Rollout | None = None
    reason: str = ""

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from all others."""
        return self.i, self.sample
