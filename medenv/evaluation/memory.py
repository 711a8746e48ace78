"""Memory against research: closed book against tools, and the true world against an altered one.

A right answer may come from the weights or from what was read. Two pairs of evaluations tell the
two apart, question by question: without and with tools, and in the true world and one that is
renamed (memory is useless there) or rewired (memory is wrong there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UnsetType

from medenv.evaluation.measures import MEASURES, searched
from medenv.evaluation.statistics import Interval, cluster_bootstrap, paired_difference
from medenv.evaluation.summary import values_by_question
from medenv.records import Entity, Question, Record, Scored
from medenv.report.headline import Pair
from medenv.text import fold_name

MEMORY = "memory.json"
"""The file of a `Contrast`, in the folder of an evaluation beside another one."""

ALTERED = ("renamed", "rewired")
"""Worlds in which the same questions have other answers, by name or in fact."""


class ContrastRow(Record, frozen=True, kw_only=True):
    """One line of the table.

    Args:
        label: What is counted.
        value: Share of the episodes or questions, or a difference of shares, with its interval.
        difference: Whether it is a difference.
    """

    label: str
    value: Interval
    difference: bool = False


class Contrast(Record, frozen=True, kw_only=True):
    """Two evaluations of one policy that differ in what memory can do.

    Args:
        title: What is held against what.
        questions: Number of questions that both have.
        dropped: Number of questions that one of them has.
        rows: The table.
        note: How to read it.
    """

    title: str
    questions: int
    dropped: int
    rows: tuple[ContrastRow, ...]
    note: str


class _Side(NamedTuple):
    """One of the two evaluations, over the common questions.

    Args:
        name: What sets it apart, as a phrase after "right".
        episodes: Its episodes.
    """

    name: str
    episodes: Sequence[Scored]

    def right(self) -> dict[str, list[float]]:
        """Return each question's answers, 1 where right; missing ones count as not right."""
        return values_by_question(self.episodes, MEASURES[0].of)


def contrast_of(pair: Pair, *, seed: int = 0) -> Contrast | None:
    """Return what two evaluations say about memory and research.

    Args:
        pair: Their episodes over the same questions, see `same_questions`.
        seed: Seed of the intervals.

    Returns:
        The table, or None where the two differ neither in their tools (none answered in one) nor in
        their world (one true, the other one of `ALTERED`), or in both.
    """
    sides = pair.before, pair.after
    researched = [any(searched(one.trajectory) for one in side) for side in sides]
    worlds = [_worlds(side) for side in sides]
    if worlds[0] == worlds[1] and researched[0] != researched[1]:
        closed, tools = sides if researched[1] else sides[::-1]
        found = _rows(_Side("closed book", closed), _Side("with research", tools), seed)
        note = "Closed book: no tool answered, so that right answers come from memory or chance."
        return Contrast(
            title="Closed book against research",
            questions=pair.questions,
            dropped=pair.dropped,
            rows=tuple(found),
            note=note,
        )
    altered = next((one for one in ALTERED if [*worlds].count({one}) == 1), "")
    if altered and {""} in worlds and researched[0] == researched[1]:
        true, other = sides if worlds[0] == {""} else sides[::-1]
        rows = _rows(
            _Side("in the true world", true), _Side(f"in the {altered} world", other), seed
        )
        note = "Names are coined in the renamed world, so that memory is useless there."
        if altered == "rewired":
            rows.append(_recalled(true, other, seed))
            note = (
                "What memory says is wrong in the rewired world; what can be read there is right."
            )
        return Contrast(
            title=f"True against {altered} world",
            questions=pair.questions,
            dropped=pair.dropped,
            rows=tuple(rows),
            note=note,
        )
    return None


def same_questions(
    before: Sequence[Scored], after: Sequence[Scored]
) -> tuple[Sequence[Scored], Sequence[Scored]]:
    """Return the episodes of two worlds with the ids that their questions have in the true world.

    Questions of a world are numbered anew where some were left out. What a question was made from
    stands in `Question.origin`; in worlds made before there was one, the same text is the same
    question.

    Args:
        before: Episodes of one evaluation.
        after: Those of the other one.

    Returns:
        Both as they are where they are of the same world. Else a question that cannot be traced has
        an id that no other question has.
    """
    if _worlds(before) == _worlds(after):
        return before, after
    true = {
        one.trajectory.question.text: one.trajectory.question.id
        for one in (*before, *after)
        if not one.trajectory.question.world
    }
    return _traced(before, true), _traced(after, true)


def _traced(scored: Sequence[Scored], true: Mapping[str, str]) -> list[Scored]:
    found = []
    for one in scored:
        question = one.trajectory.question
        if question.world:
            question = msgspec.structs.replace(question, id=_origin(question, true))
            trajectory = msgspec.structs.replace(one.trajectory, question=question)
            one = msgspec.structs.replace(one, trajectory=trajectory)
        found.append(one)
    return found


def _origin(question: Question, true: Mapping[str, str]) -> str:
    if not isinstance(question.origin, UnsetType):
        return question.origin
    return true.get(question.text, f"{question.id} of the {question.world} world")


def _worlds(scored: Sequence[Scored]) -> set[str]:
    return {one.trajectory.question.world for one in scored}


def _rows(first: _Side, second: _Side, seed: int) -> list[ContrastRow]:
    before, after = first.right(), second.right()
    ids = sorted(before)
    means = [{one: sum(side[one]) / len(side[one]) for one in ids} for side in (before, after)]

    def share(label: str, by_question: Mapping[str, float]) -> ContrastRow:
        value = cluster_bootstrap([by_question[one] for one in ids], ids, seed=seed)
        return ContrastRow(label=label, value=value)

    def both(of_first: bool, of_second: bool) -> dict[str, float]:
        """Return the chance that a sample of each side comes out so, by question."""
        return {
            one: (a if of_first else 1 - a) * (b if of_second else 1 - b)
            for one in ids
            for a, b in [(means[0][one], means[1][one])]
        }

    return [
        share(f"right {first.name}", means[0]),
        share(f"right {second.name}", means[1]),
        ContrastRow(
            label="difference, within questions",
            value=paired_difference(before, after, seed=seed),
            difference=True,
        ),
        share("right both ways", both(True, True)),
        share(f"right {first.name} alone", both(True, False)),
        share(f"right {second.name} alone", both(False, True)),
        share("right neither way", both(False, False)),
    ]


def _recalled(true: Sequence[Scored], rewired: Sequence[Scored], seed: int) -> ContrastRow:
    """Return how often an answer in the rewired world is the one that is right in the true one."""
    gold = {one.trajectory.question.id: one.trajectory.question.answers for one in true}
    told, ids = [], []
    for one in rewired:
        answer, asked = one.trajectory.answer or "", one.trajectory.question.id
        told.append(float(_named(answer, gold[asked])))
        ids.append(asked)
    value = cluster_bootstrap(told, ids, seed=seed)
    return ContrastRow(label="answer of the true world in the rewired one", value=value)


def _named(answer: str, entities: Sequence[Entity]) -> bool:
    names = {fold_name(name) for one in entities for name in (one.name, *one.aliases)}
    return fold_name(answer) in names
