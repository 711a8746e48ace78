"""A Bayesian model that ranks diseases by findings, in log space over a hierarchy of findings.

For a patient with present findings Q and absent findings A, and diseases d with prior pi(d),

    log posterior(d) = v * log pi(d) + sum over q in Q of (log R(q | d) + s * S(q, d))
                                     + w * sum over a in A of log(1 - P(a | d))
                                     - u * sum over f of P(f | d) + const

P(f | d) is the frequency of f in d: the highest frequency of the finding's subtypes annotated to d
(the true-path rule), but at least its mean over all diseases, the base rate of f in a patient with
another disease. R(f | d) is the frequency with which f is recorded of a patient with d: P, but
c times P if d has f only through a subtype, since records mostly name the subtype. The weight w of
absence is below 1, since recorded absent findings are selected by clinicians, not sampled at
random. The weight v of the prior is below 1, since patients who are diagnosed, and even more those
who are published, are not a random sample of the population. S(q, d) is the information of the most
specific finding above q that d has, in nats: a disease with a sibling of q is likelier than one
without any finding of the kind. The last sum runs over the findings annotated to d: a finding that
is expected and not recorded speaks against d, but little, since records are not complete.

Source:
    P. N. Robinson et al.: Interpretable clinical genomics with a likelihood ratio paradigm (2020),
    for likelihood ratios over HPO annotations; P. Resnik: Using information content to evaluate
    semantic similarity in a taxonomy (1995); weights and question selection are medenv's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medenv.errors import UsageError
from medenv.records import Entity, Record
from medenv.retrieval.names import NameIndex

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]

CEILING = 0.95
"""Maximum probability of a finding: even an obligate finding can be missed or unrecorded."""

CANDIDATES = 20
"""Number of most probable diseases whose findings are candidates for the next question."""

LIKENESSES = 256
"""Findings whose likeness to all diseases is kept, some 80 kB each."""

MIN_GAIN = 1e-9
"""Minimum mutual information of a suggested question, in nats."""


class Annotation(NamedTuple):
    """The frequency of a finding in a disease.

    Attributes:
        disease: Id of the disease.
        finding: Id of the finding.
        share: Share of patients, in (0, 1].
    """

    disease: str
    finding: str
    share: float


class Weights(Record, frozen=True, kw_only=True):
    """Weights of the kinds of evidence, all in [0, 1].

    The defaults were tuned on half of the diseases of published cases; `benchmarks/diagnose.py`
    measures them on the other half.

    Args:
        absence: Weight w of absent findings.
        likeness: Weight s of what a finding and a disease's findings have in common.
        unrecorded: Weight u of findings that are expected and not recorded.
        coarse: Weight c of a finding that a disease has only through a subtype, above 0.
        prior: Weight v of the prior.

    Raises:
        UsageError: A value out of range.
    """

    absence: float = 0.02
    coarse: float = 0.3
    prior: float = 0.5
    likeness: float = 0.6
    unrecorded: float = 0.1

    def __post_init__(self) -> None:
        """Validate the settings."""
        values = (self.absence, self.prior, self.likeness, self.unrecorded)
        if not (all(0 <= value <= 1 for value in values) and 0 < self.coarse <= 1):
            raise UsageError(f"weights must be in [0, 1] and coarse in (0, 1], got {self}")


class Diagnosis(NamedTuple):
    """A disease and its probability.

    Attributes:
        disease: The disease.
        probability: Its posterior probability.
    """

    disease: Entity
    probability: float


class DiseaseModel:
    """Frequencies of findings in diseases, as arrays by finding and by disease.

    Args:
        diseases: The diseases, at least one.
        findings: The findings, including all ancestors.
        annotations: Frequencies of findings in diseases.
        parents: Finding id to the ids of its direct parents.
        weights: Weights of the kinds of evidence.
        priors: Disease id to its relative frequency in the population; other diseases get the
            median, and without priors all are equal.
        genes: Disease id to its genes.
        articles: Disease id to the articles that its annotations rest on.
        synonyms: Other ids, such as former ones, to the present id of a finding or disease.

    Raises:
        UsageError: No disease, an unknown id, or a share outside (0, 1].
    """

    def __init__(  # noqa: PLR0913 - the parts of the model, most with defaults
        self,
        diseases: Iterable[Entity],
        findings: Iterable[Entity],
        annotations: Iterable[Annotation],
        parents: Mapping[str, Sequence[str]],
        weights: Weights | None = None,
        priors: Mapping[str, float] | None = None,
        synonyms: Mapping[str, str] | None = None,
        genes: Mapping[str, tuple[Entity, ...]] | None = None,
        articles: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.weights = weights or Weights()
        self.diseases = tuple(sorted(diseases, key=lambda disease: disease.id))
        self.findings = tuple(sorted(findings, key=lambda finding: finding.id))
        if not self.diseases:
            raise UsageError("a disease model needs at least one disease, got none")
        self._disease = {disease.id: i for i, disease in enumerate(self.diseases)}
        self._finding = {finding.id: i for i, finding in enumerate(self.findings)}
        self._synonyms = dict(synonyms or {})
        self.genes = dict(genes or {})
        self.articles = dict(articles or {})
        self.names = NameIndex(self.findings)
        self._above = self._closure(parents)
        self._direct, shares = self._annotated(annotations)
        self._shares = shares
        self._fill()
        self._log_prior = self.weights.prior * np.log(self._priors(priors or {}))
        owner = np.repeat(np.arange(len(self.diseases)), np.diff(self._direct.starts))
        expected = np.bincount(owner, self._shares, minlength=len(self.diseases))
        self._log_prior -= self.weights.unrecorded * expected
        self._likenesses: dict[int, _Floats] = {}

    def consult(
        self, present: Sequence[str], absent: Sequence[str] = (), k: int = 10
    ) -> tuple[list[Diagnosis], Entity | None]:
        """Return the most probable diseases, as `rank` does, and the finding to ask for next.

        That is the finding with the greatest mutual information with the disease, among the
        findings of the most probable diseases that what is known does not already imply; None where
        there is none.

        Args:
            present: Ids of findings that the patient has.
            absent: Ids of findings that the patient does not have.
            k: Maximum number of diseases.

        Raises:
            UsageError: A finding that is not in the model.
        """
        posterior = self.posterior(present, absent)
        return self._ranked(posterior, k), self._asked(posterior, present, absent)

    def rank(
        self, present: Sequence[str], absent: Sequence[str] = (), k: int = 10
    ) -> list[Diagnosis]:
        """Return the most probable diseases in descending order, ties by id.

        Args:
            present: Ids of findings that the patient has.
            absent: Ids of findings that the patient does not have.
            k: Maximum number of diseases.

        Raises:
            UsageError: A finding that is not in the model.
        """
        return self._ranked(self.posterior(present, absent), k)

    def posterior(self, present: Sequence[str], absent: Sequence[str] = ()) -> _Floats:
        """Return the probability of each disease, float64, shape [diseases].

        Args:
            present: Ids of findings that the patient has.
            absent: Ids of findings that the patient does not have.

        Raises:
            UsageError: A finding that is not in the model.
        """
        log = self._log_prior.copy()
        for ids, base, values in (
            (present, self._log_base, self._log_recorded),
            (absent, self._log_none, self._log_absent),
        ):
            for number in map(self._number, ids):
                cells = self._columns.span(number)
                rows = self._columns.items[cells]
                shown = log[rows] + values[cells]
                log += base[number]
                log[rows] = shown
        if self.weights.likeness:
            for number in map(self._number, present):
                log += self.weights.likeness * self._likeness(number)
        weights = np.exp(log - log.max())
        return np.asarray(weights / weights.sum())

    def _likeness(self, number: int) -> _Floats:
        """Return what a finding and each disease's findings share, in nats, shape [diseases]."""
        known = self._likenesses.get(number)
        if known is not None:
            return known
        above = np.array(self.ancestors(number))
        counts = np.diff(self._columns.starts)[above]
        found = np.zeros(len(self.diseases))
        for one in above[np.argsort(-counts, kind="stable")]:  # the most specific last
            rows = self._columns.items[self._columns.span(one)]
            if rows.size:
                found[rows] = np.log(len(self.diseases) / rows.size)
        if len(self._likenesses) >= LIKENESSES:
            self._likenesses.clear()
        self._likenesses[number] = found
        return found

    def ancestors(self, finding: int) -> tuple[int, ...]:
        """Return the numbers of a finding and all its ancestors."""
        return tuple(self._above.items[self._above.span(finding)].tolist())

    def above(self, finding: str) -> tuple[Entity, ...]:
        """Return a finding and all that it is a kind of.

        Raises:
            UsageError: A finding that is not in the model.
        """
        return tuple(self.findings[number] for number in self.ancestors(self._number(finding)))

    def kinds_of(self, finding: str) -> tuple[Entity, ...]:
        """Return the direct kinds of a finding, by id.

        Raises:
            UsageError: A finding that is not in the model.
        """
        return tuple(self.findings[number] for number in self._kinds[self._number(finding)])

    def implies(self, finding: str, other: str) -> bool:
        """Return whether a finding implies another, i.e. equals or descends from it.

        Raises:
            UsageError: A finding that is not in the model.
        """
        return self._number(other) in self.ancestors(self._number(finding))

    def fitting(self, present: Sequence[str]) -> tuple[Entity, ...]:
        """Return the diseases that have all given findings, sorted by id.

        Args:
            present: Ids of findings that the patient has, at least one.

        Raises:
            UsageError: A finding that is not in the model.
        """
        columns = self._columns
        spans = (columns.span(self._number(finding)) for finding in present)
        rows = [set(columns.items[cells].tolist()) for cells in spans]
        return tuple(self.diseases[row] for row in sorted(set.intersection(*rows)))

    def finding(self, finding: str) -> Entity:
        """Return a finding by its id.

        Raises:
            UsageError: The finding is not in the model.
        """
        return self.findings[self._number(finding)]

    def find_finding(self, finding: str) -> Entity | None:
        """Return a finding by its id or a synonym, or None."""
        number = self._finding.get(self._synonyms.get(finding, finding))
        return None if number is None else self.findings[number]

    def find_disease(self, disease: str) -> Entity | None:
        """Return a disease by its id or a synonym, or None."""
        row = self._disease.get(self._synonyms.get(disease, disease))
        return None if row is None else self.diseases[row]

    def shown_by(self, disease: str) -> dict[str, float]:
        """Return the annotated findings of a disease and their frequencies.

        Args:
            disease: Id of a disease of the model.
        """
        cells = self._direct.span(self._disease[disease])
        shown = zip(self._direct.items[cells].tolist(), self._shares[cells].tolist(), strict=True)
        return {self.findings[finding].id: share for finding, share in shown}

    def _number(self, finding: str) -> int:
        try:
            return self._finding[finding]
        except KeyError:
            raise UsageError(f"the disease model has no finding {finding!r}") from None

    def _ranked(self, posterior: _Floats, k: int) -> list[Diagnosis]:
        """Return the k most probable diseases; ties are ordered by number."""
        return [Diagnosis(self.diseases[i], float(posterior[i])) for i in _top(posterior, k)]

    def _asked(
        self, posterior: _Floats, present: Sequence[str], absent: Sequence[str]
    ) -> Entity | None:
        """Return the most informative finding of the most probable diseases.

        Outside its column a finding has its base rate, so a sum over all diseases is the sum of the
        base rate plus a correction in the column's cells.
        """
        likely = _top(posterior, CANDIDATES)
        candidates = np.unique(self._direct.items[self._direct.cells(likely)[0]])
        known = self._above.cells(np.array([*map(self._number, present)], np.int64))[0]
        had = np.zeros(len(self.findings), np.bool_)
        had[self._above.items[known]] = True
        not_had = np.zeros(len(self.findings), np.bool_)
        not_had[[*map(self._number, absent)]] = True
        candidates = candidates[~had[candidates]]
        cells, starts = self._above.cells(candidates)
        if candidates.size:
            above = not_had[self._above.items[cells]]
            candidates = candidates[~np.logical_or.reduceat(above, starts)]
        if not candidates.size:
            return None
        cells, starts = self._columns.cells(candidates)
        mass = posterior[self._columns.items[cells]]
        rates = self._base[candidates] + np.add.reduceat(mass * self._excess[cells], starts)
        inner = self._base_entropy[candidates]
        inner = inner + np.add.reduceat(mass * self._entropy_excess[cells], starts)
        gains = _entropies(np.clip(rates, 1e-12, 1 - 1e-12)) - inner
        best = int(np.argmax(gains))
        return self.findings[candidates[best]] if gains[best] > MIN_GAIN else None

    def _closure(self, parents: Mapping[str, Sequence[str]]) -> _Lists:
        """Return each finding followed by its ancestors in ascending order; allows cycles."""
        direct = [[self._number(p) for p in parents.get(f.id, ())] for f in self.findings]
        self._kinds: list[list[int]] = [[] for _ in self.findings]
        for number, found in enumerate(direct):
            for parent in found:
                self._kinds[parent].append(number)
        lists: list[list[int]] = []
        for number in range(len(direct)):
            above: set[int] = set()
            todo = [number]
            while todo:
                fresh = [parent for parent in direct[todo.pop()] if parent not in above]
                above.update(fresh)
                todo += fresh
            lists.append([number, *sorted(above - {number})])
        return _Lists.of(lists)

    def _annotated(self, annotations: Iterable[Annotation]) -> tuple[_Lists, _Floats]:
        """Return the annotated findings of each disease, and their shares."""
        shown: list[dict[int, float]] = [{} for _ in self.diseases]
        for disease, finding, share in annotations:
            if disease not in self._disease or not 0 < share <= 1:
                raise UsageError(
                    "expected a known disease and a share in (0, 1], got "
                    f"{disease!r}, {finding!r}, {share!r}"
                )
            row, number = shown[self._disease[disease]], self._number(finding)
            row[number] = max(share, row.get(number, 0.0))
        shares = [share for row in shown for share in row.values()]
        return _Lists.of([list(row) for row in shown]), np.array(shares, np.float64)

    def _fill(self) -> None:
        """Propagate the annotations to all ancestors, by finding, and compute logarithms."""
        size, weights = len(self.diseases), self.weights
        owner = np.repeat(np.arange(size), np.diff(self._direct.starts))
        cells, starts = self._above.cells(self._direct.items)
        times = np.diff(np.append(starts, cells.size))
        keys = self._above.items[cells] * size + np.repeat(owner, times)
        order = np.argsort(keys, kind="stable")
        keys, first = np.unique(keys[order], return_index=True)
        spread = np.repeat(self._shares, times)[order]
        values = np.minimum(np.maximum.reduceat(spread, first) if keys.size else spread, CEILING)
        own = np.zeros(keys.size)
        own[np.searchsorted(keys, self._direct.items * size + owner)] = np.minimum(
            self._shares, CEILING
        )
        counts = np.bincount(keys // size, minlength=len(self.findings))
        self._columns = _Lists(np.concatenate(([0], np.cumsum(counts))), keys % size)
        means = np.array(
            [values[self._columns.span(i)].sum() / size for i in range(len(self.findings))]
        )
        self._base = np.clip(means, 0.5 / size, CEILING)
        base = np.repeat(self._base, counts)
        shown = np.maximum(base, values)
        recorded = np.maximum(base, np.maximum(own, weights.coarse * values))
        self._log_base, self._log_recorded = np.log(self._base), np.log(recorded)
        self._log_none = weights.absence * np.log1p(-self._base)
        self._log_absent = weights.absence * np.log1p(-shown)
        self._base_entropy = _entropies(self._base)
        self._excess = shown - base
        self._entropy_excess = _entropies(shown) - np.repeat(self._base_entropy, counts)

    def _priors(self, given: Mapping[str, float]) -> _Floats:
        known = [given[d.id] for d in self.diseases if given.get(d.id, 0.0) > 0]
        default = float(np.median(known)) if known else 1.0
        return np.array([given.get(d.id) or default for d in self.diseases])


class _Lists(NamedTuple):
    """Lists of numbers in one array: list i is ``items[starts[i]:starts[i + 1]]``."""

    starts: _Ints
    items: _Ints

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> _Lists:
        """Convert lists to one array."""
        starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(starts, np.fromiter(chain.from_iterable(lists), np.int64, int(starts[-1])))

    def span(self, number: int) -> slice:
        """Return the slice of a list in the items."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    def cells(self, numbers: _Ints) -> tuple[_Ints, _Ints]:
        """Return the positions of the items of several lists, and the start of each list."""
        sizes = self.starts[numbers + 1] - self.starts[numbers]
        begins = np.cumsum(sizes) - sizes
        places = np.arange(int(sizes.sum())) + np.repeat(self.starts[numbers] - begins, sizes)
        return places, begins


def _top(values: _Floats, k: int) -> _Ints:
    """Return the positions of the k greatest values in descending order, ties by position."""
    lowered = -values
    if k < values.size:
        found = np.flatnonzero(lowered <= np.partition(lowered, k - 1)[k - 1])
        return found[np.argsort(lowered[found], kind="stable")[:k]]
    return np.argsort(lowered, kind="stable")


def _entropies(shares: _Floats) -> _Floats:
    return np.asarray(-(shares * np.log(shares) + (1 - shares) * np.log1p(-shares)))
