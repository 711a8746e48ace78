"""Select the episodes of a set: filters, near-duplicates, quotas and pairs, in this order.

Questions are judged by number, not by the order in which their episodes ended, so the set does not
depend on interruptions or concurrency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medenv.errors import UsageError
from medenv.records import Record
from medenv.tools.faults import Fault
from medenv.trajectories.duplicates import NearDuplicates
from medenv.trajectories.filters import FilterContext, Refusal, Rejection, first_refusal
from medenv.trajectories.records import Part, Rollout

PARTS: tuple[Part, ...] = ("guided", "exploration")
"""The parts of a set."""


class Pair(Record, frozen=True, kw_only=True):
    """A better and a worse episode of one question.

    Args:
        chosen: The better one.
        rejected: The worse one.
        reason: Why it is worse.
    """

    chosen: Rollout
    rejected: Rollout
    reason: str


class Selection:
    """The growing set.

    Args:
        wanted: Part to its target number of episodes.
        bench: Filter context.
        per_question: Maximum per question.

    Attributes:
        accepted: The set.
        pairs: Better and worse episodes.
        rejected: Reason to number of episodes, without negatives.
        judged: Episodes judged, without negatives.
        calls: Tool calls of the episodes judged.
        faults: Fault kind to its number in the judged episodes.
    """

    def __init__(
        self, wanted: dict[Part, int], bench: FilterContext, per_question: int = 1
    ) -> None:
        if min(wanted.values(), default=0) < 0 or per_question < 1:
            raise UsageError(f"expected n >= 0 and per_question >= 1, got {wanted}, {per_question}")
        self._wanted, self._bench, self._most = wanted, bench, per_question
        self._duplicates = NearDuplicates(bench.limits.similar)
        self._counts: Counter[Part] = Counter()
        self.accepted: list[Rollout] = []
        self.pairs: list[Pair] = []
        self.rejected: Counter[str] = Counter()
        self.faults: Counter[Fault] = Counter()
        self.judged = self.calls = 0

    @property
    def full(self) -> bool:
        """Whether it is full."""
        return not any(self.wants(part) for part in PARTS)

    def wants(self, part: Part) -> bool:
        """Return whether a part is below its target."""
        return self._counts[part] < self._wanted.get(part, 0)

    def take(self, rollouts: Sequence[Rollout]) -> None:
        """Judge the episodes of one question.

        Args:
            rollouts: All of them, by sample.
        """
        part = next((one.part for one in rollouts if one.part != "foil"), None)
        if part is None or not self.wants(part):
            return
        good: list[Rollout] = []
        bad: list[tuple[Rollout, Refusal]] = []
        for one in rollouts:
            refusal = self._judge(one, len(good))
            if refusal:
                bad.append((one, refusal))
            elif one.part != "foil":
                good.append(one)
        self.accepted += good
        self._counts[part] += len(good)
        worse = next((pair for pair in bad if pair[1].reason in _WORSE), None)
        if good and worse:
            self.pairs.append(Pair(chosen=good[0], rejected=worse[0], reason=str(worse[1])))

    def _judge(self, rollout: Rollout, kept: int) -> Refusal | None:
        """Return the episode's refusal, or None; record accepted ones."""
        refusal = first_refusal(rollout, self._bench)
        if rollout.part == "foil":
            return refusal
        self.judged += 1
        self.calls += rollout.calls
        self.faults.update(fault.kind for fault in rollout.faults)
        if not refusal and kept >= self._most:
            refusal = Refusal(Rejection.ENOUGH_OF_QUESTION)
        if not refusal and self._duplicates.add(_policy_text(rollout)) is not None:
            refusal = Refusal(Rejection.NEAR_DUPLICATE)
        if refusal:
            self.rejected[str(refusal)] += 1
        return refusal


_WORSE = frozenset(
    (
        Rejection.NO_ANSWER,
        Rejection.WRONG_ANSWER,
        Rejection.EVIDENCE_NOT_SHOWN,
        Rejection.REPEATED_CALL,
    )
)
"""Reasons that make an episode worse than a good one, not merely unfit."""


def _policy_text(rollout: Rollout) -> str:
    return "\n".join(turn.text for turn in rollout.scored.trajectory.turns)
