"""The control condition deals the same totals out again."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.reward import shuffle_batch, shuffle_within_group

totals = st.lists(st.none() | st.floats(-2, 2), max_size=12)


@given(totals, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_the_totals_are_the_same_and_the_masked_stay_masked(given_, seed, step, group):
    dealt = shuffle_within_group(given_, seed=seed, step=step, group=group)
    assert Counter(dealt) == Counter(given_)
    assert [one is None for one in dealt] == [one is None for one in given_]


def test_the_same_arguments_give_the_same_deal_and_others_another():
    given_ = [float(i) for i in range(16)]
    deals = {
        (seed, step, group): tuple(shuffle_within_group(given_, seed=seed, step=step, group=group))
        for seed in range(3)
        for step in range(3)
        for group in range(3)
    }
    assert len(set(deals.values())) == 27
    assert deals[1, 2, 0] == tuple(shuffle_within_group(given_, seed=1, step=2, group=0))


def test_a_total_says_nothing_about_the_rollout_that_got_it():
    given_ = [1.0, 0.0, 0.0, 0.0]
    hits = np.mean(
        [shuffle_within_group(given_, seed=0, step=i, group=0).index(1.0) == 0 for i in range(4000)]
    )
    assert hits == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)


def test_the_input_is_left_alone():
    given_ = [1.0, None, 3.0, 4.0]
    shuffle_within_group(given_, seed=0, step=0, group=0)
    assert given_ == [1.0, None, 3.0, 4.0]


def test_a_negative_number_is_refused():
    with pytest.raises(UsageError, match="must not be negative; got 0, -1 and 0"):
        shuffle_within_group([1.0], seed=0, step=-1, group=0)


batches = st.lists(st.tuples(st.none() | st.floats(-2, 2), st.integers(0, 4)), max_size=16)


@given(batches, st.integers(0, 9))
def test_a_batch_keeps_its_totals_and_every_group_of_several_its_own(batch, step):
    totals, groups = [total for total, _ in batch], [group for _, group in batch]
    dealt = shuffle_batch(totals, groups, seed=0, step=step)
    assert Counter(dealt) == Counter(totals)
    assert [one is None for one in dealt] == [one is None for one in totals]
    sizes = Counter(group for total, group in batch if total is not None)
    if 1 not in sizes.values():
        for group in sizes:
            of_group = [place for place, label in enumerate(groups) if label == group]
            assert Counter(dealt[i] for i in of_group) == Counter(totals[i] for i in of_group)


@pytest.mark.parametrize("groups", [list(range(8)), [0, 0, 0, 0, 1, 1, 1, 2]], ids=str)
def test_where_a_group_has_one_member_totals_are_dealt_out_across_the_batch(groups):
    totals = [0.7, 0.0, 0.1, 0.2, 1.3, 0.4, 0.5, 0.6]
    dealt = [shuffle_batch(totals, groups, seed=0, step=step) for step in range(2000)]
    for place in (0, 7):  # the last is alone in its group both times
        kept = np.mean([one[place] == totals[place] for one in dealt])
        assert kept == pytest.approx(1 / 8, abs=4 * (1 / 8 * 7 / 8 / 2000) ** 0.5)


def test_a_batch_needs_a_group_for_each_total():
    with pytest.raises(UsageError, match="a group for each of 2 totals, got 1"):
        shuffle_batch([1.0, 0.0], [0], seed=0, step=0)
