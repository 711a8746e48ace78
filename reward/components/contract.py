"""What a component of a reward is, and the one place where an answer is taken from.

A component reads the policy's own spans (`Turn.text`, `Turn.parsed`, `Turn.calls`), the statuses of
results and the ids of passages shown. It never reads a result's text or an observation, so nothing
that a tool returns can earn.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import msgspec

from medenv.errors import UsageError
from medenv.records import Record, Trajectory, Turn
from medenv.reward.answers.names import EntityNames

_T = TypeVar("_T")
_FORGED = re.compile(r"<\||<(?:tool_response|information)>|^[ \t]*Observation:", re.MULTILINE)


class ComponentScore(msgspec.Struct, frozen=True, gc=False):
    """What a component says of a trajectory.

    Args:
        raw: The value, in the component's range.
        reason: Why, in words.
    """

    raw: float
    reason: str


class Knowledge(Record, frozen=True, kw_only=True):
    """What a component may know besides the trajectory.

    Args:
        names: Index of all names, for near misses; None for exact names and aliases only.
        parents: Entity id to the ids of its direct parents in an ontology, for `kinship`.
        forbidden: Entity id to the ids of what must not be named where a question is about it, e.g.
            a disease to the drugs that are contraindicated in it, for `safety`.
        near: What a near miss pays. It pays in full by default, because a misspelt name that
            passes every guard of `medenv.reward.answers.equivalence` names the right entity.
    """

    names: EntityNames | None = None
    parents: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    forbidden: Mapping[str, Collection[str]] = msgspec.field(default_factory=dict)
    near: float = 1.0


Measure = Callable[[Trajectory, Knowledge], ComponentScore]
"""A component's function: pure, fast, and silent about what tools said."""


def once(function: Callable[[Trajectory], _T]) -> Callable[[Trajectory], _T]:
    """Remember what a function says of the trajectory it was asked about last.

    Several components ask the same of one trajectory, one right after the other.

    Args:
        function: A pure function whose result nobody changes.
    """
    last: tuple[Trajectory, _T] | None = None

    @functools.wraps(function)
    def remembered(trajectory: Trajectory) -> _T:
        nonlocal last
        known = last  # read and replaced whole, so that threads need no lock
        if known is not None and known[0] is trajectory:
            return known[1]
        found = function(trajectory)
        last = (trajectory, found)
        return found

    return remembered


class Component(Record, frozen=True, kw_only=True):
    """A named measure with its card.

    Args:
        name: Name under which compositions weigh it.
        measure: The function.
        low: Least value.
        high: Greatest value.
        rationale: What it is for, one sentence.
        exploit: The known way to collect it undeserved, and what stops that, one sentence.
        asks: What the policy must write for it besides calls and an answer, one sentence for the
            prompt; ``{note}`` stands for the dialect's place, e.g. ``before <answer>``. Empty where
            the policy has to know nothing.
        worst_right: Least value of a right answer, where that is more than `low`.
        best_wrong: Greatest value of a wrong answer, where that is less than `high`.
        outside: Whether it calls an outside service, such as a judge; it is then measured only
            where its gate is open.
        needs_certificate: Whether it measures against the certificate of the question; see
            `medenv.reward.check_questions`.
        grades_rubrics: Whether it grades questions by their own rubric (`Question.rubric`); its
            value is then the accuracy of such a question.
    """

    name: str
    measure: Measure
    low: float = 0.0
    high: float = 1.0
    rationale: str
    exploit: str
    asks: str = ""
    worst_right: float | None = None
    best_wrong: float | None = None
    outside: bool = False
    needs_certificate: bool = False
    grades_rubrics: bool = False


def final_answer(trajectory: Trajectory) -> str | None:
    """Return the answer that the policy's last turn states, or None where it ended without one.

    Args:
        trajectory: A finished episode.

    Raises:
        UsageError: The trajectory claims an answer that its last turn does not state.
    """
    if trajectory.ending != "answered":
        return None
    stated = trajectory.turns[-1].parsed.answer if trajectory.turns else None
    if stated != trajectory.answer:
        raise UsageError(
            f"the trajectory of question {trajectory.question.id!r} claims the answer"
            f" {trajectory.answer!r}, but its last turn states {stated!r}; take the answer from the"
            " policy's own turn"
        )
    return stated


def notes_of(turn: Turn) -> str:
    """Return what the policy wrote in a turn beside calls, answer and private thoughts.

    A record that was made without notes gives its text, without thoughts and without what follows
    a forged result or a control token.

    Args:
        turn: A turn.
    """
    if turn.parsed.notes is not None:
        return turn.parsed.notes
    forged = _FORGED.search(turn.text)
    text = turn.text[: forged.start()] if forged else turn.text
    return text.rpartition("</think>")[2].partition("<think>")[0]
