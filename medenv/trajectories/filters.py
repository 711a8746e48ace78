"""What keeps an episode from being learned from: filters in order, each with a counted name.

An episode counts under the first filter that refuses it. None of them reads a tool's text for an
answer; what was seen is read off the ids of passages, and names are looked for in what was shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from medenv.episodes.rules import CHARS_PER_TOKEN
from medenv.errors import UsageError
from medenv.records import Record, Trajectory, Turn
from medenv.trajectories.faults import FAILED
from medenv.trajectories.leaks import Names, leaks
from medenv.trajectories.records import Rollout
from medenv.trajectories.revealed import names as mentions
from medenv.trajectories.revealed import shown

_FOREIGN = re.compile(r"[\u0370-\u1fff\u2c00-\ud7ff\uf900-\ufaff]")
_GREEK = re.compile(r"[\u0370-\u03ff]")
_CONTROL = re.compile(r"<\|[^|>]*\|>|<｜")


class Limits(Record, frozen=True, kw_only=True):
    """What an episode may be at most, and what it must be at least.

    Args:
        turns: Fewest assistant turns where the question needs as many.
        calls: Most tool calls.
        tokens: Most tokens of the whole episode, prompt included.
        thought_chars: Longest thought, characters.
        thoughts: Whether every turn must have a thought.
        foreign: Greatest share of letters of another script, Greek ones not counted.
        similar: Share of common word sequences from which two episodes are near-duplicates.

    Raises:
        UsageError: A value out of range.
    """

    turns: int = 3
    calls: int = 30
    tokens: int = 32_000
    thought_chars: int = 4_000
    thoughts: bool = True
    foreign: float = 0.02
    similar: float = 0.8

    def __post_init__(self) -> None:
        """Check the values."""
        if min(self.turns, self.calls, self.tokens, self.thought_chars) < 1:
            raise UsageError(f"limits must be at least 1, got {self}")
        if not 0 <= self.foreign <= 1 or not 0 < self.similar <= 1:
            raise UsageError(
                "limits need foreign in [0, 1] and similar in (0, 1], got "
                f"{self.foreign} and {self.similar}"
            )


class FilterContext(NamedTuple):
    """What filters hold an episode against.

    Attributes:
        limits: What it may be.
        names: Entity id to all of its names.
        prompt_chars: Characters before the question: the system message.
    """

    limits: Limits
    names: Names
    prompt_chars: int = 0


Filter = Callable[[Rollout, FilterContext], str]
"""Returns why an episode is refused, or ``""``."""


def verdict(rollout: Rollout, bench: FilterContext) -> str:
    """Return the reason for which an episode is refused, or ``""``.

    Args:
        rollout: The episode.
        bench: What it is held against.
    """
    for check in FILTERS:
        if reason := check(rollout, bench):
            return reason
    return ""


def _answered(rollout: Rollout, _: FilterContext) -> str:
    ending = rollout.scored.trajectory.ending
    return "" if ending == "answered" else f"no answer: {ending}"


def _correct(rollout: Rollout, _: FilterContext) -> str:
    part = rollout.scored.score.parts.get("accuracy")
    if part is None:
        raise UsageError(
            "trajectories are chosen by the score part 'accuracy', got "
            f"{', '.join(sorted(rollout.scored.score.parts)) or 'none'}; use another scoring"
        )
    return "" if part.raw >= 1.0 else "wrong answer"


def _long_enough(rollout: Rollout, bench: FilterContext) -> str:
    trajectory = rollout.scored.trajectory
    proof = trajectory.question.certificate
    needed = min(bench.limits.turns, proof.min_calls + 1 if proof is not None else 1)
    return "too few turns" if len(trajectory.turns) < needed else ""


def _within(rollout: Rollout, bench: FilterContext) -> str:
    if rollout.calls > bench.limits.calls:
        return "too many calls"
    tokens = token_count(rollout.scored.trajectory, bench.prompt_chars)
    return "too many tokens" if tokens > bench.limits.tokens else ""


def _every_call_answered(rollout: Rollout, _: FilterContext) -> str:
    for turn in rollout.scored.trajectory.turns:
        given = [result.call_id for result in turn.results]
        made = [call.id for call in turn.calls]
        if given != made or len(made) != len(turn.parsed.calls):
            return "a call without an answer"
    return ""


def _no_loops(rollout: Rollout, _: FilterContext) -> str:
    """Refuse a call that was made before and answered; one that failed may be made again."""
    answered: set[bytes] = set()
    for turn in rollout.scored.trajectory.turns:
        for call, result in zip(turn.calls, turn.results, strict=True):
            key = msgspec.json.encode((call.name, call.arguments), order="deterministic")
            if key in answered:
                return "a repeated call"
            if not result.text.startswith(FAILED):
                answered.add(key)
    return ""


def _grounded(rollout: Rollout, _: FilterContext) -> str:
    """Refuse an episode in which a step of the gold path, or the answer, was never shown."""
    trajectory = rollout.scored.trajectory
    passages = {
        passage
        for turn in trajectory.turns
        for result in turn.results
        for passage in result.passages
    }
    if not all(shown(hop, passages) for hop in trajectory.question.path):
        return "evidence not shown"
    observed = [trajectory.question.text, *(turn.observation for turn in trajectory.turns)]
    for answer in trajectory.question.answers:
        if answer.kind != "value" and not any(mentions(text, answer.name) for text in observed):
            return "evidence not shown"
    return ""


def _without_leaks(rollout: Rollout, bench: FilterContext) -> str:
    found = leaks(rollout.scored.trajectory, bench.names)
    return f"leak: {found[0].kind}" if found else ""


def _language(rollout: Rollout, bench: FilterContext) -> str:
    text = "".join(turn.text for turn in rollout.scored.trajectory.turns)
    letters = sum(character.isalpha() for character in text)
    foreign = len(_FOREIGN.findall(text)) - len(_GREEK.findall(text))
    return "another language" if foreign > bench.limits.foreign * max(letters, 1) else ""


def _format(rollout: Rollout, bench: FilterContext) -> str:
    limits = bench.limits
    for turn in rollout.scored.trajectory.turns:
        if turn.parsed.problems or _CONTROL.search(turn.text):
            return "malformed"
        if limits.thoughts and not turn.parsed.thought:
            return "no thought"
        if len(turn.parsed.thought) > limits.thought_chars:
            return "a thought too long"
    return ""


FILTERS: tuple[Filter, ...] = (
    _answered,
    _correct,
    _every_call_answered,
    _format,
    _language,
    _long_enough,
    _within,
    _no_loops,
    _grounded,
    _without_leaks,
)
"""All filters of one episode, in the order in which they are asked."""


def token_count(trajectory: Trajectory, prompt_chars: int = 0) -> int:
    """Return about how many tokens an episode has, prompt included.

    Args:
        trajectory: The episode.
        prompt_chars: Characters of the system message.
    """
    chars = prompt_chars + len(trajectory.question.text)
    chars += sum(len(turn.text) + len(turn.observation) for turn in trajectory.turns)
    return chars // CHARS_PER_TOKEN


def mistaken(turn: Turn) -> bool:
    """Return whether a turn is one that nobody should imitate: a call that was refused.

    Args:
        turn: The turn.
    """
    return bool(turn.parsed.problems) or any(one.status == "bad_call" for one in turn.results)
