"""Where episodes are lost: every class at one stage, and what is left over is right."""

from __future__ import annotations

import itertools

import msgspec

from medenv.evaluation.failures import FailureClass, failure_of
from medenv.evaluation.flow import LOST_BEFORE, STAGES, Stage, flow_of
from medenv.evaluation.summary import summarise, with_missing
from medenv.records import Scored

from .test_failures import SCRIPTS, answer, asked, first, played, second


def episodes() -> list[Scored]:
    """Three scripted episodes of each class, two right ones, one that never came."""
    wrong = [played(i, *script(i)) for script, i in itertools.product(SCRIPTS.values(), range(3))]
    right = [
        played(7, "answered", [first(7), second(7), answer("Gene number 7")]),
        played(8, "answered", [answer("Gene number 8")]),
    ]
    return [*wrong, *right, *with_missing([], [asked(9)], 1)]


def test_each_class_is_lost_at_one_stage() -> None:
    assert LOST_BEFORE.keys() == set(FailureClass)
    assert len(LOST_BEFORE) == sum(len(classes) for _, classes in STAGES)
    assert LOST_BEFORE[FailureClass.RAN_OUT] == "answered"
    assert LOST_BEFORE[FailureClass.NOT_RETRIEVED] == "evidence retrieved"
    assert LOST_BEFORE[FailureClass.WRONG_OF_SEVERAL] == "right"


def test_what_reaches_a_stage_is_what_was_not_lost_before() -> None:
    found = summarise(episodes()).flow
    assert [(stage.name, stage.episodes) for stage in found] == [
        ("all episodes", 33),
        ("answered", 33 - 1 - 3 - 3),
        ("searched for the topic", 26 - 3),
        ("evidence retrieved", 23 - 3 - 3 - 3),
        ("evidence shown", 14 - 3),
        ("evidence used", 11 - 3),
        ("right", 8 - 3 - 3),
    ]
    assert found[0].lost == {"infrastructure": 1, "malformed": 3, "ran out": 3}
    for before, after in itertools.pairwise(found):
        assert before.episodes - sum(before.lost.values()) == after.episodes


def test_right_answers_are_told_apart_by_what_they_were_shown() -> None:
    assert summarise(episodes()).measures["shown_proof"].mean == 1 / 2


def test_without_certificates_there_are_no_stages_of_evidence() -> None:
    def bare(one: Scored) -> Scored:
        question = msgspec.structs.replace(one.trajectory.question, certificate=None)
        trajectory = msgspec.structs.replace(one.trajectory, question=question)
        return msgspec.structs.replace(one, trajectory=trajectory)

    found = summarise([bare(one) for one in episodes()]).flow
    assert [stage.name for stage in found] == ["all episodes", "answered", "right"]
    assert found[1].lost == {"no certificate to tell": 24}
    assert found[-1].episodes == 2


def test_all_right_loses_nothing() -> None:
    assert [stage.episodes for stage in flow_of({}, 5)] == [5] * len(STAGES)
    assert flow_of({}, 5)[0] == Stage(name="all episodes", episodes=5, lost={})


def test_the_classes_of_the_scripts_are_those_in_the_flow() -> None:
    found = {why for stage in summarise(episodes()).flow for why in stage.lost}
    assert found == {str(failed.why) for one in episodes() if (failed := failure_of(one))}
