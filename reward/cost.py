"""The component of cost: were the calls needed, and the words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rapidfuzz.fuzz import ratio

from medenv.records import ToolCall, Trajectory
from medenv.reward.contract import Knowledge, Value, final_answer
from medenv.reward.equivalence import meaning

MAX_EXTRA_CALLS = 8
"""Calls beyond the fewest needed at which `efficiency` reaches 0."""

TURN_TOKENS = 512
"""Tokens of its own that a policy may write for each needed turn without a charge."""

CALL_TOKENS = 512
"""Tokens beyond that which cost as much as one call too many."""

REPEAT_SIMILARITY = 90.0
"""Token-sort ratio in [0, 100] from which a query counts as a repeat of an earlier one."""

COMPARED_CHARS = 500
"""Characters of a call's text that are compared with earlier calls'."""

_Kind = str | tuple[str, str]
"""All of a call that a repeat must share with it to the letter: the tool, and settings if any."""

_Meaning = tuple[str, str, tuple[str, ...]]
_NUMBERS = re.compile(r"\d+|\b[^\W\d_]\b")


def efficiency(trajectory: Trajectory, _: Knowledge) -> Value:
    """Pay 1 up to the fewest calls that the question needs, falling to 0 with calls beyond.

    The value is ``1 - min(1, (extra + wordy) / MAX_EXTRA_CALLS)`` with ``extra = max(0, calls +
    repeats - min_calls)``: a call that repeats an earlier one counts twice. Calls that the outside
    world failed do not count, and fewer calls than needed pay no more than the needed ones.
    ``wordy = max(0, tokens - TURN_TOKENS * (min_calls + 1)) / CALL_TOKENS`` charges what the
    policy wrote beyond the turns needed, one of them for the answer; where nobody counted tokens
    it is 0.

    Known exploit: answering at once and thinking nothing; the gate `correct` and the free amounts
    keep that from paying more than research does.

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
    repeats = find_repeats(calls).count(True)
    extra += repeats
    charge = float(extra) if extra > 0 else 0.0
    said = f"{len(calls)} calls, {repeats} repeats, where {needed} suffice"
    tokens, free = 0, TURN_TOKENS * (needed + 1)
    for turn in trajectory.turns:
        tokens += turn.tokens
    if tokens > free:
        charge += (tokens - free) / CALL_TOKENS
        said += f", {tokens} tokens where {free} are free"
    return Value(1.0 - charge / MAX_EXTRA_CALLS if charge < MAX_EXTRA_CALLS else 0.0, said)


def charged_calls(trajectory: Trajectory) -> list[ToolCall]:
    """Return the calls that the policy made, without those that the outside world failed.

    Args:
        trajectory: A finished episode.
    """
    calls: list[ToolCall] = []
    for turn in trajectory.turns:
        for result in turn.results:
            if result.status == "unavailable":
                failed = {one.call_id for one in turn.results if one.status == "unavailable"}
                calls += [call for call in turn.calls if call.id not in failed]
                break
        else:
            calls += turn.calls
    return calls


def find_repeats(calls: Sequence[ToolCall]) -> list[bool]:
    """Return for each call whether it asks again what an earlier call asked.

    A repeat calls the same tool with the same settings and a text that equals an earlier one but
    for word order or a few letters. Numbers, single letters and the parts of words that carry
    their meaning must agree: "KCNQ2 epilepsy" does not repeat "KCNQ3 epilepsy", nor "hypokalemia"
    "hyperkalemia".

    Args:
        calls: Calls in the order made.
    """
    asked: dict[_Kind, list[str]] = {}
    repeats = []
    for call in calls:
        kind, text = _asked(call)
        earlier = asked.setdefault(kind, [])
        for other in earlier:
            if _is_repeat(text, other):
                repeats.append(True)
                break
        else:
            earlier.append(text)
            repeats.append(False)
    return repeats


def _is_repeat(text: str, other: str) -> bool:
    """Return whether a text asks what the other one asked, or nearly so."""
    if text == other:
        return True
    shorter, longer = len(text), len(other)
    if shorter > longer:
        shorter, longer = longer, shorter
    # Were all letters of the shorter one in the longer, would they be enough?
    enough = 200 * shorter >= REPEAT_SIMILARITY * (shorter + longer)
    return enough and _is_near(text, other)


def _is_near(text: str, other: str) -> bool:
    """Return whether texts are the same but for word order or letters that change no meaning."""
    similar = ratio(_ordered(text), _ordered(other), score_cutoff=REPEAT_SIMILARITY)
    return similar > 0 and _telling(text) == _telling(other)


def _ordered(text: str) -> str:
    return " ".join(sorted(text.split(" ")))


def _asked(call: ToolCall) -> tuple[_Kind, str]:
    """Return a call's kind and its text."""
    arguments = call.arguments
    if len(arguments) == 1:
        (only,) = arguments.values()
        if isinstance(only, str):  # as most calls are
            return call.name, _plain(only[:COMPARED_CHARS])
    texts: list[str] = []
    settings: list[tuple[str, object]] = []
    for name, value in sorted(arguments.items()):
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            texts.extend(value)
        else:
            settings.append((name, value))
    text = _plain(" ".join(texts)[:COMPARED_CHARS])
    return (call.name, repr(settings)) if settings else call.name, text


@lru_cache(maxsize=1 << 14)
def _plain(text: str) -> str:
    """Return a text without its case and with one space between words."""
    return " ".join(text.casefold().split())


@lru_cache(maxsize=1 << 14)
def _telling(text: str) -> tuple[tuple[str, ...], tuple[_Meaning, ...]]:
    """Return the numbers, single letters and meanings that tell two questions apart, sorted."""
    meanings = sorted(meaning(word) for word in text.split() if len(word) >= 7)
    return tuple(sorted(_NUMBERS.findall(text))), tuple(meanings)
