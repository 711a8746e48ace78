"""Intervals over clusters, against a loop written out and against cases known by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.evaluation.statistics import (
    cluster_bootstrap,
    paired_cluster_bootstrap,
    paired_difference,
    pass_at_k,
    pass_hat_k,
)

RNG = np.random.default_rng([20, 1])
QUESTIONS = [f"test:{i // 4}" for i in range(160)]
RATES = np.repeat(RNG.beta(1, 1, size=40), 4)
VALUES = (RNG.random(160) < RATES).astype(float).tolist()
LATER = (RNG.random(160) < np.clip(RATES + 0.2, 0, 1)).astype(float).tolist()


def loop(sides: list[list[float]], draws: int) -> list[list[float]]:
    """Draw questions one by one with Python's own loops; return the means per draw and side."""
    names = sorted(set(QUESTIONS))
    rng = np.random.default_rng([99])
    out = []
    for _ in range(draws):
        drawn = [names[i] for i in rng.integers(len(names), size=len(names))]
        rows = [i for name in drawn for i, q in enumerate(QUESTIONS) if q == name]
        out.append([sum(side[i] for i in rows) / len(rows) for side in sides])
    return out


def test_the_interval_agrees_with_a_loop_that_draws_questions_one_by_one() -> None:
    fast = cluster_bootstrap(VALUES, QUESTIONS, seed=1)
    slow = np.quantile([m for (m,) in loop([VALUES], 2000)], [0.025, 0.975])
    assert fast.mean == pytest.approx(sum(VALUES) / len(VALUES))
    assert [fast.low, fast.high] == pytest.approx(slow.tolist(), abs=0.02)
    assert (fast.n, fast.clusters) == (160, 40)


def test_the_paired_interval_agrees_with_a_loop_that_draws_the_same_questions_twice() -> None:
    fast = paired_cluster_bootstrap(VALUES, LATER, QUESTIONS, seed=1)
    slow = np.quantile([a - b for b, a in loop([VALUES, LATER], 2000)], [0.025, 0.975])
    assert fast.mean == pytest.approx((sum(LATER) - sum(VALUES)) / 160)
    assert [fast.low, fast.high] == pytest.approx(slow.tolist(), abs=0.02)


def test_with_two_clusters_the_ends_are_the_two_means() -> None:
    got = cluster_bootstrap([0.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b"], seed=3)
    assert (got.low, got.mean, got.high) == (0.0, 0.5, 1.0)


def test_the_width_is_that_of_the_normal_approximation_over_cluster_means() -> None:
    means = np.array(VALUES).reshape(40, 4).mean(axis=1)
    half = 1.96 * means.std() / math.sqrt(40)
    got = cluster_bootstrap(VALUES, QUESTIONS, seed=1)
    assert (got.high - got.low) / 2 == pytest.approx(half, rel=0.05)


def test_running_every_episode_twice_does_not_shrink_the_interval() -> None:
    once = cluster_bootstrap(VALUES, QUESTIONS, seed=1)
    twice = cluster_bootstrap(VALUES * 2, QUESTIONS * 2, seed=1)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    as_if_independent = cluster_bootstrap(VALUES * 2, range(320), seed=1)
    assert as_if_independent.high - as_if_independent.low < 0.8 * (twice.high - twice.low)


def test_the_same_before_and_after_differ_by_exactly_zero() -> None:
    got = paired_cluster_bootstrap(VALUES, VALUES, QUESTIONS, seed=5)
    assert (got.low, got.mean, got.high) == (0.0, 0.0, 0.0)
    assert not got.excludes_zero


def test_pairing_is_narrower_than_two_intervals_apart() -> None:
    paired = paired_cluster_bootstrap(VALUES, LATER, QUESTIONS, seed=1)
    apart = [cluster_bootstrap(side, QUESTIONS, seed=1) for side in (VALUES, LATER)]
    assert paired.high - paired.low < sum(i.high - i.low for i in apart)


def test_a_difference_may_have_other_numbers_of_samples_per_question() -> None:
    got = paired_difference({"a": [0, 1], "b": [0]}, {"a": [1], "b": [1, 1, 0]}, seed=1)
    assert got.mean == pytest.approx(3 / 4 - 1 / 3)
    assert (got.n, got.clusters) == (7, 2)


def test_draws_without_any_value_on_one_side_are_left_out() -> None:
    got = paired_difference({"a": [1.0], "b": []}, {"a": [1.0], "b": [0.0]}, seed=1)
    assert got.mean == -0.5
    assert (got.low, got.high) == (-0.5, 0.0)


def test_one_cluster_tells_nothing_about_others() -> None:
    got = cluster_bootstrap([0.0, 1.0], ["a", "a"], seed=1)
    assert got.mean == 0.5
    assert math.isnan(got.low)
    assert math.isnan(got.high)
    assert not got.excludes_zero


def test_the_seed_decides_everything_and_the_order_of_samples_nothing() -> None:
    first = cluster_bootstrap(VALUES, QUESTIONS, seed=7)
    assert first == cluster_bootstrap(VALUES, QUESTIONS, seed=7)
    assert first == cluster_bootstrap(VALUES[::-1], QUESTIONS[::-1], seed=7)
    few = [cluster_bootstrap(VALUES, QUESTIONS, seed=s, draws=20) for s in (7, 8)]
    assert few[0] != few[1]


def test_many_draws_come_in_chunks_and_agree_with_few() -> None:
    many = [float(i % 2) for i in range(3000)]
    got = cluster_bootstrap(many, range(3000), seed=1, draws=2000)
    half = 1.96 * 0.5 / math.sqrt(3000)
    assert (got.low, got.high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.003)


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 6)), min_size=1, max_size=40),
    st.floats(-3, 3),
)
def test_shifting_all_values_shifts_the_whole_interval(
    rows: list[tuple[float, int]], shift: float
) -> None:
    values, clusters = [v for v, _ in rows], [c for _, c in rows]
    here = cluster_bootstrap(values, clusters, seed=1, draws=200)
    there = cluster_bootstrap([v + shift for v in values], clusters, seed=1, draws=200)
    for name in ("mean", "low", "high"):
        expected = getattr(here, name) + shift
        assert getattr(there, name) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("values", "clusters", "options", "message"),
    [
        ([], [], {}, "at least one value"),
        ([1.0], [], {}, "1 values and 0 clusters"),
        ([math.nan, 1.0], ["a", "b"], {}, "finite values, but question 'a'"),
        ([1.0, 2.0], ["a", "b"], {"level": 1.0}, "level between 0 and 1, got 1.0"),
        ([1.0, 2.0], ["a", "b"], {"draws": 0}, "draws to be positive, got 0"),
    ],
    ids=["empty", "lengths", "nan", "level", "draws"],
)
def test_bad_input_is_refused_in_one_line(
    values: list[float], clusters: list[str], options: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        cluster_bootstrap(values, clusters, seed=1, **options)


def test_questions_on_one_side_only_are_refused() -> None:
    with pytest.raises(UsageError, match=r"1 are on one side only \(e.g. 'b'\)"):
        paired_difference({"a": [1.0]}, {"a": [1.0], "b": [1.0]}, seed=1)


def test_pass_at_k_and_pass_hat_k_are_shares_of_all_subsets() -> None:
    for samples, right in itertools.product(range(1, 7), range(7)):
        if right > samples:
            continue
        outcomes = [1] * right + [0] * (samples - right)
        for k in range(1, samples + 1):
            subsets = list(itertools.combinations(outcomes, k))
            share = sum(any(s) for s in subsets) / len(subsets)
            assert pass_at_k(samples, right, k) == pytest.approx(share)
            every = sum(all(s) for s in subsets) / len(subsets)
            assert pass_hat_k(samples, right, k) == pytest.approx(every)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((4, 5, 1), "right=5, samples=4"), ((4, 2, 5), "k=5, samples=4"), ((4, 2, 0), "k=0")],
)
def test_pass_at_k_refuses_impossible_numbers(
    arguments: tuple[int, int, int], message: str
) -> None:
    for chance in (pass_at_k, pass_hat_k):
        with pytest.raises(UsageError, match=message):
            chance(*arguments)
