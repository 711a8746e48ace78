"""Offline ablation: rescores stored rollouts under several rewards.

For each reward it measures the share of the within-group advantage of each component, the number of
groups without a learning signal, the number of groups with a signal although every answer is wrong,
and the reward of a cheating policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medenv.errors import DataError, InfraError, UsageError
from medenv.evaluation.statistics import Interval, Resampled
from medenv.io import read_records
from medenv.records import Record, Scored
from medenv.reward import COMPONENTS, Component, Composition, Knowledge
from medenv.reward.analysis.groups import liveness_by_group, rank_correlations, shares_by_group
from medenv.reward.analysis.rescore import ComponentMatrix, rescore
from medenv.reward.analysis.variants import RewardVariant, check_arms

DRAWS = 2_000
"""Bootstrap draws; the error of an interval's ends is then about a fortieth of its width."""


class VariantResult(Record, frozen=True, kw_only=True):
    """Results of one arm.

    Args:
        name: Name of the arm.
        composition: Weights and gates.
        margin: Margin of the worst right answer over the best wrong one, from the components'
            ranges.
        reward: Mean total reward.
        dead: Share of groups in which all rewards are equal; None without groups of two or more.
        phantom: Share of groups with different rewards among groups without a right answer; None
            without such groups.
        rank: Mean rank correlation with accuracy within groups; None if no group has both right and
            wrong answers.
        shares: Component to its signed share of the within-group advantage; empty if all groups are
            dead.
        differences: ``"reward"``, ``"dead"``, ``"phantom"``, ``"rank"`` to the difference from the
            first arm, paired by question.
        exploit: Greatest share of an honest reward that an attack earned without answering, or None
            without attacks.
    """

    name: str
    composition: Composition
    margin: float
    reward: Interval
    dead: Interval | None
    phantom: Interval | None
    rank: Interval | None
    shares: dict[str, Interval]
    differences: dict[str, Interval]
    exploit: float | None = None


class Ablation(Record, frozen=True, kw_only=True):
    """Results of an offline ablation.

    Args:
        arms: The results of the arms; the first is the baseline.
        raws: Component to its mean raw value, which is the same in all arms.
        episodes: Number of rescored episodes.
        questions: Number of questions.
        groups: Number of groups of two or more episodes with the same question, step and file.
        single: Number of groups of one, which GRPO cannot use; excluded from group measures.
        empty: Number of groups without an episode that can be scored.
        unscored: Number of episodes with an infrastructure failure or without a judge's verdict.
        disagreeing: Number of episodes whose stored accuracy differs from the recomputed one.
        files: Paths of the rollout files.
        seed: Seed of the intervals.
        draws: Bootstrap draws.
    """

    arms: tuple[VariantResult, ...]
    raws: dict[str, Interval]
    episodes: int
    questions: int
    groups: int
    single: int
    empty: int
    unscored: int
    disagreeing: int
    files: tuple[str, ...]
    seed: int
    draws: int


class RolloutStore:
    """Rollouts as a matrix of raw component values, with the group and question of each row.

    Args:
        knowledge: Knowledge of the components beyond a trajectory.
        components: Components by name, including accuracy.

    Attributes:
        files: Paths of the files read.
        unscored: Number of episodes with an infrastructure failure or without a judge's verdict.
        disagreeing: Number of episodes whose stored accuracy differs from the recomputed one, e.g.
            because the name index is missing.
    """

    def __init__(
        self, knowledge: Knowledge, components: Mapping[str, Component] = COMPONENTS
    ) -> None:
        self.raws, self.components = ComponentMatrix(knowledge, components), components
        self.near = knowledge.near
        self.files: list[str] = []
        self.unscored = self.disagreeing = 0
        self._groups: dict[tuple[int, int, str], int] = {}
        self._group: list[int] = []

    def read(self, path: Path | str) -> None:
        """Add the rollouts of a JSONL file of `Scored`; the stored scores are ignored.

        Args:
            path: The file.

        Raises:
            DataError: The file is missing or truncated, a line is not a rollout, an episode has not
                ended, or a component is out of range.
            UsageError: The file was already read.
        """
        name = str(path)
        if name in self.files:
            raise UsageError(f"expected each file once, got {name} twice")
        self.files.append(name)
        for number, scored in enumerate(read_records(path, Scored), 1):
            try:
                self.add(scored)
            except UsageError as error:
                raise DataError(path, f"episode {number}: {error}") from error

    def add(self, scored: Scored) -> None:
        """Add one rollout.

        A rollout with an infrastructure failure, or without a value of a component (e.g. a judge's
        verdict), is only counted: it has no score in any arm, which differs from a score of 0.

        Args:
            scored: The rollout.

        Raises:
            UsageError: The episode has not ended, or a component is out of range.
        """
        trajectory = scored.trajectory
        key = (len(self.files), scored.step, trajectory.question.id)
        group = self._groups.setdefault(key, len(self._groups))
        if trajectory.ending == "unavailable":
            self.unscored += 1
            return
        try:
            self.raws.add(trajectory)
        except InfraError:
            self.unscored += 1
            return
        self._group.append(group)
        stored = scored.score.parts.get("accuracy")
        self.disagreeing += stored is not None and stored.raw != self.raws.last("accuracy")

    @property
    def group(self) -> NDArray[np.intp]:
        """Group number of each row, shape (rows,)."""
        return np.array(self._group, dtype=np.intp)

    @property
    def question_of(self) -> NDArray[np.intp]:
        """Question number of each group, shape (groups,), including groups without rows."""
        names = sorted({name for _, _, name in self._groups})
        number = {name: i for i, name in enumerate(names)}
        return np.array([number[name] for _, _, name in self._groups], dtype=np.intp)


class _Columns:
    """Values of all measures, summed by question, for one common bootstrap."""

    def __init__(self, questions: int) -> None:
        self._questions = questions
        self._number: dict[tuple[str, str], int] = {}
        self._totals: list[NDArray[np.float64]] = []
        self._sizes: list[NDArray[np.float64]] = []

    def add(
        self, arm: str, measure: str, values: NDArray[np.float64], question: NDArray[np.intp]
    ) -> None:
        """Add a measure; NaN values are ignored."""
        known = ~np.isnan(values)
        rows = question[known]
        self._number[arm, measure] = len(self._totals)
        sums = np.bincount(rows, weights=values[known], minlength=self._questions)
        self._totals.append(sums.astype(np.float64))  # bincount gives integers if empty
        self._sizes.append(np.bincount(rows, minlength=self._questions).astype(np.float64))

    def resample(self, seed: int, draws: int) -> _Intervals:
        totals, sizes = np.stack(self._totals, axis=1), np.stack(self._sizes, axis=1)
        return _Intervals(self._number, Resampled(totals, sizes, seed=seed, draws=draws))


class _Intervals(NamedTuple):
    """Intervals of measures by arm and name."""

    number: dict[tuple[str, str], int]
    resampled: Resampled

    def mean(self, arm: str, measure: str) -> Interval | None:
        return self.resampled.mean(self.number[arm, measure])

    def difference(self, before: str, after: str, measure: str) -> Interval | None:
        pair = self.number[before, measure], self.number[after, measure]
        return self.resampled.difference(*pair)


Exploit = Callable[[Composition], float]
"""Function from a composition to the greatest reward of an attack, as a share of an honest one."""

_MEASURES = ("reward", "dead", "phantom", "rank")


def ablate(
    store: RolloutStore,
    arms: Sequence[RewardVariant],
    *,
    exploit: Exploit | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Ablation:
    """Rescore rollouts under every arm.

    Args:
        store: The rollouts.
        arms: The rewards; the first is the baseline.
        exploit: Function that returns the exploitability of a composition.
        seed: Seed of the intervals.
        draws: Number of bootstrap draws.

    Raises:
        UnknownNameError: A weight or gate of an arm refers to an unknown component.
        UsageError: No arm, two arms with the same name, or no rollout that can be scored.
    """
    check_arms(arms, store.components)
    if not len(store.raws):
        where = f" in {', '.join(store.files)}" if store.files else ""
        failed = f", only {store.unscored} infrastructure failures" if store.unscored else ""
        raise UsageError(
            f"expected at least one rollout that can be scored{where}, got none{failed}"
        )
    labels, group, size = np.unique(store.group, return_inverse=True, return_counts=True)
    question_of = store.question_of
    columns = _Columns(int(question_of.max()) + 1)
    for name in store.raws.names:
        columns.add("", name, store.raws.column(name), question_of[store.group])
    for arm in arms:
        _measure(columns, arm, store.raws, group, (question_of[labels], question_of[store.group]))
    intervals = columns.resample(seed, draws)
    raws = {name: intervals.mean("", name) for name in store.raws.names}
    margins = [arm.composition.margin(store.components, store.near) for arm in arms]
    return Ablation(
        arms=tuple(
            _result(arm, arms[0].name, intervals, exploit, margin)
            for arm, margin in zip(arms, margins, strict=True)
        ),
        raws={name: interval for name, interval in raws.items() if interval is not None},
        episodes=len(store.raws),
        questions=len(np.unique(question_of[labels])),
        groups=int((size > 1).sum()),
        single=int((size == 1).sum()),
        empty=len(question_of) - len(labels),
        unscored=store.unscored,
        disagreeing=store.disagreeing,
        files=tuple(store.files),
        seed=seed,
        draws=draws,
    )


def _measure(
    columns: _Columns,
    arm: RewardVariant,
    raws: ComponentMatrix,
    group: NDArray[np.intp],
    questions: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> None:
    """Add the measures of an arm; `questions` are the questions of groups and of rows."""
    of_group, of_row = questions
    accuracy = raws.column("accuracy")
    scored = rescore(raws, arm.composition)
    dead, phantom = liveness_by_group(scored.totals, accuracy >= 1.0, group)
    columns.add(arm.name, "reward", scored.totals, of_row)
    columns.add(arm.name, "dead", dead, of_group)
    columns.add(arm.name, "phantom", phantom, of_group)
    columns.add(arm.name, "rank", rank_correlations(scored.totals, accuracy, group), of_group)
    for name, shares in shares_by_group(scored.weighted, group).items():
        columns.add(arm.name, f"share/{name}", shares, of_group)


def _result(
    arm: RewardVariant, base: str, intervals: _Intervals, exploit: Exploit | None, margin: float
) -> VariantResult:
    found = {name: intervals.mean(arm.name, name) for name in _MEASURES}
    shares = {name: intervals.mean(arm.name, f"share/{name}") for name in arm.composition.weights}
    differences = {name: intervals.difference(base, arm.name, name) for name in _MEASURES}
    reward = found["reward"]
    if reward is None:
        raise UsageError(f"arm {arm.name!r} has no reward to average")
    return VariantResult(
        name=arm.name,
        composition=arm.composition,
        margin=margin,
        reward=reward,
        dead=found["dead"],
        phantom=found["phantom"],
        rank=found["rank"],
        shares=_known(shares),
        differences=_known(differences),
        exploit=None if exploit is None else exploit(arm.composition),
    )


def _known(intervals: Mapping[str, Interval | None]) -> dict[str, Interval]:
    return {name: interval for name, interval in intervals.items() if interval is not None}
