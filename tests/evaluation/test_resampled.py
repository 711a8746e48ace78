"""Many intervals from the same draws are the intervals that one gets one by one."""

import numpy as np
import pytest

from medenv.errors import UsageError
from medenv.evaluation.statistics import Resampled, cluster_bootstrap, paired_difference

RNG = np.random.default_rng([7, 1])
BEFORE = {f"q{i:02}": RNG.random(1 + i % 4).tolist() for i in range(20)}
AFTER = {name: RNG.random(1 + i % 3).tolist() for i, name in enumerate(BEFORE)}


def columns(*sides):
    totals = np.array([[sum(side[name]) for side in sides] for name in sorted(BEFORE)])
    sizes = np.array([[float(len(side[name])) for side in sides] for name in sorted(BEFORE)])
    return totals, sizes


def test_a_column_has_the_interval_of_the_cluster_bootstrap():
    many = Resampled(*columns(BEFORE, AFTER), seed=3, draws=500)
    for number, side in enumerate((BEFORE, AFTER)):
        values = [value for name in sorted(side) for value in side[name]]
        names = [name for name in sorted(side) for _ in side[name]]
        one, other = many.mean(number), cluster_bootstrap(values, names, seed=3, draws=500)
        assert (one.mean, one.low, one.high) == pytest.approx((other.mean, other.low, other.high))
        assert (one.n, one.clusters) == (other.n, other.clusters)


def test_two_columns_have_the_interval_of_the_paired_difference():
    many = Resampled(*columns(BEFORE, AFTER), seed=3, draws=500)
    one = paired_difference(BEFORE, AFTER, seed=3, draws=500)
    found = many.difference(0, 1)
    assert (found.mean, found.low, found.high) == pytest.approx((one.mean, one.low, one.high))


def test_a_column_without_values_has_no_interval():
    totals, sizes = columns(BEFORE, AFTER)
    sizes[:, 1] = totals[:, 1] = 0
    many = Resampled(totals, sizes, seed=0, draws=10)
    assert many.mean(1) is None
    assert many.difference(0, 1) is None
    assert many.mean(0) is not None


@pytest.mark.parametrize(
    ("totals", "sizes", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 2)), r"shape \(clusters, columns\), got \(2, 3\) and \(2,"),
        (np.full((2, 1), np.nan), np.ones((2, 1)), r"expected finite sums"),
    ],
)
def test_columns_that_do_not_fit_are_refused(totals, sizes, message):
    with pytest.raises(UsageError, match=message):
        Resampled(totals, sizes, seed=0)
