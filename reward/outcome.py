"""Components of the outcome: is the answer right, and could every turn be read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from medenv.records import Entity, Trajectory
from medenv.reward.contract import Knowledge, Value, final_answer
from medenv.reward.equivalence import MAX_CHARS, judge_answer, owners_of
from medenv.reward.names import EntityNames, normalise

PARENT_CREDIT = 0.25
"""What `kinship` pays for the gold entity's direct parent: true, but less than was asked."""

CHILD_CREDIT = 0.5
"""What `kinship` pays for a direct child of the gold entity: more than was asked, and unproved."""

_ABSTENTIONS = frozenset(
    normalise(phrase)
    for phrase in (
        "unknown",
        "I do not know",
        "I don't know",
        "not known",
        "cannot be determined",
        "it cannot be determined",
        "insufficient evidence",
        "no answer",
        "unanswerable",
    )
)
_LINES = re.compile(r"[\n;]+")
_WORDS = (re.compile(r"\s+or\s+|\s*[/|]\s*"), re.compile(r"\s+and\s+"))
_MAX_JOINED = 4
_MAX_LISTED = 4


def accuracy(trajectory: Trajectory, knowledge: Knowledge) -> Value:
    """Pay 1 for an answer that is a name of a gold entity, `knowledge.near` for a misspelt one.

    Where there are several gold answers, one of them is right, and so is the list of them all; any
    other list is not. Where there is none, saying so is right.

    Known exploit: naming many candidates, or burying the gold name in a long answer; both are
    wrong, since the whole answer must be a name.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names and the price of a near miss.
    """
    answer, gold = final_answer(trajectory), trajectory.question.answers
    if not gold:
        right = answer is not None and is_abstention(answer)
        return Value(float(right), f"there is no answer, which was {'' if right else 'not '}said")
    match = judge_answer(answer, gold, knowledge.names)
    said = f"{match.kind}: {match.reason}"
    if match.right:
        return Value(knowledge.near if match.kind == "near" else 1.0, said)
    if len(gold) > 1 and f1(answer or "", gold, knowledge.names) == 1.0:
        return Value(1.0, "all of them")
    return Value(0.0, said)


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


def list_f1(trajectory: Trajectory, knowledge: Knowledge) -> Value:
    """Pay the F1 between the answers listed and the gold answers.

    With one gold answer it is `accuracy`: listing is then hedging. An entity listed twice counts
    once for and twice against.

    Known exploit: listing everything; each wrong item lowers precision, and a list far longer
    than the gold one pays nothing.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names.
    """
    answer, gold = final_answer(trajectory), trajectory.question.answers
    if len(gold) < 2 or answer is None:
        return accuracy(trajectory, knowledge)
    raw = f1(answer, gold, knowledge.names)
    return Value(raw, f"F1 {raw:.2f} against {len(gold)} gold answers")


def kinship(trajectory: Trajectory, knowledge: Knowledge) -> Value:
    """Pay 1 for the gold entity, and a declared part for its direct parent or child.

    Known exploit: naming a general class every time; only the direct parent pays, and a
    quarter. It is an outcome and not behind `correct`, so give it less weight than `accuracy`.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names and the ontology's direct parents.
    """
    right = accuracy(trajectory, knowledge)
    answer, gold = final_answer(trajectory), trajectory.question.answers
    if right.raw == 1.0 or answer is None or knowledge.names is None:
        return right
    owners = owners_of(answer, gold, knowledge.names)
    if len(owners) != 1:
        return Value(0.0, "names no entity, or more than one")
    (named,) = owners
    parents = knowledge.parents
    if any(entity.id in parents.get(named, ()) for entity in gold):
        return Value(CHILD_CREDIT, f"{named} is a kind of the gold answer")
    if any(named in parents.get(entity.id, ()) for entity in gold):
        return Value(PARENT_CREDIT, f"the gold answer is a kind of {named}")
    return Value(0.0, f"{named} is no relative of the gold answer")


def is_abstention(answer: str) -> bool:
    """Return whether an answer says that there is none, in one of a closed set of phrases.

    Args:
        answer: The answer that the policy wrote.
    """
    return len(answer) < 80 and normalise(answer) in _ABSTENTIONS


def entities_in(answer: str) -> frozenset[str]:
    """Return the canonical forms of what an answer lists, by every separator that a list may have.

    Args:
        answer: The answer that the policy wrote.
    """
    pieces = {answer}
    for separator in (_LINES, re.compile(","), *_WORDS):
        pieces |= {part for piece in pieces for part in separator.split(piece)}
    return frozenset(map(normalise, pieces)) - {""}


def f1(answer: str, gold: Sequence[Entity], names: EntityNames | None) -> float:
    """Return the F1 between the entities that an answer lists and the gold ones.

    Args:
        answer: Names in lines, or parted by semicolons, commas, "and" or "or".
        gold: The gold answers.
        names: All names known.

    Returns:
        ``2 * hits / (listed + gold)`` in [0, 1]; 0 for more than four times as many items as
        there are gold answers.
    """
    if len(answer) > MAX_CHARS * len(gold):
        return 0.0
    items = _items(answer, gold, names)
    if len(items) > _MAX_LISTED * len(gold):
        return 0.0
    hits = {
        entity.id for entity in gold for item in items if judge_answer(item, (entity,), names).right
    }
    return 2 * len(hits) / (len(items) + len(gold))


def _items(answer: str, gold: Sequence[Entity], names: EntityNames | None) -> list[str]:
    """Split an answer into the names listed, leaving together what is one name with commas."""
    items: list[str] = []
    for line in _LINES.split(answer):
        parts = [part for part in line.split(",") if part.strip()]
        while parts and len(items) <= _MAX_LISTED * len(gold):
            taken = min(_MAX_JOINED, len(parts))
            while taken > 1 and not judge_answer(",".join(parts[:taken]), gold, names).right:
                taken -= 1
            items.extend(_split(",".join(parts[:taken]), gold, names, _WORDS))
            parts = parts[taken:]
    return items


def _split(
    text: str,
    gold: Sequence[Entity],
    names: EntityNames | None,
    separators: tuple[re.Pattern[str], ...],
) -> list[str]:
    """Split a text at the first separator and its parts at the next, but never inside a name."""
    if not separators or judge_answer(text, gold, names).right:
        return [text]
    pieces = filter(str.strip, separators[0].split(text))
    return [item for piece in pieces for item in _split(piece, gold, names, separators[1:])]
