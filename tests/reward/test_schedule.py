"""Weights over training steps."""

import math

import pytest

from medenv.errors import UnknownNameError, UsageError
from medenv.reward import PRESETS, Ramp, Schedule, compose

from .builder import answering, episode


def ramp(begin=10, end=20, first=0.0, last=0.2):
    return Ramp(begin=begin, end=end, first=first, last=last)


@pytest.mark.parametrize(
    ("step", "weight"), [(0, 0.0), (10, 0.0), (11, 0.02), (15, 0.1), (20, 0.2), (999, 0.2)]
)
def test_a_weight_goes_in_a_straight_line_and_then_stays(step, weight):
    schedule = Schedule(composition=PRESETS["composite"], ramps={"efficiency": ramp()})
    composition = schedule.at(step)
    assert composition.weights == {
        "accuracy": 1.0,
        "format": 0.1,
        "efficiency": pytest.approx(weight),
    }
    assert compose(composition)(episode(answering("SCN1A"))).total == pytest.approx(1.1 + weight)


def test_a_right_answer_outranks_a_wrong_one_at_every_step():
    schedule = Schedule(
        composition=PRESETS["process"],
        ramps={"process": ramp(), "efficiency": ramp(0, 40, 0.3, 0.0)},
    )
    assert min(schedule.at(step).margin() for step in range(50)) > 0


def test_a_ramp_for_a_component_without_weight_is_refused():
    with pytest.raises(UnknownNameError, match="unknown weighted component 'efficency'; did you"):
        Schedule(composition=PRESETS["composite"], ramps={"efficency": ramp()})


@pytest.mark.parametrize(("begin", "end"), [(5, 5), (6, 5), (-1, 5)])
def test_a_ramp_that_does_not_go_forward_is_refused(begin, end):
    with pytest.raises(UsageError, match=f"goes from step {begin} to {end}; expected 0 <= begin"):
        ramp(begin, end)


@pytest.mark.parametrize(
    ("first", "last"), [(0.0, -1.0), (-0.1, 1.0), (math.nan, 1), (0, math.inf)]
)
def test_a_ramp_that_leaves_the_range_of_weights_is_refused(first, last):
    with pytest.raises(UsageError, match="expected finite numbers >= 0"):
        ramp(0, 10, first, last)
