"""Advantages and losses of the algorithms of `conf/algo`, written out from their papers.

Each takes the rewards and lengths of a step and returns its advantages and its loss;
`assert_trained_by` compares a run of two steps with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from omegaconf import OmegaConf

from medenv.evaluation.summary import read_scored
from medenv.records import Scored

from .smoke import logged

Numbers = npt.NDArray[np.float64]


class Step(NamedTuple):
    """One step of training: tables of shape (questions, rollouts), and the most tokens allowed.

    `parts` has a table for each part of the reward that pays, with its weight.
    """

    rewards: Numbers
    tokens: Numbers
    longest: int
    parts: Sequence[tuple[float, Numbers]]


def _centred(rewards: Numbers) -> Numbers:
    return rewards - rewards.mean(axis=1, keepdims=True)


def dr_grpo(step: Step) -> tuple[Numbers, float]:
    """Deviations from the mean; losses are added up and divided by a constant."""
    advantages = _centred(step.rewards)
    return advantages, -float((advantages * step.tokens).mean()) / step.longest


def gspo(step: Step) -> tuple[Numbers, float]:
    """Deviations in standard deviations; each response has one ratio and counts once."""
    spread = step.rewards.std(axis=1, ddof=1, keepdims=True) + 1e-6
    advantages = _centred(step.rewards) / spread
    return advantages, -float(advantages.mean())


def rloo(step: Step) -> tuple[Numbers, float]:
    """Each reward less the mean of the others', one by one."""
    advantages = np.array(
        [
            [own - np.mean(np.delete(group, i)) for i, own in enumerate(group)]
            for group in step.rewards
        ]
    )
    return advantages, -float((advantages * step.tokens).mean()) / step.longest


def reinforce_pp(step: Step) -> tuple[Numbers, float]:
    """Rewards, normalised over all tokens of the batch, on each of which the whole reward lies."""
    every = np.repeat(step.rewards.ravel(), step.tokens.ravel().astype(int))
    advantages = (step.rewards - every.mean()) / np.sqrt(every.var(ddof=1) + 1e-8)
    return advantages, -float((advantages * step.tokens).sum() / step.tokens.sum())


def gdpo(step: Step) -> tuple[Numbers, float]:
    """Deviations of each part in its own standard deviations, mixed by weight and normalised."""
    mixed = np.zeros_like(step.rewards)
    for weight, part in step.parts:
        mixed += weight * _centred(part) / (part.std(axis=1, ddof=1, keepdims=True) + 1e-6)
    advantages = (mixed - mixed.mean()) / (mixed.std(ddof=1) + 1e-6)
    return advantages, -float((advantages * step.tokens).sum() / step.tokens.sum())


def _steps(folder: Path) -> Sequence[Step]:
    longest = OmegaConf.load(folder / "config.yaml").data.max_response_length
    found = []
    for number in (1, 2):
        groups: dict[str, list[Scored]] = {}
        for one in read_scored(folder / "rollouts" / "train" / f"{number:06d}.jsonl"):
            groups.setdefault(one.trajectory.question.id, []).append(one)
        assert [len(group) for group in groups.values()] == [4] * 4

        def table(value: Callable[[Scored], float], of: Any = groups) -> Numbers:
            return np.array([[value(one) for one in group] for group in of.values()])

        weights = {
            name: part.weight
            for name, part in next(iter(groups.values()))[0].score.parts.items()
            if part.weight
        }
        found.append(
            Step(
                rewards=table(lambda one: one.score.total or 0.0),
                tokens=table(lambda one: sum(turn.tokens for turn in one.trajectory.turns)),
                longest=longest,
                parts=[
                    (weight, table(lambda one, name=name: one.score.parts[name].weighted))
                    for name, weight in weights.items()
                ],
            )
        )
    return found


def assert_trained_by(folder: Path, expected: Callable[[Step], tuple[Numbers, float]]) -> None:
    """Assert that both steps of a run have the advantages and the loss of an algorithm."""
    metrics, learned = logged(folder, 0), False
    for number, step in enumerate(_steps(folder), start=1):
        advantages, loss = expected(step)
        learned |= bool(advantages.any())
        told = metrics[number]
        assert told["critic/advantages/max"] == pytest.approx(advantages.max(), abs=1e-4)
        assert told["critic/advantages/min"] == pytest.approx(advantages.min(), abs=1e-4)
        # One update a step: the policy is the one that wrote, every importance ratio is 1.
        assert told["actor/pg_clipfrac"] == 0.0
        assert told["actor/pg_loss"] == pytest.approx(loss, abs=2e-4)
        assert told["actor/grad_norm"] > 0.0
    assert learned  # else every algorithm would agree
