"""Each algorithm of `conf/algo` that other tests do not train: two steps of it, recomputed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from omegaconf import OmegaConf

from medenv.evaluation.summary import read_scored

from .smoke import logged, train

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]

Numbers = npt.NDArray[np.float64]


class Step(NamedTuple):
    """What a step was made of: shape (questions, rollouts) each, and the longest response."""

    rewards: Numbers
    tokens: Numbers
    longest: int


def centred(rewards: Numbers) -> Numbers:
    return rewards - rewards.mean(axis=1, keepdims=True)


def dr_grpo(step: Step) -> tuple[Numbers, float]:
    """Deviations from the mean; losses are added up and divided by a constant."""
    advantages = centred(step.rewards)
    return advantages, -float((advantages * step.tokens).mean()) / step.longest


def gspo(step: Step) -> tuple[Numbers, float]:
    """Deviations in standard deviations; each response has one ratio and counts once."""
    spread = step.rewards.std(axis=1, ddof=1, keepdims=True) + 1e-6
    advantages = centred(step.rewards) / spread
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


def steps(folder: Path) -> Sequence[Step]:
    longest = OmegaConf.load(folder / "config.yaml").data.max_response_length
    found = []
    for number in (1, 2):
        groups: dict[str, list[tuple[float, float]]] = {}
        for one in read_scored(folder / "rollouts" / "train" / f"{number:06d}.jsonl"):
            tokens = sum(turn.tokens for turn in one.trajectory.turns)
            reward = one.score.total
            assert reward is not None
            groups.setdefault(one.trajectory.question.id, []).append((reward, tokens))
        table = np.array(list(groups.values()))  # fails where groups are not of one size
        assert table.shape == (4, 4, 2)
        found.append(Step(table[..., 0], table[..., 1], longest))
    return found


@pytest.mark.parametrize("expected", [dr_grpo, gspo, rloo, reinforce_pp])
def test_two_steps_have_the_advantages_and_the_loss_of_the_paper(
    tmp_path: Path, expected: Callable[[Step], tuple[Numbers, float]]
) -> None:
    algo = expected.__name__
    given = (f"run={algo}", f"algo={algo}", "actor_rollout_ref.rollout.n=4")
    done = train(tmp_path, *given, "trainer.val_before_train=false")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    metrics = logged(tmp_path / algo, 0)
    for number, step in enumerate(steps(tmp_path / algo), start=1):
        advantages, loss = expected(step)
        told = metrics[number]
        assert told["critic/advantages/max"] == pytest.approx(advantages.max(), abs=1e-4)
        assert told["critic/advantages/min"] == pytest.approx(advantages.min(), abs=1e-4)
        # One update a step: the policy is the one that wrote, every importance ratio is 1.
        assert told["actor/pg_clipfrac"] == 0.0
        assert told["actor/pg_loss"] == pytest.approx(loss, abs=2e-4)
        assert told["actor/grad_norm"] > 0.0
