"""The names of advantage estimators, and what each takes from a group of rollouts."""

from __future__ import annotations

TURN_GRPO = "medenv_turn_grpo"
"""A baseline for each turn, see `medenv.integrations.verl.advantages`."""

GDPO = "medenv_gdpo"
"""Each part of the reward normalised by itself, see `medenv.reward.decoupled_advantages`."""

BY_TOKEN = (
    "gae",
    TURN_GRPO,
    "reinforce_plus_plus",
)
"""Estimators that see on which token a reward lies; all others add up the rewards of a response."""

UNFED = ("gdpo", "optimal_token_baseline", "remax", "tir_optimal_token_baseline")
"""Estimators of verl that need more than its trainer hands to any (verl 0.9.1): they fail there."""

_WITHOUT_GROUPS = ("gae", "reinforce_plus_plus")


def compares_within_groups(estimator: str) -> bool:
    """Return whether an advantage estimator compares the rollouts of one question.

    Args:
        estimator: verl's `algorithm.adv_estimator`; one that verl does not have itself counts as
            comparing.
    """
    return estimator not in _WITHOUT_GROUPS
