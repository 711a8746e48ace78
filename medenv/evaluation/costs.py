"""Cost of the episodes of an evaluation: seconds, tokens read, money.

Durations differ from run to run, and rollout files of equal episodes are equal bytes. So costs are
measured beside the episodes: in the journal of an evaluation, and in its ``costs.jsonl``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from medenv.build.settings import PolicySettings
from medenv.io import read_records, write_records
from medenv.records import Cost, Message, Policy, Record, Scored, Written
from medenv.rollouts.driver import AsyncPolicy

COSTS = "costs.jsonl"
"""The file of an evaluation that holds what its episodes cost."""


class EpisodeCost(Record, frozen=True, kw_only=True):
    """A line of `COSTS`.

    Args:
        question: Id of the question.
        sample: Number of the sample.
        greedy: Whether it is the greedy episode.
        cost: What it cost.
    """

    question: str
    sample: int
    greedy: bool
    cost: Cost


class MeteredPolicy:
    """A policy with a clock and a counter of the tokens that it reads.

    Args:
        policy: Writes the texts.

    Attributes:
        seconds: Time spent waiting for texts so far, seconds.
        tokens_read: Tokens of all prompts so far; 0 where the policy does not count them.
    """

    def __init__(self, policy: Policy | AsyncPolicy) -> None:
        self._policy: Any = policy
        self._counts = hasattr(policy, "act_within")
        self._began = time.time()
        self.seconds, self.tokens_read = 0.0, 0

    async def act(self, messages: Sequence[Message]) -> str:
        """Return the policy's text for the conversation so far.

        Args:
            messages: The conversation so far.
        """
        return (await self.act_within(messages, None)).text

    async def act_within(self, messages: Sequence[Message], max_tokens: int | None) -> Written:
        """Return the policy's text, and count what it took.

        Args:
            messages: The conversation so far.
            max_tokens: Most tokens of the text, or None; policies that do not count ignore it.
        """
        begun, policy = time.monotonic(), self._policy
        try:
            made = policy.act_within(messages, max_tokens) if self._counts else policy.act(messages)
            if hasattr(made, "__await__"):
                made = await made
        finally:
            self.seconds += time.monotonic() - begun
        written = made if isinstance(made, Written) else Written(text=made)
        self.tokens_read += written.tokens_read
        return written

    def cost(self, seconds: float) -> Cost:
        """Return what the finished episode cost, before it is priced.

        Args:
            seconds: Wall-clock time of the whole episode.
        """
        return Cost(
            seconds=seconds,
            policy_seconds=self.seconds,
            began=self._began,
            tokens_read=self.tokens_read,
        )


def priced(scored: Scored, policy: PolicySettings) -> Scored:
    """Return an episode with the price of its tokens.

    Args:
        scored: A finished episode of an evaluation.
        policy: Has the prices of a million tokens. Without them, or where the tokens read
            and written are unknown, so is the price.
    """
    cost = scored.cost
    written = sum(turn.tokens for turn in scored.trajectory.turns)
    if (
        isinstance(cost, UnsetType)
        or policy.input_price is None
        or policy.output_price is None
        or not (cost.tokens_read and written)
    ):
        return scored
    money = (cost.tokens_read * policy.input_price + written * policy.output_price) / 1e6
    cost = msgspec.structs.replace(cost, money=money, currency=policy.currency)
    return msgspec.structs.replace(scored, cost=cost)


def with_shares(scored: Sequence[Scored]) -> list[Scored]:
    """Return episodes with their shares of the time that all of them took together.

    Args:
        scored: All episodes of an evaluation, also of several starts. Time between two starts, when
            no episode ran, is not counted.
    """
    costs = [one.cost for one in scored]
    timed = [cost for cost in costs if not isinstance(cost, UnsetType) and cost.began]
    begins = np.sort([cost.began for cost in timed])
    ends = np.sort([cost.began + cost.seconds for cost in timed])
    moments = np.union1d(begins, ends)
    running = [np.searchsorted(edge, moments[:-1], side="right") for edge in (begins, ends)]
    at_once = np.maximum(running[0] - running[1], 1)
    idle = running[0] == running[1]
    passed = np.where(idle, 0.0, np.diff(moments) / at_once)
    until = np.concatenate([[0.0], np.cumsum(passed)])

    def shared(one: Scored) -> Scored:
        cost = one.cost
        if isinstance(cost, UnsetType) or not cost.began:
            return one
        edges = np.searchsorted(moments, [cost.began, cost.began + cost.seconds])
        share = float(until[edges[1]] - until[edges[0]])
        cost = msgspec.structs.replace(cost, run_seconds=share)
        return msgspec.structs.replace(one, cost=cost)

    return [shared(one) for one in scored]


def without_cost(scored: Iterable[Scored]) -> list[Scored]:
    """Return episodes as rollout files hold them, so that equal episodes are equal bytes.

    Args:
        scored: The episodes.
    """
    return [msgspec.structs.replace(one, cost=UNSET) for one in scored]


def write_costs(folder: Path, sampled: Iterable[Scored], greedy: Iterable[Scored]) -> None:
    """Write what the episodes of an evaluation cost.

    Args:
        folder: The evaluation's folder.
        sampled: Its sampled episodes.
        greedy: Its greedy ones.
    """
    write_records(
        folder / COSTS,
        (
            EpisodeCost(
                question=one.trajectory.question.id,
                sample=one.sample,
                greedy=side is greedy,
                cost=one.cost,
            )
            for side in (sampled, greedy)
            for one in side
            if not isinstance(one.cost, UnsetType)
        ),
    )


def with_costs(folder: Path, scored: Iterable[Scored], *, greedy: bool) -> list[Scored]:
    """Return episodes of an evaluation with what they cost.

    Args:
        folder: The evaluation's folder; one made before costs were measured has none.
        scored: Episodes as its rollout file holds them.
        greedy: Whether they are the greedy ones.

    Raises:
        DataError: The file of costs is damaged.
    """
    if not (folder / COSTS).exists():
        return list(scored)
    known = {
        (line.question, line.sample): line.cost
        for line in read_records(folder / COSTS, EpisodeCost)
        if line.greedy == greedy
    }
    return [
        msgspec.structs.replace(
            one, cost=known.get((one.trajectory.question.id, one.sample), UNSET)
        )
        for one in scored
    ]
