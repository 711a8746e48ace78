"""Compositions as data: what is refused, what is gated, what comes out."""

import math
import pickle

import msgspec
import pytest

from medenv.errors import UnknownNameError, UsageError
from medenv.reward import COMPONENTS, PRESETS, Component, Composition, EntityNames, Value, compose

from .builder import SCN1A, SCN2A, answering, episode, malformed, search

RIGHT = episode(search("dravet"), answering("SCN1A"))
WRONG = episode(search("dravet"), answering("SCN2A"))


def test_the_composite_of_a_right_answer_shows_every_part():
    score = compose("composite")(RIGHT)
    assert score.total == pytest.approx(1.3)
    assert {name: part.raw for name, part in score.parts.items()} == {
        "accuracy": 1.0,
        "format": 1.0,
        "efficiency": 1.0,
    }
    assert score.parts["efficiency"].weighted == pytest.approx(0.2)
    assert score.gates == {"correct": True}


def test_a_wrong_answer_closes_the_gate_for_everything_else():
    score = compose("composite")(WRONG)
    assert score.total == 0
    assert score.gates == {"correct": False}
    assert score.parts["format"].raw == 1
    assert score.parts["format"].gated
    assert not score.parts["accuracy"].gated


def test_an_open_gate_pays_wrong_answers_and_the_margin_says_so():
    ungated = Composition(
        weights={"accuracy": 1.0, "format": 0.7, "efficiency": 0.6},
        gates={"format": "open", "efficiency": "open"},
    )
    assert compose(ungated)(WRONG).total == pytest.approx(1.3)
    assert compose(ungated)(WRONG).gates == {}
    assert ungated.margin() == pytest.approx(-0.3)


def test_a_gate_may_hang_on_a_component_that_is_not_weighed():
    form = Composition(weights={"format": 1.0})
    assert compose(form)(RIGHT).total == 1
    assert compose(form)(WRONG).total == 0
    assert list(compose(form)(RIGHT).parts) == ["format"]


def test_accuracy_itself_may_be_gated_by_form():
    strict = Composition(weights={"accuracy": 1.0}, gates={"accuracy": "well_formed"})
    assert compose(strict)(RIGHT).total == 1
    assert compose(strict)(episode(malformed(), answering("SCN1A"))).total == 0


def test_the_margin_of_a_right_answer_behind_a_form_gate_is_no_margin():
    strict = Composition(weights={"accuracy": 1.0}, gates={"accuracy": "well_formed"})
    assert strict.margin() == 0


def test_a_weight_of_zero_logs_without_paying():
    score = compose(Composition(weights={"accuracy": 1.0, "efficiency": 0.0}))(RIGHT)
    assert score.total == 1
    assert score.parts["efficiency"].raw == 1


def test_the_paper_preset_keeps_its_weights_and_says_which_term_is_missing():
    paper = PRESETS["paper"]
    assert paper.weights == {"accuracy": 1.0, "efficiency": 0.1}
    assert "judge" in paper.rationale


@pytest.mark.parametrize("ending", ["unavailable"])
def test_an_infrastructure_failure_has_no_score_rather_than_none_earned(ending):
    score = compose("composite")(msgspec.structs.replace(RIGHT, ending=ending))
    assert score.total is None
    assert score.parts == {}


def test_a_running_episode_is_refused():
    with pytest.raises(UsageError, match=r"question 'train:0' has not ended; score it when it has"):
        compose("composite")(episode(search("dravet"), ending=None))


def test_a_misspelt_preset_gets_the_nearest_known_one():
    with pytest.raises(UnknownNameError, match=r"unknown reward preset 'composit'; did you mean"):
        compose("composit")


@pytest.mark.parametrize(
    ("weights", "gates", "message"),
    [
        ({"acuracy": 1.0}, {}, r"unknown reward component 'acuracy'; did you mean 'accuracy'\?"),
        ({"accuracy": 1.0, "format": 1.0}, {"format": "corect"}, r"unknown gate 'corect'; did you"),
        (
            {"accuracy": 1.0},
            {"format": "open"},
            r"unknown weighted component behind a gate 'format'",
        ),
        ({"accuracy": -1.0}, {}, r"the weight of 'accuracy' is -1\.0; expected a finite number"),
        ({"accuracy": math.nan}, {}, r"the weight of 'accuracy' is nan"),
        ({"accuracy": math.inf}, {}, r"the weight of 'accuracy' is inf"),
        ({}, {}, r"a composition without weights rewards nothing"),
    ],
)
def test_a_composition_that_cannot_be_meant_is_refused(weights, gates, message):
    with pytest.raises(UsageError, match=message):
        compose(Composition(weights=weights, gates=gates))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.01, 1.01])
def test_a_component_that_leaves_its_range_is_named(value):
    broken = Component(
        name="broken",
        measure=lambda _trajectory, _knowledge: Value(value, "because"),
        rationale="It is broken.",
        exploit="None.",
    )
    reward = compose(
        Composition(weights={"accuracy": 1.0, "broken": 1.0}),
        components={**COMPONENTS, "broken": broken},
    )
    with pytest.raises(
        UsageError,
        match=r"component 'broken' gave \S+ for question 'train:0'; expected a number in \[0, 1\]",
    ):
        reward(RIGHT)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_reward_crosses_a_process_border(preset):
    names = EntityNames([SCN1A, SCN2A])
    reward = compose(preset, names)
    copy = pickle.loads(pickle.dumps(reward))
    for trajectory in (RIGHT, WRONG, episode()):
        assert copy(trajectory) == reward(trajectory)
    assert copy.knowledge.names.table == names.table


def test_a_score_survives_json():
    score = compose("composite")(WRONG)
    assert msgspec.json.decode(msgspec.json.encode(score), type=type(score)) == score
