"""The components a reward is made of: small pure functions of what the policy wrote.

A component reads the policy's own spans (`Turn.text`, `Turn.parsed`, `Turn.calls`), the statuses of
results and the ids of passages shown. It never reads a result's text or an observation, so nothing
that a tool returns can earn. Each value lies in the component's declared range.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from rapidfuzz.fuzz import token_sort_ratio

from medenv.errors import UsageError
from medenv.records import Record, ToolCall, Trajectory
from medenv.reward.equivalence import judge_answer
from medenv.reward.names import EntityNames

MAX_EXTRA_CALLS = 8
"""Calls beyond the fewest needed at which `efficiency` reaches 0."""

REPEAT_SIMILARITY = 90.0
"""Token-sort ratio in [0, 100] from which a query counts as a repeat of an earlier one."""


_TELLING = re.compile(r"\d+|\b[^\W\d_]\b")


class Value(NamedTuple):
    """What a component says of a trajectory.

    Attributes:
        raw: The value, in the component's range.
        reason: Why, in words.
    """

    raw: float
    reason: str


class Knowledge(Record, frozen=True, kw_only=True):
    """What a component may know besides the trajectory.

    Args:
        names: Index of all names, for near misses; None for exact names and aliases only.
        near: What a near miss pays. It pays in full by default, because a misspelt name that
            passes every guard of `medenv.reward.equivalence` names the right entity.
    """

    names: EntityNames | None = None
    near: float = 1.0


Measure = Callable[[Trajectory, Knowledge], Value]
"""A component's function: pure, fast, and silent about what tools said."""


class Component(Record, frozen=True, kw_only=True):
    """A named measure with its card.

    Args:
        name: Name under which compositions weigh it.
        measure: The function.
        low: Least value.
        high: Greatest value.
        rationale: What it is for, one sentence.
        exploit: The known way to collect it undeserved, and what stops that, one sentence.
    """

    name: str
    measure: Measure
    low: float = 0.0
    high: float = 1.0
    rationale: str
    exploit: str


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


def accuracy(trajectory: Trajectory, knowledge: Knowledge) -> Value:
    """Pay 1 for an answer that is a name of a gold entity, `knowledge.near` for a misspelt one.

    Known exploit: naming many candidates, or burying the gold name in a long answer; both are
    wrong, since the whole answer must be a name.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names and the price of a near miss.
    """
    match = judge_answer(final_answer(trajectory), trajectory.question.answers, knowledge.names)
    raw = (knowledge.near if match.kind == "near" else 1.0) if match.right else 0.0
    return Value(raw, f"{match.kind}: {match.reason}")


def format_(trajectory: Trajectory, _: Knowledge) -> Value:
    """Pay 1 where every policy turn was well formed and the last one answered.

    Known exploit: a flawless form around a wrong or empty answer; the gate `correct` keeps it from
    paying.

    Args:
        trajectory: A finished episode.
    """
    answer = final_answer(trajectory)
    if answer is None or not answer.strip():
        return Value(0.0, "ended without an answer")
    for number, turn in enumerate(trajectory.turns):
        if turn.parsed.problems:
            return Value(0.0, f"turn {number}: {turn.parsed.problems[0]}")
    return Value(1.0, f"{len(trajectory.turns)} well-formed turns")


def efficiency(trajectory: Trajectory, _: Knowledge) -> Value:
    """Pay 1 up to the fewest calls that the question needs, falling to 0 with calls beyond.

    The value is ``1 - min(1, max(0, calls + repeats - min_calls) / MAX_EXTRA_CALLS)``: a call that
    repeats an earlier one counts twice. Calls that the outside world failed do not count, and
    fewer calls than needed pay no more than the needed ones.

    Known exploit: answering at once; the gate `correct` and the cap at `min_calls` keep that from
    paying more than research does.

    Args:
        trajectory: A finished episode.
    """
    if final_answer(trajectory) is None:
        return Value(0.0, "ended without an answer")
    calls = charged_calls(trajectory)
    needed = trajectory.question.certificate.min_calls
    extra = len(calls) - needed
    if extra >= MAX_EXTRA_CALLS:
        return Value(0.0, f"{len(calls)} calls where {needed} suffice")
    repeats = count_repeats(calls)
    raw = 1.0 - min(1.0, max(0, extra + repeats) / MAX_EXTRA_CALLS)
    return Value(raw, f"{len(calls)} calls, {repeats} repeats, where {needed} suffice")


def charged_calls(trajectory: Trajectory) -> list[ToolCall]:
    """Return the calls that the policy made, without those that the outside world failed.

    Args:
        trajectory: A finished episode.
    """
    calls: list[ToolCall] = []
    for turn in trajectory.turns:
        failed = {result.call_id for result in turn.results if result.status == "unavailable"}
        calls.extend(call for call in turn.calls if call.id not in failed)
    return calls


def count_repeats(calls: list[ToolCall]) -> int:
    """Count the calls that ask again what an earlier call asked.

    A repeat calls the same tool with the same settings and a text that equals an earlier one but
    for word order or a few letters, with the same numbers: "KCNQ2 epilepsy" does not repeat
    "KCNQ3 epilepsy".

    Args:
        calls: Calls in the order made.
    """
    seen: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    repeats = 0
    for call in calls:
        text, key = _asked(call)
        earlier = seen.setdefault(key, [])
        if any(
            token_sort_ratio(text, other, score_cutoff=REPEAT_SIMILARITY) > 0 or text == other
            for other in earlier
        ):
            repeats += 1
        else:
            earlier.append(text)
    return repeats


def _asked(call: ToolCall) -> tuple[str, tuple[str, str, tuple[str, ...]]]:
    """Return a call's text, and the tool, settings and numbers that a repeat must share."""
    texts: list[str] = []
    settings: list[tuple[str, object]] = []
    for name, value in sorted(call.arguments.items()):
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            texts.extend(value)
        else:
            settings.append((name, value))
    text = " ".join(texts).casefold()
    return text, (call.name, repr(settings), tuple(sorted(_TELLING.findall(text))))


_COMPONENTS = {
    component.name: component
    for component in (
        Component(
            name="accuracy",
            measure=accuracy,
            rationale="Whether the answer names the gold entity: what the policy is trained for.",
            exploit="Naming many candidates; an answer must be one name and nothing else.",
        ),
        Component(
            name="format",
            measure=format_,
            rationale="Whether every turn could be read, so that no turn is lost on syntax.",
            exploit="Good form around a wrong answer; gated by correctness.",
        ),
        Component(
            name="efficiency",
            measure=efficiency,
            rationale="Whether the calls made were needed, so that research stays affordable.",
            exploit="Answering at once; gated by correctness, capped at the fewest calls needed.",
        ),
    )
}

COMPONENTS: Mapping[str, Component] = MappingProxyType(_COMPONENTS)
"""All components by name."""
