"""Shuffle rewards for a control that keeps their distribution but carries no information."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medenv.errors import UsageError


def shuffle_batch(
    totals: Sequence[float | None], groups: Sequence[int], *, seed: int, step: int
) -> list[float | None]:
    """Return the totals of a training batch in a random order.

    Totals are permuted within their group, so that every question keeps its rewards. Where groups
    have one member, as in PPO, totals are permuted across the batch instead.

    Args:
        totals: Totals of the rollouts, shape (n,).
        groups: Number of each rollout's group within the step, not negative, shape (n,).
        seed: Seed of the run, not negative.
        step: Training step, not negative.

    Returns:
        A permutation of the totals, the same for the same arguments.

    Raises:
        UsageError: A number is negative, or there is not one group for each total.
    """
    if len(totals) != len(groups):
        raise UsageError(f"expected a group for each of {len(totals)} totals, got {len(groups)}")
    members: dict[int, list[int]] = {}
    for place, (total, group) in enumerate(zip(totals, groups, strict=True)):
        if total is not None:
            members.setdefault(group, []).append(place)
    if any(len(places) == 1 for places in members.values()):
        members = {0: sorted(place for places in members.values() for place in places)}
    dealt = list(totals)
    for group, places in members.items():
        own = [totals[place] for place in places]
        shuffled = shuffle_within_group(own, seed=seed, step=step, group=group)
        for place, total in zip(places, shuffled, strict=True):
            dealt[place] = total
    return dealt


def shuffle_within_group(
    totals: Sequence[float | None], *, seed: int, step: int, group: int
) -> list[float | None]:
    """Return the totals of one question's rollouts in a random order.

    Each group keeps its rewards, but their assignment to rollouts carries no information, so any
    remaining improvement comes from the optimiser. A rollout without a total (None) keeps its
    place, since it is masked and not rewarded.

    Args:
        totals: Totals of the rollouts of one question.
        seed: Seed of the run, not negative.
        step: Training step, not negative.
        group: Number of the group within the step, not negative.

    Returns:
        A permutation of the totals, the same for the same arguments.

    Raises:
        UsageError: `seed`, `step` or `group` is negative.
    """
    if min(seed, step, group) < 0:
        raise UsageError(
            f"seed, step and group must not be negative; got {seed}, {step} and {group}"
        )
    places = [i for i, total in enumerate(totals) if total is not None]
    dealt = list(totals)
    order = np.random.default_rng([seed, step, group]).permutation(len(places))
    for place, source in zip(places, order, strict=True):
        dealt[place] = totals[places[source]]
    return dealt
