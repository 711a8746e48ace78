"""The component of cost: calls, repeated questions and tokens beyond what a question needs."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice

from rapidfuzz.fuzz import ratio

from medenv.records import ToolCall, Trajectory
from medenv.reward.answers.equivalence import meaning
from medenv.reward.components.contract import ComponentScore, Knowledge, final_answer, once

MAX_EXTRA_CALLS = 8
"""Calls beyond the fewest needed at which `efficiency` reaches 0."""

FREE_CALLS = 4
"""Calls that cost nothing where no certificate says how few a question needs."""

TURN_TOKENS = 512
"""Tokens of its own that a policy may write for each needed turn without a charge."""

CALL_TOKENS = 512
"""Tokens beyond that which cost as much as one call too many."""

REPEAT_SIMILARITY = 90.0
"""Token-sort ratio in [0, 100] from which a question counts as a repeat of an earlier one."""

COMPARED_CHARS = 500
"""Characters of a call's text that are compared with earlier calls'."""

COMPARED_QUESTIONS = 32
"""Different questions, the latest of a kind, that a question is compared with letter by letter."""

BATCHES = frozenset(("ids", "passage_ids", "queries", "query", "urls"))
"""Arguments of which a list asks one question an item; any other list is one question."""

_Kind = str | tuple[str, str]
_EDGES = ".,;:!?\"'()[]{}“”‘’"
_EMPTY = frozenset(
    (
        *("about", "an", "and", "are", "by", "can", "does", "for", "from", "how", "in", "is", "it"),
        *("of", "on", "or", "please", "that", "the", "there", "these", "this", "to", "was", "what"),
        *("where", "which", "who", "with"),
    )
)


_Meaning = tuple[str, str, tuple[str, ...]]
_NUMBERS = re.compile(r"\d+|\b[^\W\d_]\b")


def efficiency(trajectory: Trajectory, _: Knowledge) -> ComponentScore:
    """Pay 1 up to the fewest calls that the question needs, falling to 0 with what is asked beyond.

    The value is ``1 - min(1, (extra + wordy) / MAX_EXTRA_CALLS)`` with ``extra = max(0, asked +
    repeats - min_calls)``. A call asks one question, a call with a list of queries as many as the
    list is long, and a question that repeats an earlier one counts twice. Calls that the outside
    world failed do not count, and fewer calls than needed pay no more than the needed ones.
    ``wordy = max(0, tokens - TURN_TOKENS * (min_calls + 1)) / CALL_TOKENS`` charges what the
    policy wrote beyond the turns needed, one of them for the answer; where nobody counted tokens
    it is 0. A question without a certificate states no ``min_calls``: it is taken to be
    `FREE_CALLS`.

    Known exploit: answering at once and thinking nothing; the gate `correct` and the free amounts
    keep that from paying more than research does.

    Args:
        trajectory: A finished episode.
    """
    if final_answer(trajectory) is None:
        return ComponentScore(0.0, "ended without an answer")
    asked, repeated = spent_in(trajectory)
    repeats = sum(repeated.values()) if repeated else 0
    proof = trajectory.question.certificate
    needed = FREE_CALLS if proof is None else proof.min_calls
    extra = asked + repeats - needed
    charge = float(extra) if extra > 0 else 0.0
    said = f"{asked} questions, {repeats} repeats, where {needed} suffice"
    tokens, free = 0, TURN_TOKENS * (needed + 1)
    for turn in trajectory.turns:
        tokens += turn.tokens
    if tokens > free:
        charge += (tokens - free) / CALL_TOKENS
        said += f", {tokens} tokens where {free} are free"
    return ComponentScore(1.0 - charge / MAX_EXTRA_CALLS if charge < MAX_EXTRA_CALLS else 0.0, said)


@once
def spent_in(trajectory: Trajectory) -> tuple[int, dict[str, int]]:
    """Return the number of questions that the policy asked, and the repeats among them.

    A repeat asks the same tool with the same settings a text that equals an earlier one but for
    word order, repeated and empty words, or a few letters. Numbers, single letters and the parts of
    words that carry their meaning must agree: "KCNQ2 epilepsy" does not repeat "KCNQ3 epilepsy",
    nor "hypokalemia" "hyperkalemia". Equal words are found however far back, similar ones among
    the last `COMPARED_QUESTIONS` different ones, so that the time is linear.

    Args:
        trajectory: A finished episode.

    Returns:
        The number of questions, and call id to how many of its questions repeat an earlier one,
        where any does.
    """
    known: dict[_Kind, dict[str, None]] = {}
    repeats: dict[str, int] = {}
    asked = 0
    for call in charged_calls(trajectory):
        for kind, words in questions_of(call):
            asked += 1
            earlier = known.get(kind)
            if earlier is None:
                known[kind] = {words: None}
                continue
            repeated = words in earlier
            if not repeated:
                many = len(earlier) > COMPARED_QUESTIONS
                for other in islice(reversed(earlier), COMPARED_QUESTIONS) if many else earlier:
                    if _is_near(words, other):
                        repeated = True
                        break
                earlier[words] = None
            if repeated:
                repeats[call.id] = repeats.get(call.id, 0) + 1
    return asked, repeats


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


def _is_near(words: str, other: str) -> bool:
    """Return whether words are the same but for letters that change no meaning."""
    shorter, longer = len(words), len(other)
    if shorter > longer:
        shorter, longer = longer, shorter
    # Were all letters of the shorter one in the longer, would they be enough?
    if 200 * shorter < REPEAT_SIMILARITY * (shorter + longer):
        return False
    similar = ratio(words, other, score_cutoff=REPEAT_SIMILARITY)
    return similar > 0 and _telling(words) == _telling(other)


def questions_of(call: ToolCall) -> list[tuple[_Kind, str]]:
    """Return what a call asks: one question, or one for each item of a list in `BATCHES`.

    Args:
        call: A call.

    Returns:
        For each question all that a repeat must share with it to the letter, which is the tool with
        its settings, and its different words, sorted.
    """
    arguments = call.arguments
    if len(arguments) == 1:
        (only,) = arguments.values()
        if isinstance(only, str):  # as most calls are
            return [(call.name, _words(only[:COMPARED_CHARS]))]
    texts: list[str] = []
    settings: list[tuple[str, object]] = []
    batch: list[str] = []
    for name, value in sorted(arguments.items()):
        if isinstance(value, str):
            texts.append(value)
        elif name in BATCHES and isinstance(value, list):
            batch.extend(one if isinstance(one, str) else repr(one) for one in value)
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            texts.extend(value)
        else:
            settings.append((name, value))
    kind: _Kind = (call.name, repr(settings)) if settings else call.name
    shared = " ".join(texts)[:COMPARED_CHARS]
    if not batch:
        return [(kind, _words(shared))]
    return [(kind, _words(f"{one[:COMPARED_CHARS]} {shared}")) for one in batch]


@lru_cache(maxsize=1 << 14)
def _words(text: str) -> str:
    """Return the different words of a text that are not empty, without case, sorted."""
    words = {word.strip(_EDGES) for word in text.casefold().split()} - {""}
    return " ".join(sorted(words - _EMPTY or words))


@lru_cache(maxsize=1 << 14)
def _telling(text: str) -> tuple[tuple[str, ...], tuple[_Meaning, ...]]:
    """Return the numbers, single letters and meanings that tell two questions apart, sorted."""
    meanings = sorted(meaning(word) for word in text.split() if len(word) >= 7)
    return tuple(sorted(_NUMBERS.findall(text))), tuple(meanings)
