"""Rewrite thoughts, and only thoughts, with a model.

A rewriting is accepted only as a whole: every call, observation and answer is byte-identical, every
thought is present, and the leak detector finds nothing. Else the episode is unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from medenv.dialects.base import Dialect, neutralise
from medenv.errors import TokensExhaustedError
from medenv.llm.endpoint import Endpoint
from medenv.records import Message, Trajectory, Turn
from medenv.trajectories.leaks import Names, leaks

_THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_ASK = (
    "You edit the private notes of a medical researcher. Rewrite the note below in your own words: "
    "clear, natural, at most {words} words. Keep every name exactly as it is written, add no fact "
    "and no name, and do not say what comes later. Reply with the note alone.\n\n"
    "Question: {question}\n\nWhat the tools have shown so far:\n{shown}\n\n"
    "What the researcher does next: {action}\n\nNote:\n{thought}"
)
SHOWN_CHARS = 1_500
"""Length of the last observation in the request, characters."""


async def rewritten(
    trajectory: Trajectory, endpoint: Endpoint, dialect: Dialect, names: Names
) -> tuple[Trajectory, str]:
    """Return the rewritten episode, or the original with a reason.

    Args:
        trajectory: The episode.
        endpoint: The model that rewrites.
        dialect: Text format of the episode.
        names: The names of the entities on its gold path.

    Returns:
        The episode, and the refusal reason, or ``""``.

    Raises:
        ModelUnavailableError: The model did not answer in any attempt.
    """
    asked = [_request(trajectory, at) for at in range(len(trajectory.turns))]
    if not any(asked):
        return trajectory, "no thoughts to rewrite"
    thoughts = [await _thought(endpoint, request) for request in asked]
    if any(request and not thought for request, thought in zip(asked, thoughts, strict=True)):
        return trajectory, "a thought is missing"
    turns = [
        with_thought(turn, thought, dialect)
        for turn, thought in zip(trajectory.turns, thoughts, strict=True)
    ]
    made = msgspec.structs.replace(trajectory, turns=tuple(turns))
    reason = refusal(trajectory, made, names)
    return (trajectory, reason) if reason else (made, "")


async def _thought(endpoint: Endpoint, request: list[Message] | None) -> str:
    if request is None:
        return ""
    try:
        text = await endpoint.acomplete(request)
    except TokensExhaustedError:  # keep this thought
        return ""
    return " ".join(_THOUGHT.sub(r"\1", text).split())


def _request(trajectory: Trajectory, at: int) -> list[Message] | None:
    """Return the model request for a turn, or None if the turn has no thought."""
    turn = trajectory.turns[at]
    found = _THOUGHT.search(turn.text)
    if found is None:
        return None
    shown = trajectory.turns[at - 1].observation[-SHOWN_CHARS:] if at else "nothing yet"
    values: Mapping[str, str] = {
        "words": str(max(30, 2 * len(found[1].split()))),
        "question": trajectory.question.text,
        "shown": shown,
        "action": turn.text[found.end() :].strip(),
        "thought": found[1],
    }
    return [{"role": "user", "content": _ASK.format_map(values)}]


def with_thought(turn: Turn, thought: str, dialect: Dialect) -> Turn:
    """Return a turn with another thought; keep the rest of its text.

    Args:
        turn: The turn.
        thought: The new thought; an empty one changes nothing.
        dialect: Its text format.
    """
    found = _THOUGHT.search(turn.text)
    if found is None or not thought:
        return turn
    text = f"{turn.text[: found.start(1)]}{neutralise(thought)}{turn.text[found.end(1) :]}"
    return msgspec.structs.replace(turn, text=text, parsed=dialect.parse(text))


def refusal(before: Trajectory, after: Trajectory, names: Names) -> str:
    """Return why to refuse a rewriting, or ``""``.

    Args:
        before: The episode.
        after: The rewriting.
        names: The names of the entities on its gold path.
    """
    if [_deeds(turn) for turn in before.turns] != [_deeds(turn) for turn in after.turns]:
        return "something besides a thought has changed"
    if before.answer != after.answer or before.question != after.question:
        return "something besides a thought has changed"
    had = [bool(turn.parsed.thought) for turn in before.turns]
    if had != [bool(turn.parsed.thought) for turn in after.turns]:
        return "a thought is missing"
    if any(turn.parsed.problems for turn in after.turns):
        return "malformed"
    found = leaks(after, names)
    return f"leak: {found[0].kind}" if found else ""


def _deeds(turn: Turn) -> tuple[object, ...]:
    """Return a turn's fixed parts, including its text except the thought."""
    frame: Sequence[str] = _THOUGHT.split(turn.text)[::2]
    return (
        tuple(frame), turn.parsed.calls, turn.parsed.answer, turn.calls, turn.results,
        turn.observation,
    )  # fmt: skip
