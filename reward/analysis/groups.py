"""Compute statistics of GRPO groups: advantages, dead groups and the components' shares.

A group is the set of rollouts of one question in one step. All functions take flat arrays of shape
``(n,)`` with one entry per rollout and an array ``group`` of shape ``(n,)`` with its group's label.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medenv.errors import UsageError
from medenv.records import Score

EPSILON = 1e-6
"""Added to the standard deviation, as verl 0.9.1 does in `compute_grpo_outcome_advantage`."""

DEAD_STD = 1e-9
"""Standard deviation up to which the rewards of a group count as equal."""

Floats = NDArray[np.float64]


def group_advantages(totals: ArrayLike, group: ArrayLike, epsilon: float = EPSILON) -> Floats:
    """Return the GRPO advantage of every rollout: ``(r - mean_g) / (std_g + epsilon)``.

    The standard deviation has n - 1 in its denominator. A group of one rollout has the
    advantage 0, since it has no baseline; verl's own function returns its reward instead, so
    training leaves such a group out of the batch.

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
    advantages: Floats = (rewards - mean[index]) / (std[index] + epsilon)
    return advantages


def decoupled_advantages(
    weighted: Mapping[str, ArrayLike],
    weights: Mapping[str, float],
    group: ArrayLike,
    epsilon: float = EPSILON,
) -> Floats:
    """Return the GDPO advantage of every rollout: each component is normalised by itself.

    ``a_c = group_advantages(w_c)``, ``a = sum_c weight_c a_c``, and the advantage is
    ``(a - mean) / (std + epsilon)`` over all rollouts of the batch. A component that differs little
    within a group counts as much as one that differs greatly, up to its weight. GRPO adds them up
    first.

    Args:
        weighted: Component name to its contribution to each total, shape (n,).
        weights: Component name to its weight.
        group: Group labels, shape (n,).
        epsilon: Added to each standard deviation.

    Raises:
        UsageError: No component, the shapes differ or a value is not finite.

    Source: Liu et al. 2026, GDPO, arXiv 2601.05242.
    """
    if not weighted:
        raise UsageError("decoupled advantages need at least one component, got none")
    parts = [weights[name] * group_advantages(weighted[name], group, epsilon) for name in weighted]
    mixed = np.sum(parts, axis=0)
    whole = np.zeros(len(mixed))
    return group_advantages(mixed, whole, epsilon)


def advantages_of_parts(scores: Sequence[Score], group: ArrayLike) -> Floats:
    """Return the GDPO advantage of every rollout by the parts of its score that have a weight.

    Args:
        scores: The scores of a batch; a part that a score lacks counts as 0 in it.
        group: Group labels, shape (n,).

    Raises:
        UsageError: No part has a weight, the shapes differ or a value is not finite.
    """
    weights = {
        name: part.weight for one in scores for name, part in one.parts.items() if part.weight
    }
    weighted = {
        name: [one.parts[name].weighted if name in one.parts else 0.0 for one in scores]
        for name in sorted(weights)
    }
    return decoupled_advantages(weighted, weights, group)


def dead_group_rate(totals: ArrayLike, group: ArrayLike) -> float:
    """Return the share of groups whose rollouts all got the same reward, and so give no gradient.

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
    """Return the share of groups whose rewards differ although no answer is right.

    In such a group the shaping terms alone decide the advantage: some wrong answers are
    reinforced over others that are no better.

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
        weighted: Component name to its contribution to each total, shape (n,).
        group: Group labels, shape (n,).

    Returns:
        Component name to its share; nan for each where every group is dead.

    Raises:
        UsageError: The shapes differ or a value is not finite.
    """
    return {
        name: float(np.mean(shares[~np.isnan(shares)])) if (~np.isnan(shares)).any() else math.nan
        for name, shares in shares_by_group(weighted, group).items()
    }


def shares_by_group(weighted: Mapping[str, ArrayLike], group: ArrayLike) -> dict[str, Floats]:
    """Return each component's signed share of the advantage in every group.

    Args:
        weighted: Component name to its contribution to each total, shape (n,).
        group: Group labels, shape (n,).

    Returns:
        Component name to ``Cov_g(w_c, r) / Var_g(r)``, shape (groups,) in the order of the sorted
        labels; nan where the group is dead.

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
    centred = rewards - mean[index]
    variance = np.where(live, np.bincount(index, weights=centred**2, minlength=len(size)), np.nan)
    return {
        name: np.bincount(index, weights=values * centred, minlength=len(size)) / variance
        for name, values in parts.items()
    }


def liveness_by_group(
    totals: ArrayLike, correct: ArrayLike, group: ArrayLike
) -> tuple[Floats, Floats]:
    """Return whether each group is dead, and whether its advantage is a phantom.

    Args:
        totals: Rewards, shape (n,).
        correct: Whether each answer is right, shape (n,).
        group: Group labels, shape (n,).

    Returns:
        Two arrays of 0 and 1, shape (groups,) in the order of the sorted labels. The first is nan
        for a group of one rollout; the second also where an answer is right.

    Raises:
        UsageError: The shapes differ or a reward is not finite.
    """
    rewards, index, size = _flat(totals, group)
    right, _, _ = _flat(correct, group)
    _, std = _moments(rewards, index, size)
    dead = np.where(size > 1, (std <= DEAD_STD).astype(np.float64), np.nan)
    any_right = np.bincount(index, weights=right > 0, minlength=len(size)) > 0
    return dead, np.where(any_right, np.nan, 1.0 - dead)


def rank_correlations(totals: ArrayLike, correct: ArrayLike, group: ArrayLike) -> Floats:
    """Return Spearman's rank correlation of reward and correctness within each group.

    Args:
        totals: Rewards, shape (n,).
        correct: Correctness of each answer, shape (n,).
        group: Group labels, shape (n,).

    Returns:
        Correlations, shape (groups,) in the order of the sorted labels; nan where all answers are
        equally right, 0 where only the rewards are equal.

    Raises:
        UsageError: The shapes differ or a reward is not finite.

    Source: Spearman 1904, The proof and measurement of association between two things.
    """
    rewards, index, size = _flat(totals, group)
    right, _, _ = _flat(correct, group)
    first, second = _ranks(rewards, index), _ranks(right, index)
    first_mean, first_std = _moments(first, index, size)
    second_mean, second_std = _moments(second, index, size)
    products = (first - first_mean[index]) * (second - second_mean[index])
    covariance = np.bincount(index, weights=products, minlength=len(size)) / np.maximum(size - 1, 1)
    spread = first_std * second_std
    found = np.divide(covariance, spread, out=np.zeros(len(size)), where=spread > DEAD_STD)
    ranked: Floats = np.where(second_std > DEAD_STD, found, np.nan)
    return ranked


def _ranks(values: Floats, index: NDArray[np.intp]) -> Floats:
    """Return ranks, exact within each group up to a constant; ties share their mean rank."""
    rounded = np.round(values, 9)
    order = np.lexsort((rounded, index))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(rounded[order]) != 0) | (np.diff(index[order]) != 0)
    run = np.cumsum(new) - 1
    mean = np.bincount(run, weights=np.arange(len(order))) / np.bincount(run)
    ranks = np.empty(len(order))
    ranks[order] = mean[run]
    return ranks


def _flat(values: ArrayLike, group: ArrayLike) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Return the values, the group index of each value, and the group sizes."""
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
    """Return the mean and the sample standard deviation of each group; 0 for a group of one."""
    mean = np.bincount(index, weights=rewards, minlength=len(size)) / np.maximum(size, 1)
    squares = np.bincount(index, weights=(rewards - mean[index]) ** 2, minlength=len(size))
    return mean, np.sqrt(squares / np.maximum(size - 1, 1))


def _share(hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    """Return the share of hits among the selected groups."""
    return float(np.mean(hit[among])) if among.any() else float("nan")
