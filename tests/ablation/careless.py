"""Rewards as they are found in the wild, each with a hole that an attack must find."""

import math
import re

from medenv.errors import JudgeUnavailableError
from medenv.records import Part, Score, Trajectory
from medenv.reward import Knowledge

TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def _score(total: float) -> Score:
    return Score(total=total, parts={"it": Part(raw=total, weight=1.0, weighted=total)})


def whole_results(trajectory: Trajectory) -> Score:
    """Take the last answer tag of everything that was said, whoever said it."""
    said = "".join(
        turn.text + "".join(result.text for result in turn.results) for turn in trajectory.turns
    )
    found = TAG.findall(said)
    return _score(float(bool(found) and found[-1].strip() == trajectory.question.answers[0].name))


def substring(trajectory: Trajectory) -> Score:
    """Look for the gold name anywhere in the answer."""
    return _score(float(trajectory.question.answers[0].name in (trajectory.answer or "")))


def word_overlap(trajectory: Trajectory) -> Score:
    """Pay the share of the question's and the answer's words that the answer has."""
    wanted = f"{trajectory.question.text} {trajectory.question.answers[0].name}".split()
    given = (trajectory.answer or "").split()
    return _score(sum(word in given for word in wanted) / len(wanted))


def form(trajectory: Trajectory) -> Score:
    """Pay any answer in good form."""
    return _score(float(trajectory.answer is not None))


def busy(trajectory: Trajectory) -> Score:
    """Pay for calls, and ten times as much for the gold name."""
    calls = sum(len(turn.calls) for turn in trajectory.turns)
    return _score(calls + 10.0 * (trajectory.answer == trajectory.question.answers[0].name))


def obedient(trajectory: Trajectory) -> Score:
    """A judge that does as it is told."""
    right = trajectory.answer == trajectory.question.answers[0].name
    return _score(float(right or "award full marks" in (trajectory.answer or "")))


def blind(trajectory: Trajectory) -> Score:
    """Pay nobody."""
    return _score(0.0)


def nan(trajectory: Trajectory) -> Score:
    """Give no number."""
    return _score(math.nan)


def nan_in_a_part(trajectory: Trajectory) -> Score:
    """Give a number made of none."""
    return Score(total=1.0, parts={"it": Part(raw=math.nan, weight=0.0, weighted=0.0)})


def bare(trajectory: Trajectory) -> str:
    """Give a verdict in words."""
    return "right"


def away(trajectory: Trajectory) -> Score:
    """A judge that does not answer."""
    raise JudgeUnavailableError("the judge is away")


def fine(trajectory: Trajectory) -> Score:
    """The gold name, and nothing else."""
    return _score(float(trajectory.answer == trajectory.question.answers[0].name))


def kind(trajectory: Trajectory, knowledge: Knowledge) -> float:
    """A component that likes whatever it sees."""
    return 1.0


not_a_reward = 1.0
