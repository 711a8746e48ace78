"""Group statistics against a recomputation by hand, and against verl's own."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from medenv.errors import UsageError
from medenv.reward import (
    advantage_shares,
    dead_group_rate,
    decoupled_advantages,
    group_advantages,
    phantom_advantage_rate,
)
from medenv.reward.analysis.groups import (
    EPSILON,
    liveness_by_group,
    rank_correlations,
    shares_by_group,
)

batches = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([0.0, 0.1, 0.3, 1.0, 1.3]), min_size=n, max_size=n),
        st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=n, max_size=n),
    )
)


def by_group(values, group):
    members = {}
    for value, label in zip(values, group, strict=True):
        members.setdefault(label, []).append(value)
    return members


@given(batches)
def test_an_advantage_is_the_deviation_in_units_of_the_groups_spread(batch):
    totals, group = batch
    expected = []
    for total, label in zip(totals, group, strict=True):
        mates = by_group(totals, group)[label]
        if len(mates) == 1:
            expected.append(0.0)  # nothing to be compared with
        else:
            spread = statistics.stdev(mates) + EPSILON
            expected.append((total - statistics.fmean(mates)) / spread)
    np.testing.assert_allclose(group_advantages(totals, group), expected, atol=1e-8)


@pytest.fixture(scope="module")
def core_algos():
    return pytest.importorskip("verl.trainer.ppo.core_algos")


@pytest.mark.verl
@given(batch=batches)
def test_an_advantage_is_the_one_that_verl_computes(core_algos, batch):
    torch = pytest.importorskip("torch")
    totals, group = batch
    rewards = torch.zeros(len(totals), 3, dtype=torch.float64)
    rewards[:, -1] = torch.tensor(totals, dtype=torch.float64)
    theirs, _ = core_algos.compute_grpo_outcome_advantage(
        rewards, torch.ones_like(rewards), np.array(group, dtype=object), epsilon=EPSILON
    )
    compared = np.array([len(by_group(totals, group)[label]) > 1 for label in group], dtype=bool)
    np.testing.assert_allclose(
        group_advantages(totals, group)[compared], theirs[:, 0].numpy()[compared], atol=1e-6
    )


@pytest.mark.verl
def test_a_decoupled_advantage_is_the_one_that_verl_computes(core_algos):
    """verl normalises over tokens: where each response has one, over rollouts."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng([0, 2])
    group = np.repeat(["a", "b", "c"], 4).astype(object)
    weighted = {"accuracy": rng.integers(0, 2, 12) * 1.0, "format": rng.random(12) * 0.1}
    weights = {"accuracy": 1.0, "format": 0.1}
    one = torch.ones(12, 1)
    theirs, _ = core_algos.compute_gdpo_outcome_advantage(
        token_level_rewards=one,
        response_mask=one,
        index=group,
        epsilon=EPSILON,
        config={"gdpo_reward_keys": [*weights], "gdpo_reward_weights": [*weights.values()]},
        non_tensor_batch=weighted,
        batch={"prompts": one, "attention_mask": torch.ones(12, 2, dtype=torch.long)},
    )
    ours = decoupled_advantages(weighted, weights, group)
    np.testing.assert_allclose(ours, theirs[:, 0].numpy(), atol=1e-4)
    assert not np.allclose(ours, group_advantages(sum(weighted.values()), group), atol=0.1)


def test_a_part_with_little_spread_counts_as_much_as_one_with_great_spread():
    parts = {"accuracy": [1.0, 0.0, 1.0, 0.0], "format": [0.1, 0.1, 0.0, 0.0]}
    equal = decoupled_advantages(parts, {"accuracy": 1.0, "format": 1.0}, [0] * 4)
    assert equal[1] == pytest.approx(equal[2], abs=1e-4)
    assert equal[0] > 1 > -1 > equal[3]
    assert decoupled_advantages(
        {"accuracy": [1.0] * 4}, {"accuracy": 1.0}, [0] * 4
    ) == pytest.approx(0)
    with pytest.raises(UsageError, match="at least one component"):
        decoupled_advantages({}, {}, [])


@given(batches)
def test_a_group_is_dead_where_all_rewards_are_equal(batch):
    totals, group = batch
    pools = [pool for pool in by_group(totals, group).values() if len(pool) > 1]
    rate = dead_group_rate(totals, group)
    if pools:
        assert rate == pytest.approx(sum(len(set(pool)) == 1 for pool in pools) / len(pools))
    else:
        assert math.isnan(rate)


def test_a_phantom_advantage_is_variance_where_every_answer_is_wrong():
    totals = [0.1, 0.0, 0.0, 0.0, 1.0, 0.1, 0.3]
    correct = [0, 0, 0, 0, 1, 0, 0]
    group = [0, 0, 1, 1, 2, 2, 3]
    assert phantom_advantage_rate(totals, correct, group) == pytest.approx(1 / 2)
    assert phantom_advantage_rate([0.0, 0.0], [0, 0], [0, 0]) == 0
    assert math.isnan(phantom_advantage_rate([1.0, 0.0], [True, False], [0, 0]))


def test_equal_rewards_that_floats_cannot_average_exactly_are_still_dead():
    assert dead_group_rate([0.1] * 3, [0] * 3) == 1
    assert dead_group_rate([1.3 - 1.0] * 7, [0] * 7) == 1


def test_shares_are_the_covariances_of_the_parts_with_the_total():
    rng = np.random.default_rng([0, 1])
    group = np.repeat(np.arange(6), 8)
    weighted = {"accuracy": rng.integers(0, 2, 48).astype(float), "format": rng.random(48) * 0.1}
    total = weighted["accuracy"] + weighted["format"]
    shares = advantage_shares(weighted, group)
    for name, values in weighted.items():
        by_hand = [
            np.cov(values[group == g], total[group == g])[0, 1] / np.var(total[group == g], ddof=1)
            for g in range(6)
        ]
        assert shares[name] == pytest.approx(np.mean(by_hand))
    assert sum(shares.values()) == pytest.approx(1)


def test_a_part_that_works_against_the_others_has_a_negative_share():
    shares = advantage_shares({"accuracy": [1.0, 0.0], "efficiency": [0.0, 0.2]}, ["q", "q"])
    assert shares["efficiency"] == pytest.approx(-0.25)
    assert shares["accuracy"] == pytest.approx(1.25)


def test_dead_groups_have_no_shares():
    assert math.isnan(advantage_shares({"accuracy": [1.0, 1.0]}, [0, 0])["accuracy"])
    assert advantage_shares({}, []) == {}


def test_a_batch_of_nothing_has_no_advantages():
    assert group_advantages([], []).shape == (0,)


@pytest.mark.parametrize(
    ("totals", "group", "message"),
    [
        ([1.0, 2.0], [0], r"one group label for each of n values, got shapes \(2,\) and \(1,\)"),
        ([[1.0]], [[0]], r"got shapes \(1, 1\)"),
        ([1.0, math.nan], [0, 0], r"a reward is not finite; leave out rollouts without a total"),
        ([1.0, math.inf], [0, 0], r"a reward is not finite"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(totals, group, message):
    for compute in (group_advantages, dead_group_rate):
        with pytest.raises(UsageError, match=message):
            compute(totals, group)


@given(batches)
def test_shares_by_group_average_to_the_shares(batch):
    totals, group = batch
    parts = {"one": totals, "other": [0.5 * (i % 3) for i in range(len(totals))]}
    by_hand = {
        name: [share for share in shares.tolist() if not math.isnan(share)]
        for name, shares in shares_by_group(parts, group).items()
    }
    for name, share in advantage_shares(parts, group).items():
        if by_hand[name]:
            assert share == pytest.approx(statistics.fmean(by_hand[name]))
        else:
            assert math.isnan(share)


@given(batches)
def test_liveness_by_group_averages_to_the_rates(batch):
    totals, group = batch
    correct = [total >= 1 for total in totals]
    dead, phantom = liveness_by_group(totals, correct, group)
    for values, rate in (
        (dead, dead_group_rate(totals, group)),
        (phantom, phantom_advantage_rate(totals, correct, group)),
    ):
        assert len(values) == len(set(group))
        known = values[~np.isnan(values)]
        assert np.isnan(rate) if not known.size else known.mean() == pytest.approx(rate)


@given(batches)
def test_a_rank_correlation_is_spearmans_within_the_group(batch):
    totals, group = batch
    right = [float(i % 3 == 0) for i in range(len(totals))]
    found = rank_correlations(totals, right, group)
    for label, value in zip(sorted(set(group)), found, strict=True):
        ours = [(t, r) for t, r, g in zip(totals, right, group, strict=True) if g == label]
        ranked, answers = zip(*ours, strict=True)
        if len(set(answers)) == 1:
            assert math.isnan(value)
        elif len(set(ranked)) == 1:
            assert value == 0
        else:
            assert value == pytest.approx(spearmanr(ranked, answers).statistic)
