"""Quality filters for episodes, in order; rejections are counted by reason.

An episode counts under the first filter that rejects it. No filter parses a tool's text for an
answer: filters compare the ids of shown passages, and search shown texts for names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from medenv.episodes.rules import CHARS_PER_TOKEN
from medenv.errors import UsageError
from medenv.records import Record, Trajectory, Turn
from medenv.trajectories.duplicates import shingles
from medenv.trajectories.leaks import Names, leaks
from medenv.trajectories.records import Rollout
from medenv.trajectories.revealed import names as mentions
from medenv.trajectories.revealed import shown

REPEATED = 0.8
"""Share of a page's sequences of words that makes it a repetition of an earlier one."""

_FOREIGN = re.compile(r"[\u0370-\u1fff\u2c00-\ud7ff\uf900-\ufaff]")
_GREEK = re.compile(r"[\u0370-\u03ff]")
_CONTROL = re.compile(r"<\|[^|>]*\|>|<｜")


class Limits(Record, frozen=True, kw_only=True):
    """Minima and maxima that an episode must meet.

    Args:
        turns: Minimum assistant turns if the question needs as many.
        calls: Max tool calls.
        tokens: Maximum tokens of the episode, prompt included.
        thought_chars: Maximum thought, characters.
        thoughts: Whether every turn must have a thought.
        foreign: Maximum share of letters of another script, Greek excluded.
        similar: Jaccard threshold on word sequences for near-duplicates.

    Raises:
        UsageError: Value out of range.
    """

    turns: int = 3
    calls: int = 30
    tokens: int = 32_000
    thought_chars: int = 4_000
    thoughts: bool = True
    foreign: float = 0.02
    similar: float = 0.8

    def __post_init__(self) -> None:
        """Validate values."""
        if min(self.turns, self.calls, self.tokens, self.thought_chars) < 1:
            raise UsageError(f"limits must be at least 1, got {self}")
        if not 0 <= self.foreign <= 1 or not 0 < self.similar <= 1:
            raise UsageError(
                "limits need foreign in [0, 1] and similar in (0, 1], got "
                f"{self.foreign} and {self.similar}"
            )


class FilterContext(NamedTuple):
    """Limits and names for the filters.

    Attributes:
        limits: The limits.
        names: Entity id to all its names.
        prompt_chars: Characters of the system message.
    """

    limits: Limits
    names: Names
    prompt_chars: int = 0


class Rejection(StrEnum):
    """Reason to reject an episode."""

    NO_ANSWER = "no answer"
    WRONG_ANSWER = "wrong answer"
    CALL_WITHOUT_ANSWER = "a call without an answer"
    MALFORMED = "malformed"
    NO_THOUGHT = "no thought"
    LONG_THOUGHT = "a thought too long"
    ANOTHER_LANGUAGE = "another language"
    FEW_TURNS = "too few turns"
    MANY_CALLS = "too many calls"
    MANY_TOKENS = "too many tokens"
    REPEATED_CALL = "a repeated call"
    REPEATED_PAGES = "pages read again"
    EVIDENCE_NOT_SHOWN = "evidence not shown"
    LEAK = "leak"
    ENOUGH_OF_QUESTION = "enough of this question"
    NEAR_DUPLICATE = "near-duplicate"


class Refusal(NamedTuple):
    """Rejection of an episode.

    Attributes:
        reason: The reason, for code.
        detail: The ending or the leak; for counts and people.
    """

    reason: Rejection
    detail: str | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason.value


Filter = Callable[[Rollout, FilterContext], Refusal | None]
"""Returns the episode's refusal, or None."""


def first_refusal(rollout: Rollout, bench: FilterContext) -> Refusal | None:
    """Return the first refusal of an episode, or None.

    Args:
        rollout: The episode.
        bench: The filter context.
    """
    for check in FILTERS:
        if reason := check(rollout, bench):
            return reason
    return None


def _answered(rollout: Rollout, _: FilterContext) -> Refusal | None:
    ending = rollout.scored.trajectory.ending
    return None if ending == "answered" else Refusal(Rejection.NO_ANSWER, ending)


def _correct(rollout: Rollout, _: FilterContext) -> Refusal | None:
    part = rollout.scored.score.parts.get("accuracy")
    if part is None:
        raise UsageError(
            "trajectories are chosen by the score part 'accuracy', got "
            f"{', '.join(sorted(rollout.scored.score.parts)) or 'none'}; use another scoring"
        )
    return None if part.raw >= 1.0 else Refusal(Rejection.WRONG_ANSWER)


def _long_enough(rollout: Rollout, bench: FilterContext) -> Refusal | None:
    trajectory = rollout.scored.trajectory
    proof = trajectory.question.certificate
    needed = min(bench.limits.turns, proof.min_calls + 1 if proof is not None else 1)
    return Refusal(Rejection.FEW_TURNS) if len(trajectory.turns) < needed else None


def _within(rollout: Rollout, bench: FilterContext) -> Refusal | None:
    if rollout.calls > bench.limits.calls:
        return Refusal(Rejection.MANY_CALLS)
    tokens = token_count(rollout.scored.trajectory, bench.prompt_chars)
    return Refusal(Rejection.MANY_TOKENS) if tokens > bench.limits.tokens else None


def _every_call_answered(rollout: Rollout, _: FilterContext) -> Refusal | None:
    for turn in rollout.scored.trajectory.turns:
        given = [result.call_id for result in turn.results]
        made = [call.id for call in turn.calls]
        if given != made or len(made) != len(turn.parsed.calls):
            return Refusal(Rejection.CALL_WITHOUT_ANSWER)
    return None


def _no_loops(rollout: Rollout, _: FilterContext) -> Refusal | None:
    """Refuse a repeated call that had succeeded; a failed call may be repeated."""
    answered: set[bytes] = set()
    for turn in rollout.scored.trajectory.turns:
        for call, result in zip(turn.calls, turn.results, strict=True):
            key = msgspec.json.encode((call.name, call.arguments), order="deterministic")
            if key in answered:
                return Refusal(Rejection.REPEATED_CALL)
            if result.status != "failed":
                answered.add(key)
    return None


def _no_rereading(rollout: Rollout, _: FilterContext) -> Refusal | None:
    """Refuse an episode in which several results show what an earlier one showed."""
    return Refusal(Rejection.REPEATED_PAGES) if repeated_pages(rollout) > 1 else None


def repeated_pages(rollout: Rollout) -> int:
    """Return how many results repeat four fifths of an earlier one.

    Args:
        rollout: The episode.
    """
    seen, repeated = list[frozenset[int]](), 0
    for turn in rollout.scored.trajectory.turns:
        for result in turn.results:
            if result.status == "ok":
                page = shingles(result.text)
                repeated += any(len(page & one) >= REPEATED * len(page) for one in seen)
                seen.append(page)
    return repeated


def _grounded(rollout: Rollout, _: FilterContext) -> Refusal | None:
    """Refuse an episode that never showed a step of the gold path, or the answer."""
    trajectory = rollout.scored.trajectory
    passages = {
        passage
        for turn in trajectory.turns
        for result in turn.results
        for passage in result.passages
    }
    if not all(shown(hop, passages) for hop in trajectory.question.path):
        return Refusal(Rejection.EVIDENCE_NOT_SHOWN)
    observed = [trajectory.question.text, *(turn.observation for turn in trajectory.turns)]
    for answer in trajectory.question.answers:
        if answer.kind != "value" and not any(mentions(text, answer.name) for text in observed):
            return Refusal(Rejection.EVIDENCE_NOT_SHOWN)
    return None


def _without_leaks(rollout: Rollout, bench: FilterContext) -> Refusal | None:
    found = leaks(rollout.scored.trajectory, bench.names)
    return Refusal(Rejection.LEAK, found[0].kind) if found else None


def _language(rollout: Rollout, bench: FilterContext) -> Refusal | None:
    text = "".join(turn.text for turn in rollout.scored.trajectory.turns)
    letters = sum(character.isalpha() for character in text)
    foreign = len(_FOREIGN.findall(text)) - len(_GREEK.findall(text))
    return (
        Refusal(Rejection.ANOTHER_LANGUAGE)
        if foreign > bench.limits.foreign * max(letters, 1)
        else None
    )


def _format(rollout: Rollout, bench: FilterContext) -> Refusal | None:
    limits = bench.limits
    for turn in rollout.scored.trajectory.turns:
        if turn.parsed.problems or _CONTROL.search(turn.text):
            return Refusal(Rejection.MALFORMED)
        if limits.thoughts and not turn.parsed.thought:
            return Refusal(Rejection.NO_THOUGHT)
        if len(turn.parsed.thought) > limits.thought_chars:
            return Refusal(Rejection.LONG_THOUGHT)
    return None


FILTERS: tuple[Filter, ...] = (
    _answered,
    _correct,
    _every_call_answered,
    _format,
    _language,
    _long_enough,
    _within,
    _no_loops,
    _no_rereading,
    _grounded,
    _without_leaks,
)
"""All filters of one episode, in order of application."""


def token_count(trajectory: Trajectory, prompt_chars: int = 0) -> int:
    """Estimate an episode's number of tokens, prompt included.

    Args:
        trajectory: The episode.
        prompt_chars: Characters of the system message.
    """
    chars = prompt_chars + len(trajectory.question.text)
    chars += sum(len(turn.text) + len(turn.observation) for turn in trajectory.turns)
    return chars // CHARS_PER_TOKEN


def mistaken(turn: Turn) -> bool:
    """Return whether a turn holds a refused call, which is not trained on.

    Args:
        turn: The turn.
    """
    return bool(turn.parsed.problems) or any(one.status == "bad_call" for one in turn.results)
