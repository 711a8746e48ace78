"""Components of confidence: does the policy know what it knows."""

from __future__ import annotations

import re

from medenv.records import Trajectory
from medenv.reward.components.contract import ComponentScore, Knowledge, final_answer, notes_of
from medenv.reward.components.outcome import accuracy, is_abstention

ABSTENTION_UTILITY = 0.3
"""What abstaining is worth where a right answer is worth 1: answering pays from 30 % upwards."""

_CONFIDENCE = re.compile(
    r"<confidence>\s*([0-9]{1,3}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})(?:\s*(%))?\s*</confidence>"
)


def calibration(trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
    """Pay ``1 - (confidence - correct)^2``, the Brier score turned round.

    The confidence is what the policy wrote once among the notes of the turn of its answer, as
    ``<confidence>0.8</confidence>`` or ``<confidence>80%</confidence>``; one in a thought is not
    read. In expectation the value is greatest for the true probability of being right.

    Known exploit: a wrong answer given with confidence 0 pays in full; it is not behind `correct`,
    so give it less weight than `accuracy`.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names.

    Source: Brier 1950, Verification of forecasts expressed in terms of probability.
    """
    if final_answer(trajectory) is None:
        return ComponentScore(0.0, "ended without an answer")
    stated = stated_confidence(trajectory)
    if stated is None:
        return ComponentScore(0.0, "no confidence in [0, 1] was stated, or more than one")
    correct = accuracy(trajectory, knowledge).raw == 1.0
    return ComponentScore(
        1.0 - (stated - correct) ** 2,
        f"confidence {stated:g} in a {'right' if correct else 'wrong'} answer",
    )


def abstention(trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
    """Pay 1 for a right answer, a declared part for abstaining and nothing for a wrong answer.

    Known exploit: abstaining every time; it pays less than answering wherever the policy is right
    more often than `ABSTENTION_UTILITY`.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names.
    """
    right = accuracy(trajectory, knowledge)
    answer = final_answer(trajectory)
    if right.raw == 1.0 or answer is None or not is_abstention(answer):
        return right
    return ComponentScore(ABSTENTION_UTILITY, "abstained")


def stated_confidence(trajectory: Trajectory) -> float | None:
    """Return the confidence that the policy stated beside its answer.

    Args:
        trajectory: A finished episode.

    Returns:
        A probability, or None where there is none, more than one, or one outside [0, 1].
    """
    if final_answer(trajectory) is None:
        return None
    marks = _CONFIDENCE.findall(notes_of(trajectory.turns[-1]))
    if len(marks) != 1:
        return None
    number, percent = marks[0]
    stated = float(number) / (100 if percent else 1)
    return stated if stated <= 1.0 else None
