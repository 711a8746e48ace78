"""medenv's advantage estimators; `plugin` registers them where advantages are computed.

`medenv_turn_grpo` is GRPO with a baseline for each turn. verl's GRPO adds up the rewards of a
response and compares the sums; here what was earned from each turn on is kept apart, so that a turn
is credited with what it brought and what came after it, and not with what came before.

`medenv_gdpo` is GDPO. verl hands an estimator the sum of a reward's parts, so the sampler, which
has each, computes the advantages and leaves them where rewards lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from verl.trainer.ppo.core_algos import register_adv_est

from medenv.integrations.verl.estimators import GDPO, TURN_GRPO

_EPSILON = 1e-6


@register_adv_est(TURN_GRPO)  # type: ignore[untyped-decorator]  # verl is untyped to us
def turn_grpo(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Sequence[Any],
    config: Any = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the advantage of each token: its turn's reward-to-go, less the group's at that turn.

    The reward-to-go of a turn is the sum of the rewards from its first token to the end of the
    response. The baseline is its mean over the rollouts of the question that have this turn; a turn
    that only one rollout has is compared with the baseline of the last turn that several have.
    All deviations of a question are divided by one number, their standard deviation, unless
    `algorithm.norm_adv_by_std_in_grpo` is false. Rollouts of one turn have the advantages of GRPO.

    Args:
        token_level_rewards: Rewards, shape (rollouts, tokens).
        response_mask: 1 where the policy wrote the token; a turn is a run of ones.
        index: Question of each rollout.
        config: verl's `algorithm` settings.

    Returns:
        Advantages and returns, the same tensor, of the shape of the rewards.
    """
    with torch.no_grad():
        written = response_mask.bool()
        before = torch.nn.functional.pad(written, (1, 0))[:, :-1]
        turn = ((written & ~before).cumsum(dim=1) - 1).clamp(min=0)
        turns = (turn.amax(dim=1) + 1).tolist()
        rewards = torch.zeros(len(turns), max(turns), dtype=token_level_rewards.dtype)
        rewards = rewards.to(token_level_rewards.device)
        rewards.scatter_add_(1, turn, token_level_rewards)
        to_go = rewards.flip(dims=[1]).cumsum(dim=1).flip(dims=[1])
        deviations = torch.zeros_like(to_go)
        groups: dict[Any, list[int]] = {}
        for row, question in enumerate(index):
            groups.setdefault(question, []).append(row)
        normalised = config is None or config.get("norm_adv_by_std_in_grpo", True)
        for rows in groups.values():
            if len(rows) < 2:
                continue  # nothing to compare with
            found = []
            for k in range(max(turns[row] for row in rows)):
                having = [row for row in rows if turns[row] > k]
                if len(having) > 1:
                    baseline = to_go[having, k].mean()
                deviations[having, k] = to_go[having, k] - baseline
                found.append(deviations[having, k])
            if normalised:
                every = torch.cat(found)
                deviations[rows] /= (every.square().sum() / (len(every) - 1)).sqrt() + _EPSILON
        advantages = deviations.gather(1, turn) * response_mask
    return advantages, advantages


@register_adv_est(GDPO)  # type: ignore[untyped-decorator]  # verl is untyped to us
def gdpo(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the advantage of each token: its response's, which the sampler has computed.

    Args:
        token_level_rewards: The advantage of each response on one of its tokens, shape
            (rollouts, tokens).
        response_mask: 1 where the policy wrote the token.

    Returns:
        Advantages and returns, the same tensor, of the shape of the rewards.
    """
    with torch.no_grad():
        advantages = token_level_rewards.sum(dim=1, keepdim=True) * response_mask
    return advantages, advantages
