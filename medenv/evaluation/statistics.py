"""Intervals that resample questions instead of samples, paired tests, pass@k and pass^k.

Several samples of one question are not independent, so the unit that is drawn again is the question
(the cluster): an interval must not shrink because every episode was run twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from medenv.errors import UsageError, require
from medenv.records import Record

_CHUNK_ENTRIES = 2**20
"""Entries of the counts matrix held at once, so that memory does not grow with the draws."""

Floats = npt.NDArray[np.float64]


class Interval(Record, frozen=True, kw_only=True):
    """A mean, or a difference of means, with its bootstrap interval.

    Args:
        mean: The estimate from the data themselves.
        low: Lower end; NaN where there are fewer than two clusters to draw from.
        high: Upper end; NaN likewise.
        n: Number of values that went in.
        clusters: Number of clusters that they came from.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero; False where it is not known."""
        return self.low > 0 or self.high < 0


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[str] | Sequence[int],
    *,
    seed: int,
    draws: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Return the mean of `values` with the percentile interval from resampled clusters.

    Each draw takes as many clusters as there are, with replacement, and all values of each (Field &
    Welsh 2007, "Bootstrapping clustered data"). Where all clusters have the same mean the interval
    has no width, as with every percentile bootstrap.

    Args:
        values: One number per sample.
        clusters: The cluster of each sample, e.g. its question id; same length.
        seed: Seed of the draws; the same seed gives the same interval.
        draws: Number of bootstrap draws.
        level: Coverage of the interval, between 0 and 1.

    Raises:
        UsageError: Nothing to average, unequal lengths, a value that is not finite, or a level or
            number of draws out of range.
    """
    groups = _group(values, clusters)
    totals, sizes = _columns([groups], sorted(groups))
    samples = _ratios(totals, sizes, seed, draws)[:, 0]
    return _interval(float(totals.sum() / sizes.sum()), samples, level, len(values), len(groups))


def paired_cluster_bootstrap(
    before: Sequence[float],
    after: Sequence[float],
    clusters: Sequence[str] | Sequence[int],
    *,
    seed: int,
    draws: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Return mean(after) - mean(before) where the same questions were answered both times.

    Each draw takes the same questions for both sides, so what makes a question hard cancels out.

    Args:
        before: One number per sample before.
        after: One number per sample after; entry i belongs to the same question as `before[i]`.
        clusters: The question of each sample; same length.
        seed: Seed of the draws.
        draws: Number of bootstrap draws.
        level: Coverage of the interval, between 0 and 1.

    Raises:
        UsageError: As `cluster_bootstrap`.
    """
    return paired_difference(
        _group(before, clusters), _group(after, clusters), seed=seed, draws=draws, level=level
    )


def paired_difference(
    before: Mapping[str, Sequence[float]],
    after: Mapping[str, Sequence[float]],
    *,
    seed: int,
    draws: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Return mean(after) - mean(before) where the number of samples per question may differ.

    Args:
        before: Question to its values before; a question may have none, e.g. because a share is
            taken among the episodes of some kind only.
        after: Question to its values after, over the same questions.
        seed: Seed of the draws.
        draws: Number of bootstrap draws; those that draw no value at all on one side are left out.
        level: Coverage of the interval, between 0 and 1.

    Raises:
        UsageError: Other questions after than before, no value on one side, a value that is not
            finite, or a level or number of draws out of range.
    """
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise UsageError(
            f"expected the same questions before and after, but {len(odd)} are on one side only "
            f"(e.g. {odd[0]!r}); drop them on both sides"
        )
    totals, sizes = _columns([before, after], sorted(before))
    means = totals.sum(axis=0) / sizes.sum(axis=0)
    samples = _ratios(totals, sizes, seed, draws)
    return _interval(
        float(means[1] - means[0]),
        samples[:, 1] - samples[:, 0],
        level,
        int(sizes.sum()),
        len(before),
    )


def sign_flip_test(
    before: Mapping[str, float], after: Mapping[str, float], *, seed: int, draws: int = 10_000
) -> float:
    """Return the p-value of a paired difference: as great or greater, were the sides exchangeable.

    The two-sided test by permutation within questions (Fisher 1935, "The Design of Experiments",
    section 21); exact where there are at most `draws` permutations.

    Args:
        before: Question to its value before.
        after: Question to its value after, over the same questions.
        seed: Seed of the draws.
        draws: Number of random permutations.

    Raises:
        UsageError: Other questions after than before, or none.
        MissingExtraError: scipy is not installed.
    """
    if not before or before.keys() != after.keys():
        raise UsageError("expected the same questions before and after, and at least one")
    names = sorted(before)
    require("scipy", "analysis", "tests between evaluations")
    # Imported here because it takes a second; scipy ships no types.
    from scipy.stats import permutation_test  # type: ignore[import-untyped]

    moved = np.array([after[name] - before[name] for name in names])
    moved = moved[moved != 0]  # the others add nothing in any permutation
    if len(moved) < 2:
        return 1.0  # either sign is as great
    found = permutation_test(
        (moved,),
        lambda values, axis=-1: values.mean(axis=axis),
        permutation_type="samples",
        n_resamples=draws,
        batch=max(1, _CHUNK_ENTRIES // len(moved)),
        rng=np.random.default_rng([seed]),
    )
    return float(found.pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure": the i-th smallest of m is
    multiplied by m - i + 1; none becomes smaller than one before it, nor greater than 1.

    Args:
        values: p-values of a family of tests.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected = list(values)
    least = 0.0
    for done, place in enumerate(order):
        least = max(least, min(1.0, values[place] * (len(values) - done)))
        corrected[place] = least
    return corrected


class Resampled:
    """Means of many columns over the same clusters from the same draws, and their differences.

    Gives the intervals of `cluster_bootstrap` and `paired_difference`, but draws once for all.

    Args:
        totals: Sums of the values of each cluster, shape (clusters, columns).
        sizes: Numbers of values of each cluster, same shape; a cluster may have none.
        seed: Seed of the draws.
        draws: Number of bootstrap draws.
        level: Coverage of the intervals, between 0 and 1.

    Raises:
        UsageError: The shapes differ, a sum is not finite, or `draws` is out of range.
    """

    def __init__(
        self, totals: Floats, sizes: Floats, *, seed: int, draws: int = 10_000, level: float = 0.95
    ) -> None:
        if totals.ndim != 2 or totals.shape != sizes.shape:
            raise UsageError(
                f"expected sums and sizes of shape (clusters, columns), got {totals.shape} and"
                f" {sizes.shape}"
            )
        if not np.isfinite(totals).all():
            raise UsageError("expected finite sums, got one that is not")
        self._level, self._clusters = level, len(totals)
        self._sizes = sizes.sum(axis=0)
        self._means = np.divide(
            totals.sum(axis=0),
            self._sizes,
            out=np.full(totals.shape[1], np.nan),
            where=self._sizes > 0,
        )
        self._samples = _ratios(totals, sizes, seed, draws)

    def mean(self, column: int) -> Interval | None:
        """Return the mean of a column's values with its interval, or None where it has none."""
        return self._made(float(self._means[column]), self._samples[:, column], column)

    def difference(self, before: int, after: int) -> Interval | None:
        """Return mean(after) - mean(before), or None where a column has no values."""
        mean = float(self._means[after] - self._means[before])
        return self._made(mean, self._samples[:, after] - self._samples[:, before], after)

    def _made(self, mean: float, samples: Floats, column: int) -> Interval | None:
        if math.isnan(mean):
            return None
        return _interval(mean, samples, self._level, int(self._sizes[column]), self._clusters)


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Return the chance that at least one of `k` samples is right, estimated without bias.

    1 - C(samples - right, k) / C(samples, k); Chen et al. 2021, "Evaluating Large Language Models
    Trained on Code", equation 1.

    Args:
        samples: Number of samples of the question.
        right: How many of them were right.
        k: How many samples one may try.

    Raises:
        UsageError: Not 0 <= right <= samples, or not 1 <= k <= samples.
    """
    _check_tries(samples, right, k)
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def pass_hat_k(samples: int, right: int, k: int) -> float:
    """Return the chance that all of `k` samples are right, pass^k, estimated without bias.

    C(right, k) / C(samples, k); Yao et al. 2024, "tau-bench: A Benchmark for Tool-Agent-User
    Interaction in Real-World Domains".

    Args:
        samples: Number of samples of the question.
        right: How many of them were right.
        k: How many samples have to be right.

    Raises:
        UsageError: Not 0 <= right <= samples, or not 1 <= k <= samples.
    """
    _check_tries(samples, right, k)
    return math.comb(right, k) / math.comb(samples, k)


def _check_tries(samples: int, right: int, k: int) -> None:
    if not 0 <= right <= samples:
        raise UsageError(f"expected 0 <= right <= samples, got right={right}, samples={samples}")
    if not 1 <= k <= samples:
        raise UsageError(
            f"expected 1 <= k <= samples, got k={k}, samples={samples}; draw more samples"
        )


def _group(
    values: Sequence[float], clusters: Sequence[str] | Sequence[int]
) -> dict[str, list[float]]:
    """Collect the values of each cluster."""
    if len(values) != len(clusters):
        raise UsageError(
            f"expected one cluster per value, got {len(values)} values and {len(clusters)} clusters"
        )
    groups: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        groups.setdefault(str(cluster), []).append(value)
    return groups


def _columns(
    sides: Sequence[Mapping[str, Sequence[float]]], names: Sequence[str]
) -> tuple[Floats, Floats]:
    """Return sums and numbers of values, both of shape (clusters, sides)."""
    rows = [[side[name] for side in sides] for name in names]
    shape = (len(rows), len(sides))
    totals = np.array([[float(np.sum(cell)) for cell in row] for row in rows]).reshape(shape)
    sizes = np.array([[float(len(cell)) for cell in row] for row in rows]).reshape(shape)
    if not np.isfinite(totals).all():
        where = names[int(np.argwhere(~np.isfinite(totals))[0, 0])]
        raise UsageError(f"expected finite values, but question {where!r} has one that is not")
    if not rows or not sizes.sum(axis=0).all():
        raise UsageError("expected at least one value to average, got none")
    return totals, sizes


def _ratios(totals: Floats, sizes: Floats, seed: int, draws: int) -> Floats:
    """Return the means of each draw, shape (draws, sides); NaN where a draw has no value."""
    if draws < 1:
        raise UsageError(f"expected draws to be positive, got {draws}")
    if len(totals) < 2:
        return np.full((1, totals.shape[1]), np.nan)
    means = []
    for counts in _chunks(seed, draws, len(totals)):
        drawn = counts.astype(np.float64)
        size = drawn @ sizes
        means.append(
            np.divide(drawn @ totals, size, out=np.full(size.shape, np.nan), where=size > 0)
        )
    return np.concatenate(means)


def _chunks(seed: int, draws: int, clusters: int) -> Iterator[npt.NDArray[np.uint32]]:
    """Yield how often each cluster is drawn, in chunks of shape (rows, clusters)."""
    rows = max(1, _CHUNK_ENTRIES // clusters)
    for number, start in enumerate(range(0, draws, rows)):
        yield _counts(seed, number, min(rows, draws - start), clusters)


@lru_cache(maxsize=8)
def _counts(seed: int, number: int, rows: int, clusters: int) -> npt.NDArray[np.uint32]:
    """Draw one chunk; kept, because a report takes many intervals over the same questions."""
    rng = np.random.default_rng([seed, number])
    counts = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=rows)
    return counts.astype(np.uint32)


def _interval(mean: float, samples: Floats, level: float, n: int, clusters: int) -> Interval:
    """Take the percentiles of the draws."""
    if not 0 < level < 1:
        raise UsageError(f"expected level between 0 and 1, got {level}")
    known = samples[~np.isnan(samples)]
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail]) if known.size else (math.nan, math.nan)
    return Interval(mean=mean, low=float(low), high=float(high), n=n, clusters=clusters)
