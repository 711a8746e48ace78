"""Comparison before and after training: the headline table and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from medenv.errors import UsageError
from medenv.evaluation.failures import HELP, FailureClass
from medenv.evaluation.measures import MEASURES, MISSING, Measure, chance_of, is_missing
from medenv.evaluation.statistics import (
    Interval,
    cluster_bootstrap,
    paired_difference,
    pass_at_k,
    pass_hat_k,
)
from medenv.evaluation.summary import (
    SPENT,
    STRATA,
    counted,
    currency_of,
    mean_of,
    part_names,
    part_value,
    per_right,
    spending,
    strata,
    tries_by_question,
    tries_of,
    values_by_question,
)
from medenv.records import Record, Scored
from medenv.report.formatting import NBSP, Unit, show, show_difference, span

_ACCURACY, _HOPS, _EPISODES = "Accuracy", "Accuracy by hops, sampled", "Episodes, sampled"
_MISSING = "Episodes that never came"
_SPENT = "Spent for each right answer, sampled, wrong episodes included"
_TRIES = "Questions, sampled several times"


class Row(Record, frozen=True, kw_only=True):
    """One measure before and after.

    Args:
        section: Section heading.
        label: Name of the measure.
        unit: ``"share"`` or ``"count"``.
        better: 1 if more is better, -1 if less is better, 0 otherwise.
        before: The mean before, or None if no episode has a value.
        after: The mean after, or None if no episode has a value.
        difference: After minus before over the same questions, or None.
        note: Further description of the row, e.g. the chance of a blind guess.
    """

    section: str
    label: str
    unit: Unit
    better: int
    before: Interval | None
    after: Interval | None
    difference: Interval | None
    note: str = ""

    @property
    def judgement(self) -> str:
        """``"better"``, ``"worse"``, ``"changed"`` or ``"unclear"``, by the interval."""
        if self.difference is None or not self.difference.excludes_zero:
            return "unclear"
        direction = self.better * (1 if self.difference.low > 0 else -1)
        return {1: "better", -1: "worse", 0: "changed"}[direction]


class Pair(Record, frozen=True, kw_only=True):
    """Episodes before and after over the same questions, including missing episodes.

    Args:
        before: Episodes before.
        after: Episodes after.
        questions: Number of questions on both sides.
        dropped: Number of questions left out because only one side has them.
    """

    before: tuple[Scored, ...]
    after: tuple[Scored, ...]
    questions: int
    dropped: int

    @property
    def missing(self) -> tuple[int, int]:
        """Number of missing episodes before and after; they count as not right."""
        return sum(map(is_missing, self.before)), sum(map(is_missing, self.after))


def pair(before: Sequence[Scored], after: Sequence[Scored]) -> Pair:
    """Select the episodes of questions that both sides have.

    Args:
        before: Episodes before training.
        after: Episodes after training.

    Raises:
        UsageError: A side has no scored episode, or the sides share no question.
    """
    sides = before, after
    for side in sides:
        counted(side)
    ids = [{episode.trajectory.question.id for episode in side} for side in sides]
    common = ids[0] & ids[1]
    if not common:
        raise UsageError(
            f"expected the same questions before and after, got {len(ids[0])} and {len(ids[1])} "
            "with none in common; evaluate both policies on one question set"
        )
    selected = [
        tuple(episode for episode in side if episode.trajectory.question.id in common)
        for side in sides
    ]
    return Pair(
        before=selected[0],
        after=selected[1],
        questions=len(common),
        dropped=len((ids[0] | ids[1]) - common),
    )


def headline(sampled: Pair, greedy: Pair | None, *, seed: int = 0) -> list[Row]:
    """Return the headline table: all measures sampled, greedy accuracy, accuracy by hops, pass@k.

    A measure without values on both sides, such as uncounted tokens, has no row. Missing episodes
    have a row if there are any.

    Args:
        sampled: Episodes with sampling.
        greedy: Episodes with greedy decoding, or None.
        seed: Seed of the bootstrap intervals.
    """
    first, *rest = MEASURES
    rows = [_row(_ACCURACY, first._replace(label="Sampled answers"), sampled, seed)]
    if greedy is not None:
        rows.append(_row(_ACCURACY, first._replace(label="Greedy answers"), greedy, seed))
    rows += _hop_rows(sampled, seed) + _tries_rows(sampled, seed)
    for measure in rest:
        row = _row(_EPISODES, measure, sampled, seed)
        rows.append(_in_currency(row, sampled) if measure.name == "money" else row)
    rows += _spent_rows(sampled, seed)
    for label, side in (("sampled", sampled), ("greedy", greedy)):
        if side is not None and any(side.missing):
            named = MISSING._replace(label=f"{MISSING.label}, {label}")
            note = "{} before, {} after".format(*side.missing)
            rows.append(_row(_MISSING, named, side, seed, note))
    return [row for row in rows if row.before or row.after]


def accuracy_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a headline table with accuracies, overall and by hops."""
    return [row for row in rows if row.section in (_ACCURACY, _HOPS)]


def component_rows(sampled: Pair, *, seed: int = 0) -> list[Row]:
    """Return one row per reward component with its mean raw value before and after."""
    names = part_names([*sampled.before, *sampled.after])
    return [
        _row("", Measure(name, name, "count", 0, part_value(name)), sampled, seed) for name in names
    ]


def verdict(sampled: Pair, row: Row) -> str:
    """Return a summary, in one or two sentences, of the sampled accuracy and missing episodes.

    Args:
        sampled: The episodes of the row.
        row: The row of the sampled accuracy.
    """
    splits = {episode.trajectory.question.split for episode in sampled.before}
    kind = "held-out " if splits == {"test"} else ""
    where = f"on {sampled.questions} {kind}question{'s' if sampled.questions != 1 else ''}"
    if row.before is None or row.after is None or row.difference is None:
        raise UsageError("expected the row of the sampled accuracy, got one without values")
    ends = f"from {show(row.before.mean, 'share')} to {show(row.after.mean, 'share')}"
    change = show_difference(row.difference.mean, "share")
    left = ""
    if any(sampled.missing):
        before, after = sampled.missing
        left = f" {before} episodes are missing before and {after} after: they count as not right."
    if math.isnan(row.difference.low):
        return f"Accuracy {where} went {ends}; one question is too few for an interval.{left}"
    interval = f"95{NBSP}% interval {span(row.difference, 'share', signed=True)}"
    if row.judgement == "unclear":
        return f"No clear change: accuracy {where} went {ends} ({change}, {interval}).{left}"
    verb = "rose" if row.judgement == "better" else "fell"
    return f"Accuracy {where} {verb} {ends} ({change}, {interval}).{left}"


def failure_table(failures: Mapping[str, int], title: str) -> Table:
    """Return why episodes are not right, the most frequent first, and what would help.

    Args:
        failures: Class of `medenv.evaluation.failures` to its number of episodes.
        title: Title of the table.
    """
    table = Table(title=title)
    table.add_column("class")
    table.add_column("episodes", justify="right")
    table.add_column("what would help")
    for why, count in sorted(failures.items(), key=lambda pair: (-pair[1], pair[0])):
        table.add_row(why, f"{count:,}", HELP[FailureClass(why)])
    return table


def rich_table(rows: Sequence[Row], title: str) -> Table:
    """Return the headline table for a terminal."""
    table = Table(title=Text(title, style="bold"), title_justify="left", caption_justify="left")
    table.caption = Text("Intervals: 95 %, questions resampled; the difference is paired.")
    table.add_column("Measure")
    for name in ("Before", "After", "Difference", "95 % interval"):
        table.add_column(name, justify="right")
    styles = {"better": "green", "worse": "red", "changed": "bold", "unclear": "dim"}
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            table.add_section()
            table.add_row(Text(section, style="bold"))
        ends = [show(side.mean, row.unit) if side else "–" for side in (row.before, row.after)]
        change = (
            (show_difference(row.difference.mean, row.unit), span(row.difference, row.unit))
            if row.difference
            else ("–", "–")
        )
        label = f"  {row.label}" + (f" ({row.note})" if row.note else "")
        style = styles[row.judgement]
        table.add_row(Text(label), *ends, Text(change[0], style=style), Text(change[1]))
    return table


def _row(section: str, measure: Measure, sides: Pair, seed: int, note: str = "") -> Row:
    before = values_by_question(sides.before, measure.of)
    after = values_by_question(sides.after, measure.of)
    both = any(before.values()) and any(after.values())
    return Row(
        section=section,
        label=measure.label,
        unit=measure.unit,
        better=measure.better,
        before=mean_of(measure.of, sides.before, seed),
        after=mean_of(measure.of, sides.after, seed),
        difference=paired_difference(before, after, seed=seed) if both else None,
        note=note,
    )


def _hop_rows(sampled: Pair, seed: int) -> list[Row]:
    before, after = (strata(side, STRATA["hops"]) for side in (sampled.before, sampled.after))
    rows = []
    for hops, group in before.items():
        part = pair(group, after[hops])
        chance = sum(chance_of(one.trajectory.question) for one in group) / len(group)
        note = (
            f"{part.questions} question{'s' if part.questions != 1 else ''}, "
            f"a blind guess: {show(chance, 'share')}"
        )
        label = f"{hops} hop{'s' if hops != 1 else ''}" if hops else "no gold path"
        measure = MEASURES[0]._replace(label=label)
        rows.append(_row(_HOPS, measure, part, seed, note))
    return rows


def _spent_rows(sampled: Pair, seed: int) -> list[Row]:
    """Return what each right answer costs, for what both sides counted."""
    rows = []
    for name, label in SPENT.items():
        before, after = (spending(side, name) for side in (sampled.before, sampled.after))
        if before is None or after is None:
            continue
        drawn = per_right([before, after], seed)
        row = Row(
            section=_SPENT,
            label=label,
            unit="count",
            better=-1,
            before=drawn.mean(0),
            after=drawn.mean(1),
            difference=drawn.difference(0, 1),
        )
        rows.append(_in_currency(row, sampled) if name == "money" else row)
    return rows


def _in_currency(row: Row, sampled: Pair) -> Row:
    """Return a row of money with its currency, and no difference between two currencies."""
    before, after = currency_of(sampled.before), currency_of(sampled.after)
    if before == after:
        return msgspec.structs.replace(row, note=before)
    note = f"{before or 'no price'} before, {after or 'no price'} after"
    return msgspec.structs.replace(row, note=note, difference=None)


def _tries_rows(sampled: Pair, seed: int) -> list[Row]:
    """Return pass@k and pass^k for the greatest k of both sides, none for single samples."""
    sides = tries_by_question(sampled.before), tries_by_question(sampled.after)
    common = [k for k in tries_of(sides[0]) if k in tries_of(sides[1])]
    rows = []
    for k in common[-1:]:
        for label, chance in (
            (f"At least one of {k} right (pass@{k})", pass_at_k),
            (f"All of {k} right (pass^{k})", pass_hat_k),
        ):
            before, after = (
                {name: [chance(samples, right, k)] for name, (samples, right) in side.items()}
                for side in sides
            )
            means = [
                cluster_bootstrap([one for (one,) in side.values()], list(side), seed=seed)
                for side in (before, after)
            ]
            row = Row(
                section=_TRIES,
                label=label,
                unit="share",
                better=1,
                before=means[0],
                after=means[1],
                difference=paired_difference(before, after, seed=seed),
            )
            rows.append(row)
    return rows
