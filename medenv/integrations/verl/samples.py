"""Samples for verl whose rewards lie on the turns that earned them.

verl puts a sample's `reward_score` on the last token of the response
(verl/experimental/agent_loop/agent_loop.py:143-148), also where the policy did not write that
token, and GAE then drops it (verl/trainer/ppo/core_algos.py:256). `AgentLoopWorkerTQ` calls
`as_dict` on what an agent loop returned (verl/trainer/ppo/v1/agent_loop_tq.py:194), so a sample can
place its rewards itself.
"""

from __future__ import annotations

from typing import Any

import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput


class TurnSample(AgentLoopOutput):  # type: ignore[misc]  # verl is untyped to us
    """A sample with a reward for each turn, on the last token that the policy wrote in it.

    Args:
        turn_ends: Number of response tokens up to the end of each turn.
        turn_rewards: Reward of each turn; they add up to `reward_score`.
    """

    turn_ends: list[int]
    turn_rewards: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Return what verl stores of the sample; `rm_scores` are its token-level rewards."""
        output: dict[str, Any] = super().as_dict()
        scores = torch.zeros_like(output["rm_scores"])
        for end, reward in zip(output.pop("turn_ends"), output.pop("turn_rewards"), strict=True):
            scores[end - 1] += reward
        output["rm_scores"] = scores
        return output
