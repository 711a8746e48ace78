"""Finished evaluations held against one another, question by question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medenv.errors import DataError, UsageError
from medenv.evaluation.costs import with_costs
from medenv.evaluation.measures import MEASURES
from medenv.evaluation.memory import Contrast, contrast_of, same_questions
from medenv.evaluation.statistics import holm, sign_flip_test
from medenv.evaluation.summary import read_scored, summarise, values_by_question
from medenv.records import Record, Scored
from medenv.report.headline import Pair, Row, headline, pair
from medenv.report.training import TrainingReport


class Episodes(Record, frozen=True, kw_only=True):
    """The episodes of one evaluation.

    Args:
        folder: Where they are.
        sampled: The sampled ones.
        greedy: The greedy ones.
    """

    folder: str
    sampled: tuple[Scored, ...]
    greedy: tuple[Scored, ...]

    @property
    def main(self) -> tuple[Scored, ...]:
        """The sampled ones, or the greedy ones where nothing was sampled."""
        return self.sampled or self.greedy


class Flip(Record, frozen=True, kw_only=True):
    """A question of which another share of the answers is right.

    Args:
        question: Its id.
        text: What it asks.
        before: Share of the answers before that are right.
        after: The same after.
    """

    question: str
    text: str
    before: float
    after: float


class Comparison(Record, frozen=True, kw_only=True):
    """Two evaluations over the questions that both have.

    Args:
        before: Folder of the first.
        after: Folder of the second.
        questions: Number of questions that both have.
        dropped: Number of questions that one of them has.
        rows: Every measure before and after, with the paired difference.
        p: Chance of a difference in accuracy at least as great if the two were alike, see
            `medenv.evaluation.statistics.sign_flip_test`.
        corrected: `p` corrected for the number of evaluations that are held against the first.
        flips: Questions whose share of right answers changed, the greatest change first.
        failures: Why answers were not right to their numbers before and after.
        contrast: Memory against research, where the two differ in it; else None.
    """

    before: str
    after: str
    questions: int
    dropped: int
    rows: tuple[Row, ...]
    p: float
    corrected: float
    flips: tuple[Flip, ...]
    failures: dict[str, tuple[int, int]]
    contrast: Contrast | None = None


def read_evaluation(folder: Path | str) -> Episodes:
    """Read the episodes of a finished evaluation.

    Args:
        folder: What `recipes/evaluate.py` wrote.

    Raises:
        DataError: It holds no finished evaluation, or a damaged one.
    """
    folder = Path(folder)
    if not (folder / "sampled.jsonl").exists():
        raise DataError(folder, "expected the folder of a finished evaluation")
    sampled, greedy = (read_scored(folder / f"{name}.jsonl") for name in ("sampled", "greedy"))
    return Episodes(
        folder=str(folder),
        sampled=tuple(with_costs(folder, sampled, greedy=False)),
        greedy=tuple(with_costs(folder, greedy, greedy=True)),
    )


def sides(before: Episodes, after: Episodes) -> tuple[Pair, Pair | None]:
    """Return the episodes to compare, and the greedy ones beside sampled ones, if both have them.

    Questions of two worlds are paired by what they were made from.

    Args:
        before: The first evaluation.
        after: The second.

    Raises:
        UsageError: One was sampled alone and the other is greedy alone, or they share no question.
    """
    kinds = ((before.sampled, after.sampled), (before.greedy, after.greedy))
    pairs = [pair(*same_questions(*both)) for both in kinds if all(both)]
    if not pairs:
        raise UsageError(
            f"{before.folder} and {after.folder} cannot be compared: they have neither sampled nor "
            "greedy answers both; evaluate both with samples=N, or both with greedy=true"
        )
    return pairs[0], pairs[1] if len(pairs) > 1 else None


def compare(runs: Sequence[Episodes], *, seed: int = 0) -> list[Comparison]:
    """Hold evaluations against the first of them.

    Args:
        runs: Two evaluations or more, over the same questions.
        seed: Seed of the intervals and tests.

    Raises:
        UsageError: Fewer than two, or two that share no question.
    """
    if len(runs) < 2:
        raise UsageError(f"expected two evaluations or more to compare, got {len(runs)}")
    first, *others = runs
    pairs = [sides(first, other) for other in others]
    tests = [
        sign_flip_test(*map(_right, (main.before, main.after)), seed=seed) for main, _ in pairs
    ]
    return [
        Comparison(
            before=first.folder,
            after=other.folder,
            questions=main.questions,
            dropped=main.dropped,
            rows=tuple(headline(main, greedy, seed=seed)),
            p=p,
            corrected=corrected,
            flips=_flips(main),
            failures=_failures(main, seed),
            contrast=contrast_of(main, seed=seed),
        )
        for other, (main, greedy), p, corrected in zip(
            others, pairs, tests, holm(tests), strict=True
        )
    ]


def report_of(before: Episodes, after: Episodes, *, seed: int = 0) -> TrainingReport:
    """Return what the page of two evaluations shows.

    Args:
        before: The first evaluation.
        after: The second.
        seed: Seed of the intervals.

    Raises:
        UsageError: They cannot be compared, see `sides`.
    """
    main, other = sides(before, after)
    contrast = contrast_of(main, seed=seed)
    return TrainingReport(
        before_sampled=list(main.before),
        after_sampled=list(main.after),
        before_greedy=list(other.before) if other else [],
        after_greedy=list(other.after) if other else [],
        facts={"before": before.folder, "after": after.folder},
        title="Comparison",
        training=False,
        contrast=contrast,
        seed=seed,
    )


def _right(episodes: Sequence[Scored]) -> dict[str, float]:
    """Return each question's share of right answers, missing ones counted as not right."""
    return {
        name: sum(values) / len(values)
        for name, values in values_by_question(episodes, MEASURES[0].of).items()
    }


def _flips(main: Pair) -> tuple[Flip, ...]:
    before, after = _right(main.before), _right(main.after)
    texts = {one.trajectory.question.id: one.trajectory.question.text for one in main.before}
    changed = [name for name in before if before[name] != after[name]]
    return tuple(
        Flip(question=name, text=texts[name], before=before[name], after=after[name])
        for name in sorted(changed, key=lambda name: (-abs(after[name] - before[name]), name))
    )


def _failures(main: Pair, seed: int) -> dict[str, tuple[int, int]]:
    before, after = (summarise(side, seed=seed).failures for side in (main.before, main.after))
    return {
        why: (before.get(why, 0), after.get(why, 0)) for why in sorted(before.keys() | after.keys())
    }
