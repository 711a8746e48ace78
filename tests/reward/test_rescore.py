"""Scoring many trajectories at once is scoring each of them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import UnknownNameError, UsageError
from medenv.reward import (
    COMPONENTS,
    PRESETS,
    Component,
    ComponentScore,
    Composition,
    EntityNames,
    Knowledge,
)
from medenv.reward.analysis.rescore import ComponentMatrix, measure, rescore
from medenv.reward.analysis.variants import leave_one_out, one_at_a_time, preset_arm, ungated
from medenv.reward.composition import Reward

from .builder import DRAVET, SCN1A, SCN2A, answering, episode, search
from .test_contract import episodes

KNOWLEDGE = Knowledge(names=EntityNames([SCN1A, SCN2A, DRAVET]))
WHOLES = [preset_arm(name) for name in PRESETS]
ARMS = [
    *WHOLES,
    *(arm for whole in WHOLES for arm in (*leave_one_out(whole), *one_at_a_time(whole))),
    *(ungated(whole) for whole in WHOLES),
]


@settings(max_examples=40)
@given(trajectories=st.lists(episodes, max_size=4))
def test_a_matrix_of_raw_values_weighs_like_the_reward_itself_under_every_arm(trajectories):
    raws = measure(trajectories, KNOWLEDGE)
    for arm in ARMS:
        reward = Reward(arm.composition, KNOWLEDGE)
        rescored = rescore(raws, arm.composition)
        scores = [reward(trajectory) for trajectory in trajectories]
        assert rescored.totals.tolist() == [score.total for score in scores], arm.name
        for name, weighted in rescored.weighted.items():
            assert weighted.tolist() == [score.parts[name].weighted for score in scores], arm.name


def test_raw_values_lie_in_columns_by_name():
    raws = measure([episode(search("x"), answering("SCN1A")), episode()], KNOWLEDGE)
    assert len(raws) == 2
    assert raws.column("accuracy").tolist() == [1, 0]
    assert raws.matrix.shape == (2, len(COMPONENTS))
    assert [raws.last(name) for name in COMPONENTS] == raws.matrix[-1].tolist()


def test_what_was_not_measured_cannot_be_weighed():
    form = {"format": COMPONENTS["format"]}
    raws = measure([episode(answering("SCN1A"))], KNOWLEDGE, form)
    with pytest.raises(UnknownNameError, match=r"unknown measured component 'accuracy'"):
        raws.column("accuracy")
    with pytest.raises(UnknownNameError, match=r"measured component of a gate 'accuracy'"):
        rescore(raws, Composition(weights={"format": 1.0}))
    with pytest.raises(UnknownNameError, match=r"unknown reward component 'accuracy'"):
        rescore(raws, Composition(weights={"accuracy": 1.0}))


def test_a_component_that_asks_outside_is_asked_behind_the_gate_alone_and_pays_there():
    asked = []

    def ask(trajectory, _):
        asked.append(trajectory.answer)
        return ComponentScore(0.5, "asked")

    outside = Component(
        name="outside", measure=ask, rationale="It asks.", exploit="None.", outside=True
    )
    known = {"outside": outside, **COMPONENTS}
    trajectories = [episode(answering("SCN1A")), episode(answering("SCN2A"))]
    raws = measure(trajectories, KNOWLEDGE, known)
    assert asked == ["SCN1A"]
    weights = {"accuracy": 1.0, "outside": 1.0}
    assert rescore(raws, Composition(weights=weights)).totals.tolist() == [1.5, 0.0]
    opened = Composition(weights=weights, gates={"outside": "open"})
    with pytest.raises(UsageError, match=r"'outside' calls an outside service and was measured"):
        rescore(raws, opened)


@pytest.mark.parametrize(("ending", "what"), [(None, "not ended"), ("unavailable", "failed")])
def test_an_episode_without_an_outcome_is_refused(ending, what):
    with pytest.raises(UsageError, match=rf"question 'train:0' has {what} and cannot be scored"):
        ComponentMatrix(KNOWLEDGE).add(episode(search("x"), ending=ending))


@pytest.mark.parametrize("value", [math.nan, 1.5])
def test_a_component_that_leaves_its_range_is_named(value):
    odd = Component(
        name="odd",
        measure=lambda *_: ComponentScore(value, "so"),
        rationale="Odd.",
        exploit="None.",
    )
    with pytest.raises(UsageError, match=r"component 'odd' gave \S+ for question 'train:0'"):
        measure([episode()], KNOWLEDGE, {**COMPONENTS, "odd": odd})
