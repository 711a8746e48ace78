"""Statistics of GRPO groups: which rollouts push the policy, how hard, and which component pushes.

A group is the set of rollouts of one question in one step. All functions take flat arrays of shape
``(n,)`` with one entry per rollout and an array ``group`` of shape ``(n,)`` with its group's label.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medenv.errors import UsageError

EPSILON = 1e-6
"""Added to the standard deviation, as verl 0.9.1 does in `compute_grpo_outcome_advantage`."""

DEAD_STD = 1e-9
"""Standard deviation up to which the rewards of a group count as equal."""

Floats = NDArray[np.float64]


def group_advantages(totals: ArrayLike, group: ArrayLike, epsilon: float = EPSILON) -> Floats:
    """Return the GRPO advantage of every rollout: ``(r - mean_g) / (std_g + epsilon)``.

    The standard deviation has n - 1 in its denominator. A group of one rollout keeps its reward
    as its advantage, as in verl.

    Args:
        totals: Rewards, shape (n,).
        group: Group labels, shape (n,).
        epsilon: Added to the standard deviation.

    Raises:
        UsageError: The shapes differ or a reward is not finite.

    Source: Shao et al. 2024, DeepSeekMath, arXiv 2402.03300, section 4.1.
    """
    rewards, index, size = _flat(totals, group)
    mean, std = _moments(rewards, index, size)
    alone = size == 1
    centre, scale = np.where(alone, 0.0, mean), np.where(alone, 1.0, std)
    advantages: Floats = (rewards - centre[index]) / (scale[index] + epsilon)
    return advantages


def dead_group_rate(totals: ArrayLike, group: ArrayLike) -> float:
    """Return the share of groups whose rollouts all got the same reward: they teach nothing.

    Args:
        totals: Rewards, shape (n,).
        group: Group labels, shape (n,).

    Returns:
        Share in [0, 1]; nan where there is no group of two or more rollouts.

    Raises:
        UsageError: The shapes differ or a reward is not finite.
    """
    rewards, index, size = _flat(totals, group)
    _, std = _moments(rewards, index, size)
    return _share(std <= DEAD_STD, size > 1)


def phantom_advantage_rate(totals: ArrayLike, correct: ArrayLike, group: ArrayLike) -> float:
    """Return the share of groups without a right answer in which rewards differ all the same.

    Such a group pushes the policy towards whatever its shaping terms pay for, away from wrong
    answers that were no worse.

    Args:
        totals: Rewards, shape (n,).
        correct: Whether each answer is right, shape (n,).
        group: Group labels, shape (n,).

    Returns:
        Share in [0, 1]; nan where no group of two or more rollouts is all wrong.

    Raises:
        UsageError: The shapes differ or a reward is not finite.
    """
    rewards, index, size = _flat(totals, group)
    right, _, _ = _flat(correct, group)
    _, std = _moments(rewards, index, size)
    all_wrong = np.bincount(index, weights=right > 0, minlength=len(size)) == 0
    return _share(std > DEAD_STD, all_wrong & (size > 1))


def advantage_shares(weighted: Mapping[str, ArrayLike], group: ArrayLike) -> dict[str, float]:
    """Return each component's signed share of the advantage within groups.

    ``share_c = sum_g Cov_g(w_c, r) / Var_g(r) / #live groups`` with r the sum of all components:
    the shares sum to 1 where some group is live. A negative share works against the others.

    Args:
        weighted: Component name to what it contributed to each total, shape (n,).
        group: Group labels, shape (n,).

    Returns:
        Component name to its share; nan for each where every group is dead.

    Raises:
        UsageError: The shapes differ or a value is not finite.
    """
    parts = {name: _flat(values, group)[0] for name, values in weighted.items()}
    if not parts:
        return {}
    totals = np.sum(list(parts.values()), axis=0)
    rewards, index, size = _flat(totals, group)
    mean, std = _moments(rewards, index, size)
    live = std > DEAD_STD
    if not live.any():
        return dict.fromkeys(parts, float("nan"))
    centred = rewards - mean[index]
    variance = np.bincount(index, weights=centred**2)
    shares = {}
    for name, values in parts.items():
        covariance = np.bincount(index, weights=values * centred)
        shares[name] = float(np.mean(covariance[live] / variance[live]))
    return shares


def _flat(values: ArrayLike, group: ArrayLike) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Return values, the number of each value's group, and the groups' sizes."""
    rewards = np.asarray(values, dtype=np.float64)
    labels = np.asarray(group)
    if rewards.ndim != 1 or rewards.shape != labels.shape:
        raise UsageError(
            f"expected one group label for each of n values, got shapes {rewards.shape} and"
            f" {labels.shape}"
        )
    if not np.isfinite(rewards).all():
        raise UsageError(
            "a reward is not finite; leave out rollouts without a total before computing advantages"
        )
    _, index, size = np.unique(labels, return_inverse=True, return_counts=True)
    return rewards, index, size


def _moments(
    rewards: Floats, index: NDArray[np.intp], size: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Return mean and sample standard deviation of every group; 0 for a group of one."""
    mean = np.bincount(index, weights=rewards, minlength=len(size)) / np.maximum(size, 1)
    squares = np.bincount(index, weights=(rewards - mean[index]) ** 2, minlength=len(size))
    return mean, np.sqrt(squares / np.maximum(size - 1, 1))


def _share(hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    """Return the share of hits among the groups that count."""
    return float(np.mean(hit[among])) if among.any() else float("nan")
