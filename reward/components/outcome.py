"""Components of the outcome: is the answer right, and could every turn be read."""

from __future__ import annotations

import re
from functools import lru_cache

from medenv.records import Trajectory
from medenv.reward.answers.choices import judge_choice, picks, right_picks
from medenv.reward.answers.equivalence import Match, judge_answer, owners_of, read_list
from medenv.reward.answers.names import normalise
from medenv.reward.answers.presentation import readings, without_subject
from medenv.reward.answers.ranking import is_patient, ranked
from medenv.reward.components.contract import ComponentScore, Knowledge, final_answer

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
_SEPARATORS = tuple(map(re.compile, (r"[\n;]+", ",", r"\s+or\s+|\s*[/|]\s*", r"\s+and\s+")))
_LONGEST_ABSTENTION = 160


def accuracy(trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
    """Pay 1 for an answer that is a name of a gold entity, `knowledge.near` for a misspelt one.

    A question that asks for all of its answers is right only by a list of them all, and nothing
    else on it; of other questions one answer is right, and so is a list of right ones. Where there
    is no answer, saying so is right. Of a multiple choice the right option's letter or text is
    right, see `medenv.reward.answers.choices`. Of a patient's diagnoses the first one counts.

    Known exploit: naming many candidates, or burying the gold name in a long answer; both are
    wrong, since the whole answer must be a name.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names and the price of a near miss.
    """
    answer, question = final_answer(trajectory), trajectory.question
    gold = question.answers
    if question.rubric:
        return ComponentScore(0.0, "a judge grades it by its rubric")
    if not gold:
        right = answer is not None and is_abstention(answer)
        return ComponentScore(
            float(right), f"there is no answer, which was {'' if right else 'not '}said"
        )
    if question.options:
        return _paid(judge_choice(answer, question), knowledge.near)
    if is_patient(question) and answer is not None:
        answer = next(iter(ranked(answer)), "")
    all_of = len(gold) > 1 and question.asks_for_all
    match = judge_answer(answer, gold, knowledge.names, all_of=all_of)
    return _paid(match, knowledge.near)


@lru_cache(maxsize=1 << 12)
def _paid(match: Match, near: float) -> ComponentScore:
    """Return what a verdict pays; several components ask for the same one."""
    paid = near if match.kind == "near" else float(match.right)
    return ComponentScore(paid, f"{match.kind}: {match.reason}")


def format_(trajectory: Trajectory, _: Knowledge) -> ComponentScore:
    """Pay 1 where every policy turn was well formed and the last one answered.

    Known exploit: a flawless form around a wrong or empty answer; the gate `correct` keeps it from
    paying.

    Args:
        trajectory: A finished episode.
    """
    answer = final_answer(trajectory)
    if answer is None or not answer.strip():
        return ComponentScore(0.0, "ended without an answer")
    for number, turn in enumerate(trajectory.turns):
        if turn.parsed.problems:
            return ComponentScore(0.0, f"turn {number}: {turn.parsed.problems[0]}")
    return ComponentScore(1.0, f"{len(trajectory.turns)} well-formed turns")


def list_f1(trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
    """Pay the F1 between the answers listed and the gold answers, where all are asked for.

    Where any answer will do it is `accuracy`: listing is then hedging. An entity listed twice
    counts once for and twice against.

    Known exploit: listing everything; each wrong item lowers precision, and a list far longer
    than the gold one pays nothing.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names.
    """
    answer, question = final_answer(trajectory), trajectory.question
    if len(question.answers) < 2 or not question.asks_for_all or answer is None:
        return accuracy(trajectory, knowledge)
    if question.options:
        picked, right = len(picks(answer, question)), len(right_picks(answer, question))
        raw = 2 * right / (picked + len(question.answers))
    else:
        raw = read_list(answer, question.answers, knowledge.names).f1(len(question.answers))
    return ComponentScore(raw, f"F1 {raw:.2f} against {len(question.answers)} gold answers")


def kinship(trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
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
        return ComponentScore(0.0, "names no entity, or more than one")
    (named,) = owners
    parents = knowledge.parents
    if any(entity.id in parents.get(named, ()) for entity in gold):
        return ComponentScore(CHILD_CREDIT, f"{named} is a kind of the gold answer")
    if any(named in parents.get(entity.id, ()) for entity in gold):
        return ComponentScore(PARENT_CREDIT, f"the gold answer is a kind of {named}")
    return ComponentScore(0.0, f"{named} is no relative of the gold answer")


@lru_cache(maxsize=1 << 12)
def is_abstention(answer: str) -> bool:
    """Return whether an answer says that there is none, in one of a closed set of phrases.

    Args:
        answer: The answer that the policy wrote.
    """
    return len(answer) < _LONGEST_ABSTENTION and any(
        normalise(text) in _ABSTENTIONS
        for reading in readings(answer)
        for text in (reading.text, without_subject(reading.text))
    )


def entities_in(answer: str) -> frozenset[str]:
    """Return the canonical forms of what an answer lists, by every separator that a list may have.

    Args:
        answer: The answer that the policy wrote.
    """
    pieces = {answer}
    for separator in _SEPARATORS:
        pieces |= {part for piece in pieces for part in separator.split(piece)}
    return frozenset(map(normalise, pieces)) - {""}
