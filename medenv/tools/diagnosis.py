"""Diseases ranked by their findings: Bayes' rule in log space over a hierarchy of findings.

For a patient with findings Q present and A absent, and diseases d of prior probability pi(d),

    log posterior(d) = v * log pi(d) + sum over q in Q of log R(q | d)
                                     + w * sum over a in A of log(1 - P(a | d)) + const

P(f | d) is how often d shows f: as often as the most frequent of the finding's subtypes that d is
annotated with (the true-path rule), and no less than the mean of that over all diseases, the rate
at which f is met in a patient with anything else. R(f | d) is how often f is what gets recorded of
a patient with d: the same, but c times P where d shows f only through a subtype, since whoever has
the subtype is mostly recorded with that. The weight w of absence is below 1, because what a record
calls absent is what somebody thought of looking for, not a random sample of what is; and so is the
weight v of the prior, because patients who come to be diagnosed, and more so those who are written
about, are not drawn from the population.

Source:
    P. N. Robinson et al.: Interpretable clinical genomics with a likelihood ratio paradigm (2020),
    for likelihood ratios over HPO annotations; the weights and the choice of a question are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medenv.errors import UsageError
from medenv.records import Entity, Record

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]

CEILING = 0.95
"""Greatest probability of a finding: even an obligate one can be missed or not written down."""


class Annotation(NamedTuple):
    """How often a disease shows a finding.

    Attributes:
        disease: Id of the disease.
        finding: Id of the finding.
        share: Share of patients, in (0, 1].
    """

    disease: str
    finding: str
    share: float


class Weights(Record, frozen=True, kw_only=True):
    """How much each kind of evidence counts, all in [0, 1].

    The defaults were chosen on half of the diseases of published cases; `benchmarks/diagnose.py`
    measures them on the other half.

    Args:
        absence: Weight w of findings that were ruled out.
        coarse: Weight c of a finding that a disease shows only through a subtype, above 0.
        prior: Weight v of the prior.

    Raises:
        UsageError: A value out of range.
    """

    absence: float = 0.02
    coarse: float = 0.3
    prior: float = 0.25

    def __post_init__(self) -> None:
        """Check the values."""
        if not (0 <= self.absence <= 1 and 0 < self.coarse <= 1 and 0 <= self.prior <= 1):
            raise UsageError(
                "absence and prior must be in [0, 1] and coarse in (0, 1], got "
                f"{self.absence}, {self.prior}, {self.coarse}"
            )


class Diagnosis(NamedTuple):
    """A disease and its probability.

    Attributes:
        disease: The disease.
        probability: Its posterior.
    """

    disease: Entity
    probability: float


class DiseaseModel:
    """Diseases, findings and how often they go together.

    Args:
        diseases: What can be diagnosed, at least one.
        findings: What a patient can have, ancestors included.
        annotations: How often diseases show findings.
        parents: Finding id to the ids of its direct parents.
        weights: How much each kind of evidence counts.
        priors: Disease id to its relative frequency in the population; the median of those given
            stands for the others, and all are alike where none is given.

    Raises:
        UsageError: No disease, an unknown id, or a share outside (0, 1].
    """

    def __init__(
        self,
        diseases: Iterable[Entity],
        findings: Iterable[Entity],
        annotations: Iterable[Annotation],
        parents: Mapping[str, Sequence[str]],
        weights: Weights | None = None,
        priors: Mapping[str, float] | None = None,
    ) -> None:
        self.weights = weights or Weights()
        self.diseases = tuple(sorted(diseases, key=lambda one: one.id))
        self.findings = tuple(sorted(findings, key=lambda one: one.id))
        if not self.diseases:
            raise UsageError("a disease model needs at least one disease, got none")
        self._disease = {one.id: i for i, one in enumerate(self.diseases)}
        self._finding = {one.id: i for i, one in enumerate(self.findings)}
        self._parents = [
            [self._number(parent) for parent in parents.get(one.id, ())] for one in self.findings
        ]
        self._ancestors: dict[int, tuple[int, ...]] = {}
        self._fill(annotations)
        self._log_prior = self.weights.prior * np.log(self._priors(priors or {}))

    def rank(
        self, present: Sequence[str], absent: Sequence[str] = (), k: int = 10
    ) -> list[Diagnosis]:
        """Return the most probable diseases, most probable first, ties by id.

        Args:
            present: Ids of findings that the patient has.
            absent: Ids of findings that the patient does not have.
            k: How many at most.

        Raises:
            UsageError: A finding that is not in the model.
        """
        posterior = self.posterior(present, absent)
        order = np.argsort(-posterior, kind="stable")[:k]
        return [Diagnosis(self.diseases[i], float(posterior[i])) for i in order]

    def posterior(self, present: Sequence[str], absent: Sequence[str] = ()) -> _Floats:
        """Return the probability of each disease, float64, shape [diseases].

        Args:
            present: Ids of findings that the patient has.
            absent: Ids of findings that the patient does not have.

        Raises:
            UsageError: A finding that is not in the model.
        """
        log = self._log_prior.copy()
        for finding in present:
            log += np.log(self._recorded(self._number(finding)))
        for finding in absent:
            log += self.weights.absence * np.log1p(-self._shown(self._number(finding)))
        weights = np.exp(log - log.max())
        return np.asarray(weights / weights.sum())

    def ask_next(
        self, present: Sequence[str], absent: Sequence[str] = (), candidates: int = 20
    ) -> Entity | None:
        """Return the finding whose answer is expected to say most, or None where none does.

        It is the one with the greatest mutual information with the disease, among the findings of
        the most probable diseases that what is known does not already imply.

        Args:
            present: Ids of findings that the patient has.
            absent: Ids of findings that the patient does not have.
            candidates: How many diseases' findings are considered.

        Raises:
            UsageError: A finding that is not in the model.
        """
        posterior = self.posterior(present, absent)
        top = np.argsort(-posterior, kind="stable")[:candidates]
        had = {t for one in present for t in self.ancestors(self._number(one))}
        not_had = {self._number(one) for one in absent}
        best, most = None, 1e-9
        for finding in sorted({f for disease in top.tolist() for f in self._direct[disease]}):
            if finding in had or not_had.intersection(self.ancestors(finding)):
                continue
            shown = self._shown(finding)
            gain = _entropy(float(posterior @ shown)) - float(posterior @ _entropies(shown))
            if gain > most:
                best, most = finding, gain
        return None if best is None else self.findings[best]

    def ancestors(self, finding: int) -> tuple[int, ...]:
        """Return a finding and all above it, by number."""
        known = self._ancestors.get(finding)
        if known is None:
            above = {t for parent in self._parents[finding] for t in self.ancestors(parent)}
            known = self._ancestors[finding] = (finding, *sorted(above))
        return known

    def implies(self, finding: str, other: str) -> bool:
        """Return whether whoever has a finding has the other one too, which lies at or above it.

        Raises:
            UsageError: A finding that is not in the model.
        """
        return self._number(other) in self.ancestors(self._number(finding))

    def fitting(self, present: Sequence[str]) -> tuple[Entity, ...]:
        """Return the diseases that show all of these findings, by id: an exact set intersection.

        Args:
            present: Ids of findings that the patient has, at least one.

        Raises:
            UsageError: A finding that is not in the model.
        """
        rows = [set(self._columns[self._number(finding)][0].tolist()) for finding in present]
        return tuple(self.diseases[row] for row in sorted(set.intersection(*rows)))

    def knows(self, finding: str) -> bool:
        """Return whether a finding is in the model, by its id."""
        return finding in self._finding

    def finding(self, finding: str) -> Entity:
        """Return a finding by its id.

        Raises:
            UsageError: It is not in the model.
        """
        return self.findings[self._number(finding)]

    def disease(self, disease: str) -> Entity | None:
        """Return a disease by its id, or None where it is not in the model."""
        row = self._disease.get(disease)
        return None if row is None else self.diseases[row]

    def shown_by(self, disease: str) -> dict[str, float]:
        """Return the findings that a disease is annotated with, and how often it shows them.

        Args:
            disease: Id of a disease of the model.
        """
        shown = self._direct[self._disease[disease]]
        return {self.findings[finding].id: share for finding, share in shown.items()}

    def _number(self, finding: str) -> int:
        try:
            return self._finding[finding]
        except KeyError:
            raise UsageError(f"the disease model has no finding {finding!r}") from None

    def _fill(self, annotations: Iterable[Annotation]) -> None:
        """Spread the annotations over all ancestors, in columns by finding."""
        self._direct: list[dict[int, float]] = [{} for _ in self.diseases]
        for disease, finding, share in annotations:
            if disease not in self._disease or not 0 < share <= 1:
                raise UsageError(f"no annotation of the model: {disease!r}, {finding!r}, {share!r}")
            row, column = self._disease[disease], self._number(finding)
            self._direct[row][column] = max(share, self._direct[row].get(column, 0.0))
        columns: list[dict[int, float]] = [{} for _ in self.findings]
        for row, shown in enumerate(self._direct):
            for number, often in shown.items():
                for above in self.ancestors(number):
                    columns[above][row] = max(often, columns[above].get(row, 0.0))
        self._columns: list[tuple[_Ints, _Floats]] = [
            (np.fromiter(column, np.int64), np.minimum(np.array([*column.values()]), CEILING))
            for column in columns
        ]
        self._own: list[_Floats] = [
            np.array([min(self._direct[row].get(number, 0.0), CEILING) for row in column])
            for number, column in enumerate(columns)
        ]
        size = len(self.diseases)
        means = np.array([values.sum() / size for _, values in self._columns])
        self._base = np.clip(means, 0.5 / size, CEILING)

    def _priors(self, given: Mapping[str, float]) -> _Floats:
        known = [given[one.id] for one in self.diseases if given.get(one.id, 0.0) > 0]
        usual = float(np.median(known)) if known else 1.0
        return np.array([given.get(one.id) or usual for one in self.diseases])

    def _recorded(self, finding: int) -> _Floats:
        """Return how often a finding, and not one below it, is what a disease is recorded with."""
        rows, values = self._columns[finding]
        recorded = np.full(len(self.diseases), self._base[finding])
        told = np.maximum(self._own[finding], self.weights.coarse * values)
        recorded[rows] = np.maximum(recorded[rows], told)
        return recorded

    def _shown(self, finding: int) -> _Floats:
        """Return how often each disease shows a finding or one below it."""
        rows, values = self._columns[finding]
        shown = np.full(len(self.diseases), self._base[finding])
        shown[rows] = np.maximum(shown[rows], values)
        return shown


def _entropies(shares: _Floats) -> _Floats:
    return np.asarray(-(shares * np.log(shares) + (1 - shares) * np.log1p(-shares)))


def _entropy(share: float) -> float:
    return float(_entropies(np.array([min(max(share, 1e-12), 1 - 1e-12)]))[0])
