"""Rewards of turns on verl's tokens, and what verl's estimators and medenv's own make of them."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore"),  # of Ray and verl, as they are imported
]

PROMPT, RESPONSE = [1, 2], [3, 4, 5, 6, 7, 8, 9]
MASK = [1, 1, 0, 1, 0, 1, 0]  # three turns of 2, 1 and 1 tokens; the last token is an observation's
ENDS, REWARDS = [2, 4, 6], [0.2, -0.1, 1.0]
TOKENS = [0.0, 0.2, 0.0, -0.1, 0.0, 1.0, 0.0]


def sample(**changes: Any) -> Any:
    from medenv.integrations.verl.agent_loop import TurnSample

    given = {
        "prompt_ids": PROMPT,
        "response_ids": RESPONSE,
        "response_mask": MASK,
        "reward_score": sum(REWARDS),
        "metrics": {},
        "turn_ends": ENDS,
        "turn_rewards": REWARDS,
        "extra_fields": {"reward_extra_info": {"acc": 1.0}},
    }
    return TurnSample(**{**given, **changes})


def test_each_turns_reward_lies_on_the_last_token_that_the_policy_wrote_in_it() -> None:
    made = sample().as_dict()
    assert made["rm_scores"].tolist() == pytest.approx(TOKENS)
    assert float(made["rm_scores"].sum()) == pytest.approx(1.1)
    assert not {"turn_ends", "turn_rewards", "reward_score"} & made.keys()
    with pytest.raises(ValueError, match="zip"):
        sample(turn_rewards=[1.1]).as_dict()


def test_verl_stores_what_the_sample_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails where verl stops calling `as_dict` on what an agent loop returns."""
    import transfer_queue as tq
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

    stored: dict[str, Any] = {}

    async def put(**given: Any) -> None:
        stored.update(given)

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(tq, "async_kv_batch_put", put)
    worker = SimpleNamespace(
        _compute_score=nothing,
        _compute_teacher_logprobs=nothing,
        _compute_multi_modal_inputs=lambda *_: {},
        _compute_position_ids=lambda ids, *_: torch.arange(ids.shape[1]).unsqueeze(0),
    )
    loop = AgentLoopWorkerTQ.__ray_metadata__.modified_class._agent_loop_postprocess
    row = {"uid": "u", "session_id": 0, "global_steps": 1}
    asyncio.run(loop(worker, sample(), False, **row))
    assert stored["keys"] == ["u_0_0"]
    assert stored["fields"]["rm_scores"][0].tolist() == pytest.approx(TOKENS)


def test_verls_gae_sees_the_turn_that_earned() -> None:
    from verl.trainer.ppo.core_algos import compute_gae_advantage_return

    values = np.array([0.5, 0.4, 9.0, 0.3, 9.0, 0.2, 9.0])
    gamma, lam = 0.9, 0.8
    written = [i for i, one in enumerate(MASK) if one]
    expected, ahead, after = dict.fromkeys(range(7), 0.0), 0.0, 0.0
    for at in reversed(written):  # over the policy's own tokens alone
        ahead = TOKENS[at] + gamma * after - values[at] + gamma * lam * ahead
        after, expected[at] = values[at], ahead
    advantages, returns = compute_gae_advantage_return(
        token_level_rewards=sample().as_dict()["rm_scores"].unsqueeze(0),
        values=torch.tensor(values, dtype=torch.float32).unsqueeze(0),
        response_mask=torch.tensor([MASK]),
        gamma=gamma,
        lam=lam,
    )
    raw = np.array([expected[at] for at in written])
    assert (returns[0] - torch.tensor(values))[written].tolist() == pytest.approx(raw, abs=1e-5)
    white = (raw - raw.mean()) / math.sqrt(raw.var(ddof=1) + 1e-8)
    assert advantages[0][written].tolist() == pytest.approx(white, abs=1e-4)


def padded(rows: list[list[tuple[int, float]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token-level rewards and masks of rollouts, given as (tokens, reward) of each turn.

    One token of an observation lies between two turns, and the rows are padded on the right.
    """
    rewards, masks = [], []
    for turns in rows:
        reward, mask = [], []
        for tokens, earned in turns:
            reward += [0.0] * (tokens - 1) + [earned, 0.0]
            mask += [1] * tokens + [0]
        rewards.append(reward)
        masks.append(mask)
    length = max(map(len, masks)) + 2
    return (
        torch.tensor([one + [0.0] * (length - len(one)) for one in rewards]),
        torch.tensor([one + [0] * (length - len(one)) for one in masks]),
    )


HAND = [
    [(2, 0.2), (1, 0.0), (3, 1.0)],
    [(1, 0.0), (2, 0.4)],
    [(3, 0.1), (1, -0.1)],
    [(1, 1.0), (1, 0.0)],  # of another question, with the next
    [(2, 0.0)],
    [(1, 5.0), (1, 5.0)],  # alone with its question
]
QUESTIONS = np.array(["a", "a", "a", "b", "b", "c"], dtype=object)


def by_hand(*, normalised: bool) -> list[list[float]]:
    """The advantage of each turn of `HAND`, with the sums written out."""
    first = (1.2 + 0.4 + 0.0) / 3
    second = (1.0 + 0.4 - 0.1) / 3
    a = [
        [1.2 - first, 1.0 - second, 1.0 - second],  # alone in its third turn: the second's baseline
        [0.4 - first, 0.4 - second],
        [0.0 - first, -0.1 - second],
    ]
    b = [[1.0 - 0.5, 0.0 - 0.5], [0.0 - 0.5]]
    c = [[0.0, 0.0]]

    def scaled(group: list[list[float]]) -> list[list[float]]:
        every = [one for row in group for one in row]
        scale = math.sqrt(sum(one * one for one in every) / (len(every) - 1)) + 1e-6
        return [[one / scale for one in row] for row in group]

    return [*scaled(a), *scaled(b), *c] if normalised else [*a, *b, *c]


@pytest.mark.parametrize("normalised", [True, False])
def test_a_turn_is_compared_with_the_same_turn_of_the_other_rollouts(normalised: bool) -> None:
    from medenv.integrations.verl.advantages import turn_grpo

    rewards, mask = padded(HAND)
    advantages, returns = turn_grpo(
        rewards, mask, QUESTIONS, {"norm_adv_by_std_in_grpo": normalised}
    )
    assert returns is advantages
    for row, (turns, expected) in enumerate(zip(HAND, by_hand(normalised=normalised), strict=True)):
        per_token = [one for (n, _), one in zip(turns, expected, strict=True) for one in [one] * n]
        assert advantages[row][mask[row].bool()].tolist() == pytest.approx(per_token, abs=1e-5)
    assert not advantages[mask == 0].any()


def test_rollouts_of_one_turn_have_the_advantages_of_verls_grpo() -> None:
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

    from medenv.integrations.verl.advantages import turn_grpo

    rewards, mask = padded([[(2, 1.0)], [(1, 0.0)], [(3, 0.3)], [(1, 0.5)], [(2, 0.5)]])
    index = np.array(["a", "a", "a", "b", "b"], dtype=object)
    ours, _ = turn_grpo(rewards, mask, index, {})
    theirs, _ = compute_grpo_outcome_advantage(rewards.clone(), mask, index)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_verl_computes_with_the_estimator_by_its_name_in_any_process() -> None:
    """In a process of its own, since verl's plugins are loaded before anything of ours."""
    code = """
import numpy as np, torch
import medenv.integrations.verl.plugin
from verl import DataProto
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
data = DataProto.from_dict(
    tensors={
        "token_level_rewards": torch.tensor([[0.5, 0.0, 1.0], [0.5, 0.0, 0.0]]),
        "response_mask": torch.tensor([[1, 0, 1], [1, 0, 1]]),
    },
    non_tensors={"uid": np.array(["a", "a"], dtype=object)},
)
made = compute_advantage_for_multi_trajectories(
    data, ["a_0_0", "a_1_0"], "medenv_turn_grpo", config={"norm_adv_by_std_in_grpo": False}
)
print((made.batch["advantages"] + 0.0).tolist())
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[[0.5, 0.0, 0.5], [-0.5, 0.0, -0.5]]"


@pytest.mark.parametrize("estimator", ["gae", "reinforce_plus_plus", "medenv_turn_grpo"])
def test_estimators_that_see_tokens_credit_turns_differently(estimator: str) -> None:
    assert credit(estimator, early=True) != credit(estimator, early=False)


@pytest.mark.parametrize(
    "estimator", ["grpo", "rloo", "gpg", "opo", "reinforce_plus_plus_baseline"]
)
def test_all_others_add_up_what_the_turns_earned(estimator: str) -> None:
    from medenv.integrations.verl.estimators import BY_TOKEN

    assert estimator not in BY_TOKEN
    assert credit(estimator, early=True) == pytest.approx(credit(estimator, early=False), abs=1e-5)


def credit(estimator: str, *, early: bool) -> list[float]:
    """The advantages of a rollout whose first or second turn earned."""
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    import medenv.integrations.verl.advantages  # noqa: F401  # registers ours

    rewards, mask = padded([[(1, 0.7 * early), (1, 0.7 * (not early))], [(1, 0.0), (1, 0.1)]])
    given = {"token_level_rewards": rewards.clone(), "response_mask": mask}
    index = np.array(["a", "a"], dtype=object)
    config = SimpleNamespace(gamma=1.0, get=lambda _, default=None: default)
    if estimator == "gae":
        given |= {"values": torch.zeros_like(rewards), "gamma": 1.0, "lam": 1.0}
    else:
        given |= {"index": index, "config": config}
    found: torch.Tensor = get_adv_estimator_fn(estimator)(**given)[0]
    return found[0][mask[0].bool()].tolist()
