"""The offline laboratory: stored rollouts scored again under other rewards, side by side.

It answers what a reward would have taught a policy from the very episodes that were sampled: how
much of the within-group advantage each component decides, how many groups teach nothing, how many
teach something although every answer is wrong, and what a cheater would earn.
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
"""Bootstrap draws: the ends of an interval then err by about a fortieth of its width."""


class VariantResult(Record, frozen=True, kw_only=True):
    """What the laboratory found of one arm.

    Args:
        name: The arm.
        composition: Its weights and gates.
        margin: By how much the worst right answer outranks the best wrong one, from the ranges.
        reward: Mean total.
        dead: Share of groups in which all rewards are equal; None without groups of two or more.
        phantom: Share of groups without a right answer in which rewards differ; None without such.
        rank: Mean rank correlation with accuracy within groups; None where no group has both
            right and wrong answers.
        shares: Component to its signed share of the within-group advantage; empty where every
            group is dead.
        differences: ``"reward"``, ``"dead"``, ``"phantom"``, ``"rank"`` to this arm's value less
            that of the first arm, paired by question.
        exploit: Greatest share of an honest reward that a cheater earned without answering, or
            None where no cheater was let loose.
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
    """What the laboratory found.

    Args:
        arms: The arms; the first is what the others are compared with.
        raws: Component to its mean raw value, the same under every arm.
        episodes: Episodes that were scored again.
        questions: Questions that they are about.
        groups: Groups of two or more episodes of one question, step and file.
        single: Groups of one, which GRPO cannot learn from; left out of all group measures.
        empty: Groups of which no episode can be scored.
        unscored: Episodes that an infrastructure failure ended, or left without a verdict.
        disagreeing: Episodes whose stored accuracy is not what it is now.
        files: Where the rollouts came from.
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
    """Rollouts as a matrix of raw values, with the group and the question of every row.

    Args:
        knowledge: What components may know besides a trajectory.
        components: What is measured, by name; accuracy must be among it.

    Attributes:
        files: What was read.
        unscored: Episodes that an infrastructure failure ended, or left without a verdict.
        disagreeing: Episodes whose stored accuracy is not what it is now, e.g. for want of the
            index of names that they were scored with.
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
        """Take in a rollout file, one `Scored` a line; the scores in it are not looked at.

        Args:
            path: The file.

        Raises:
            DataError: The file is missing, cut short, a line is no rollout, an
                episode has not ended, or a component left its range.
            UsageError: It was read before.
        """
        name = str(path)
        if name in self.files:
            raise UsageError(f"{name} is given twice; each rollout may count once")
        self.files.append(name)
        for number, scored in enumerate(read_records(path, Scored), 1):
            try:
                self.add(scored)
            except UsageError as error:
                raise DataError(path, f"episode {number}: {error}") from error

    def add(self, scored: Scored) -> None:
        """Take in one rollout; one that an infrastructure failure ended is only counted.

        So is one of which a component cannot say anything now, e.g. for want of a judge's verdict:
        under every arm it has no score, which is not a score of 0.

        Args:
            scored: The rollout.

        Raises:
            UsageError: The episode has not ended, or a component left its range.
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
        """Number of every row's group, shape (rows,)."""
        return np.array(self._group, dtype=np.intp)

    @property
    def question_of(self) -> NDArray[np.intp]:
        """Number of every group's question, shape (groups,), groups without a row included."""
        names = sorted({name for _, _, name in self._groups})
        number = {name: i for i, name in enumerate(names)}
        return np.array([number[name] for _, _, name in self._groups], dtype=np.intp)


class _Columns:
    """Values of many measures, summed by question, so that one bootstrap serves them all."""

    def __init__(self, questions: int) -> None:
        self._questions = questions
        self._number: dict[tuple[str, str], int] = {}
        self._totals: list[NDArray[np.float64]] = []
        self._sizes: list[NDArray[np.float64]] = []

    def add(
        self, arm: str, measure: str, values: NDArray[np.float64], question: NDArray[np.intp]
    ) -> None:
        """Add a measure; entries that are nan do not count."""
        known = ~np.isnan(values)
        at = question[known]
        self._number[arm, measure] = len(self._totals)
        sums = np.bincount(at, weights=values[known], minlength=self._questions)
        self._totals.append(sums.astype(np.float64))  # integers where nothing is known
        self._sizes.append(np.bincount(at, minlength=self._questions).astype(np.float64))

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
"""What a cheater can earn under a composition, as a share of what honest research earns."""

_MEASURES = ("reward", "dead", "phantom", "rank")


def ablate(
    bank: RolloutStore,
    arms: Sequence[RewardVariant],
    *,
    exploit: Exploit | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Ablation:
    """Score rollouts again under every arm.

    Args:
        bank: The rollouts.
        arms: The rewards; the others are compared with the first.
        exploit: What a cheater can earn under a composition.
        seed: Seed of the intervals.
        draws: Bootstrap draws.

    Raises:
        UnknownNameError: A weight or gate of an arm names nothing that was measured.
        UsageError: No arm or two of one name, or no rollout that can be scored.
    """
    check_arms(arms, bank.components)
    if not len(bank.raws):
        where = f" in {', '.join(bank.files)}" if bank.files else ""
        failed = f", only {bank.unscored} infrastructure failures" if bank.unscored else ""
        raise UsageError(
            f"expected at least one rollout that can be scored{where}, got none{failed}"
        )
    labels, group, size = np.unique(bank.group, return_inverse=True, return_counts=True)
    question_of = bank.question_of
    columns = _Columns(int(question_of.max()) + 1)
    for name in bank.raws.names:
        columns.add("", name, bank.raws.column(name), question_of[bank.group])
    for arm in arms:
        _measure(columns, arm, bank.raws, group, (question_of[labels], question_of[bank.group]))
    intervals = columns.resample(seed, draws)
    raws = {name: intervals.mean("", name) for name in bank.raws.names}
    margins = [arm.composition.margin(bank.components, bank.near) for arm in arms]
    return Ablation(
        arms=tuple(
            _result(arm, arms[0].name, intervals, exploit, margin)
            for arm, margin in zip(arms, margins, strict=True)
        ),
        raws={name: interval for name, interval in raws.items() if interval is not None},
        episodes=len(bank.raws),
        questions=len(np.unique(question_of[labels])),
        groups=int((size > 1).sum()),
        single=int((size == 1).sum()),
        empty=len(question_of) - len(labels),
        unscored=bank.unscored,
        disagreeing=bank.disagreeing,
        files=tuple(bank.files),
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
    """Add what there is to say of an arm; `questions` are those of groups, and those of rows."""
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
    return {name: one for name, one in intervals.items() if one is not None}
