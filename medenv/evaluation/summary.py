"""Rollout files, and the figures that sum one up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from msgspec import UnsetType

from medenv.errors import UsageError
from medenv.evaluation.failures import failure_of
from medenv.evaluation.flow import Stage, flow_of
from medenv.evaluation.measures import MEASURES, Measure, chance_of, is_missing, waste
from medenv.evaluation.official import official
from medenv.evaluation.selective import Selective, selective
from medenv.evaluation.statistics import (
    Interval,
    Resampled,
    cluster_bootstrap,
    pass_at_k,
    pass_hat_k,
)
from medenv.io import read_records, write_records
from medenv.records import Question, Record, Score, Scored, Trajectory

ComponentScore = Callable[[Scored], float | None]


STRATA: Mapping[str, Callable[[Question], int | str]] = MappingProxyType(
    {
        "hops": lambda question: len(question.path),
        "effective hops": lambda question: (
            question.certificate.effective_hops if question.certificate else 0
        ),
        "level": lambda question: question.level,
        "kind": lambda question: question.kind,
        "specialty": lambda question: question.specialty or "none",
        "world": lambda question: question.world or "true",
        "set": lambda question: question.question_set or "none",
    }
)
"""Ways to group questions: name to what returns a question's group, which is 0 without a path."""


class Summary(Record, frozen=True, kw_only=True):
    """The figures of one rollout.

    Missing episodes, see `medenv.evaluation.measures.is_missing`, count as not right in every
    accuracy and are left out of all other figures.

    Args:
        episodes: Episodes with a score.
        questions: Questions that were asked.
        missing: Episodes without one.
        measures: Name of a measure in `MEASURES` to its mean per episode; one that no episode
            counts for is absent.
        parts: Name of a reward component to its mean raw value.
        wasted: Fault to wasted calls per episode; each call counts under its first fault.
        endings: Ending to the number of episodes.
        failures: Why episodes are not right, see `medenv.evaluation.failures`, to their number.
        flow: How many episodes reach each stage, and where the others are lost.
        by: Stratum of `STRATA` to its groups of questions to the accuracy there; a stratum of one
            group is absent.
        pass_at: Number k of samples to the chance that at least one of k is right, pass@k; for k of
            2, 4, 8, ... up to the fewest samples of a question, and these.
        pass_hat: Likewise to the chance that all of k are right, pass^k.
        chance: Mean probability that a blind guess is right.
        per_right: Name of `SPENT` to what was spent for each right answer, wrong episodes included;
            empty where none is right, and without what was not counted in every episode.
        currency: Currency of all money; empty where none is known.
        selective: How right it is where its samples agree; None without several samples.
        official: Part of a published benchmark to its own measures, and the set in brackets where
            several sets have that part; empty without one.
    """

    episodes: int
    questions: int
    missing: int
    measures: dict[str, Interval]
    parts: dict[str, Interval]
    wasted: dict[str, float]
    endings: dict[str, int]
    failures: dict[str, int]
    flow: list[Stage]
    by: dict[str, dict[str, Interval]]
    pass_at: dict[int, Interval]
    pass_hat: dict[int, Interval]
    chance: float
    per_right: dict[str, Interval]
    currency: str
    selective: Selective | None
    official: dict[str, dict[str, float]]


def summarise(scored: Sequence[Scored], *, seed: int = 0) -> Summary:
    """Sum up a rollout.

    Args:
        scored: The episodes; several samples per question are one cluster.
        seed: Seed of the bootstrap intervals.

    Raises:
        UsageError: No episode, or none with a score.
    """
    valid = counted(scored)
    faults = [waste(one) for one in valid]
    tries = tries_by_question(scored)
    failures = Counter(found.why.value for one in scored if (found := failure_of(one)))
    return Summary(
        episodes=len(valid),
        questions=len({one.trajectory.question.id for one in scored}),
        missing=len(scored) - len(valid),
        measures=means_of({m.name: m.of for m in MEASURES}, scored, seed),
        parts=means_of({name: part_value(name) for name in part_names(valid)}, valid, seed),
        wasted={
            name: float(np.mean([getattr(fault, name) for fault in faults]))
            for name in ("refused", "repeated", "empty", "beyond")
        },
        endings=dict(sorted(Counter(str(one.trajectory.ending) for one in valid).items())),
        failures=dict(sorted(failures.items())),
        flow=flow_of(
            failures,
            len(scored),
            certified=any(one.trajectory.question.certificate for one in scored),
        ),
        by=_by(scored, seed),
        pass_at={k: _passed(tries, k, pass_at_k, seed) for k in tries_of(tries)},
        pass_hat={k: _passed(tries, k, pass_hat_k, seed) for k in tries_of(tries)},
        chance=math.fsum(chance_of(one.trajectory.question) for one in scored) / len(scored),
        per_right=_per_right(valid, seed),
        currency=currency_of(valid),
        selective=selective(scored),
        official=official(scored),
    )


def batch_metrics(scored: Sequence[Scored]) -> dict[str, float]:
    """Return the plain means of a training batch, by the names under which trainers log them.

    Episodes without a score are left out: nothing is learned from them.

    Args:
        scored: The episodes of one batch.

    Returns:
        ``reward/<component>/raw`` and ``/weighted``, ``reward/total``, and ``episodes/<measure>``
        for each of `MEASURES` that an episode counts for.

    Raises:
        UsageError: No episode, or none with a score.
    """
    valid = counted(scored)
    logged: dict[str, list[float]] = {"reward/total": [one.score.total or 0.0 for one in valid]}
    for one in valid:
        for name, part in one.score.parts.items():
            logged.setdefault(f"reward/{name}/raw", []).append(part.raw)
            logged.setdefault(f"reward/{name}/weighted", []).append(part.weighted)
    for measure in MEASURES:
        numbers = [number for one in valid if (number := measure.value(one)) is not None]
        if numbers:
            logged[f"episodes/{measure.name}"] = numbers
    return {name: math.fsum(values) / len(values) for name, values in logged.items()}


def counted(scored: Sequence[Scored]) -> list[Scored]:
    """Return the episodes that have a score.

    Raises:
        UsageError: None has.
    """
    valid = [one for one in scored if not is_missing(one)]
    if not valid:
        raise UsageError(
            f"expected at least one scored episode, got {len(scored)} episodes of which all are "
            "infrastructure failures; run them again"
            if scored
            else "expected at least one scored episode, got none"
        )
    return valid


def with_missing(
    scored: Sequence[Scored], questions: Iterable[Question], samples: int
) -> list[Scored]:
    """Return the episodes of an evaluation with a place for each that never came.

    Args:
        scored: Those that came.
        questions: All that was asked.
        samples: Episodes of each question.

    Returns:
        By question in the order asked; the missing ones are unavailable and have no score.
    """
    came: dict[str, list[Scored]] = {}
    for one in scored:
        came.setdefault(one.trajectory.question.id, []).append(one)
    whole: list[Scored] = []
    for question in questions:
        found = came.get(question.id, [])
        lacking = sorted(set(range(samples)) - {one.sample for one in found})
        whole += found
        whole += [_missing(question, sample) for sample in lacking[: max(0, samples - len(found))]]
    return whole


def _missing(question: Question, sample: int) -> Scored:
    trajectory = Trajectory(
        question=question,
        turns=(),
        ending="unavailable",
        answer=None,
        failure="the episode never came",
    )
    return Scored(trajectory=trajectory, score=Score(total=None, parts={}), sample=sample)


def strata(
    scored: Iterable[Scored], of: Callable[[Question], int | str]
) -> dict[int | str, list[Scored]]:
    """Return the episodes by group of their question, the groups in order.

    Args:
        scored: Episodes.
        of: Returns the group of a question, such as a value of `STRATA`.
    """
    groups: dict[int | str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(of(one.trajectory.question), []).append(one)
    order = sorted(groups, key=lambda key: (key, "") if isinstance(key, int) else (0, key))
    return {key: groups[key] for key in order}


def values_by_question(scored: Iterable[Scored], value: ComponentScore) -> dict[str, list[float]]:
    """Return each question's values; empty where no episode of it counts for `value`."""
    groups: dict[str, list[float]] = {}
    for one in scored:
        group = groups.setdefault(one.trajectory.question.id, [])
        number = value(one)
        if number is not None:
            group.append(number)
    return groups


def tries_by_question(scored: Iterable[Scored]) -> dict[str, tuple[int, int]]:
    """Return each question's number of samples, missing ones included, and of right ones."""
    values = values_by_question(scored, MEASURES[0].of)
    return {name: (len(group), round(math.fsum(group))) for name, group in values.items()}


def tries_of(tries: Mapping[str, tuple[int, int]]) -> list[int]:
    """Return the numbers k above 1 for which every question has k samples: powers of 2, and all."""
    fewest = min(samples for samples, _ in tries.values())
    return sorted({fewest, *(2**power for power in range(1, fewest.bit_length()))} - {1})


def mean_of(value: ComponentScore, scored: Iterable[Scored], seed: int) -> Interval | None:
    """Return the mean of `value` over episodes, or None where no episode counts for it."""
    groups = values_by_question(scored, value)
    flat = [(number, name) for name, group in sorted(groups.items()) for number in group]
    if not flat:
        return None
    return cluster_bootstrap([v for v, _ in flat], [name for _, name in flat], seed=seed)


def means_of(
    values: Mapping[str, ComponentScore], scored: Sequence[Scored], seed: int
) -> dict[str, Interval]:
    """Return what `mean_of` returns for each of several values, without those that none counts for.

    Values that every question has are taken from the same draws, which saves most of the time.

    Args:
        values: Name to what is read off an episode.
        scored: The episodes.
        seed: Seed of the draws.
    """
    groups = {name: values_by_question(scored, value) for name, value in values.items()}
    whole = {name: group for name, group in groups.items() if group and all(group.values())}
    drawn: dict[str, Interval | None] = {}
    if whole:
        ids = sorted(next(iter(whole.values())))
        totals = np.array([[math.fsum(group[one]) for group in whole.values()] for one in ids])
        sizes = np.array([[float(len(group[one])) for group in whole.values()] for one in ids])
        resampled = Resampled(totals, sizes, seed=seed)
        drawn = {name: resampled.mean(column) for column, name in enumerate(whole)}
    found = {
        name: drawn[name] if name in drawn else mean_of(value, scored, seed)
        for name, value in values.items()
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def part_names(scored: Iterable[Scored]) -> list[str]:
    """Return the names of all reward components, in the order in which they first appear."""
    return list(dict.fromkeys(name for one in scored for name in one.score.parts))


def part_value(name: str) -> ComponentScore:
    """Return the function that reads a reward component's raw value."""

    def value(one: Scored) -> float | None:
        part = one.score.parts.get(name)
        return None if part is None else part.raw

    return value


def write_scored(path: Path | str, scored: Iterable[Scored]) -> int:
    """Write a rollout file, one JSON object per line, and return how many.

    Args:
        path: The file; its folder is made where it is missing.
        scored: The episodes.
    """
    return write_records(path, scored)


def read_scored(path: Path | str) -> list[Scored]:
    """Read a rollout file.

    Args:
        path: A file that `write_scored` wrote.

    Raises:
        DataError: No such file, or a line that is no scored trajectory, e.g. one cut short.
    """
    return list(read_records(path, Scored))


SPENT: Mapping[str, str] = MappingProxyType(
    {
        "tool_calls": "Tool calls",
        "turns": "Turns",
        "tokens": "Tokens written",
        "tokens_read": "Tokens read",
        "run_seconds": "Seconds of the evaluation",
        "money": "Money",
    }
)
"""Measures that count what an episode spends: name to label."""


class Spending(NamedTuple):
    """What the episodes of each question spent, and how many of them are right.

    Args:
        totals: Sums, one for each question.
        right: Numbers of right answers, likewise.
    """

    totals: list[float]
    right: list[float]


def spending(scored: Sequence[Scored], name: str) -> Spending | None:
    """Return what was spent on each question, in the order of their ids.

    Args:
        scored: Episodes; missing ones are left out.
        name: A name of `SPENT`.

    Returns:
        What was spent; None where no answer is right, or an episode was not counted.
    """
    measure = next(one for one in MEASURES if one.name == name)
    valid = [one for one in scored if not is_missing(one)]
    right = values_by_question(valid, MEASURES[0].of)
    spent = values_by_question(valid, measure.value)
    ids = sorted({one.trajectory.question.id for one in scored})
    complete = sum(map(len, spent.values())) == len(valid)
    if not complete or not any(map(any, right.values())):
        return None
    return Spending(
        [math.fsum(spent.get(one, ())) for one in ids],
        [math.fsum(right.get(one, ())) for one in ids],
    )


def per_right(sides: Sequence[Spending], seed: int) -> Resampled:
    """Return what is spent for each right answer, one column a side, from the same draws.

    Args:
        sides: Over the same questions.
        seed: Seed of the draws.
    """
    totals, right = (np.array([side[i] for side in sides]).T for i in (0, 1))
    return Resampled(totals, right, seed=seed)


def currency_of(scored: Iterable[Scored]) -> str:
    """Return the currency of all episodes that have a price, all of them if there are several."""
    found = {one.cost.currency for one in scored if not isinstance(one.cost, UnsetType)}
    return " and ".join(sorted(found - {""}))


def _per_right(valid: Sequence[Scored], seed: int) -> dict[str, Interval]:
    """Return what all episodes spent, divided by the number of right answers."""
    known = {name: found for name in SPENT if (found := spending(valid, name))}
    if not known:
        return {}
    drawn = per_right(list(known.values()), seed)
    means = {name: drawn.mean(column) for column, name in enumerate(known)}
    return {name: mean for name, mean in means.items() if mean is not None}


def _by(scored: Sequence[Scored], seed: int) -> dict[str, dict[str, Interval]]:
    found = {name: strata(scored, of) for name, of in STRATA.items()}
    return {
        name: {str(key): _required(MEASURES[0], group, seed) for key, group in groups.items()}
        for name, groups in found.items()
        if len(groups) > 1
    }


def _passed(
    tries: Mapping[str, tuple[int, int]],
    k: int,
    chance: Callable[[int, int, int], float],
    seed: int,
) -> Interval:
    values = [chance(samples, right, k) for samples, right in tries.values()]
    return cluster_bootstrap(values, list(tries), seed=seed)


def _required(measure: Measure, scored: Sequence[Scored], seed: int) -> Interval:
    ids = [one.trajectory.question.id for one in scored]
    return cluster_bootstrap([measure.of(one) or 0.0 for one in scored], ids, seed=seed)
