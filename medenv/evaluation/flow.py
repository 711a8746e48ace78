"""Where episodes are lost, stage by stage: each failure class keeps some from the next stage."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from medenv.evaluation.failures import FailureClass
from medenv.records import Record


class Stage(Record, frozen=True, kw_only=True):
    """A stage on the way to a right answer.

    Args:
        name: What the episodes that reach it have done.
        episodes: Number of episodes that reach it.
        lost: Failure class to the number of episodes that it keeps from the next stage; classes
            without episodes are left out.
    """

    name: str
    episodes: int
    lost: dict[str, int]


ALL, ANSWERED, RIGHT = "all episodes", "answered", "right"

STAGES: tuple[tuple[str, tuple[FailureClass, ...]], ...] = (
    (ALL, (FailureClass.INFRASTRUCTURE, FailureClass.MALFORMED, FailureClass.RAN_OUT)),
    (ANSWERED, (FailureClass.UNKNOWN, FailureClass.NEVER_SEARCHED)),
    (
        "searched for the topic",
        (FailureClass.TOOL_FAILURE, FailureClass.NO_EVIDENCE, FailureClass.NOT_RETRIEVED),
    ),
    ("evidence retrieved", (FailureClass.NOT_OPENED,)),
    ("evidence shown", (FailureClass.NOT_USED,)),
    ("evidence used", (FailureClass.STOPPED_ON_THE_WAY, FailureClass.WRONG_OF_SEVERAL)),
    (RIGHT, ()),
)
"""Each stage, and the classes that keep episodes from the next one."""

LOST_BEFORE: Mapping[FailureClass, str] = {
    **{why: after for (_, lost), (after, _) in pairwise(STAGES) for why in lost},
    FailureClass.UNKNOWN: RIGHT,
}
"""Failure class to the stage that its episodes miss."""


def flow_of(failures: Mapping[str, int], episodes: int, *, certified: bool = True) -> list[Stage]:
    """Return how many episodes reach each stage, and how many each class keeps from the next.

    A right episode reaches every stage, whatever it was shown; how many right answers were shown
    every step of the proof is the measure ``"shown_proof"``.

    Args:
        failures: Failure class to its number of episodes.
        episodes: Number of all episodes, missing ones included.
        certified: Whether any question has a certificate. Without one the stages of the evidence
            cannot be told apart and are left out.
    """
    stages = []
    for name, classes in STAGES:
        if certified or name in (ALL, ANSWERED, RIGHT):
            lost = {why.value: failures[why] for why in classes if failures.get(why)}
            stages.append(Stage(name=name, episodes=episodes, lost=lost))
            episodes -= sum(lost.values())
    return stages
