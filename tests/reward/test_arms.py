"""How arms are written, varied and refused."""

import pytest

from medenv.errors import UnknownNameError, UsageError
from medenv.reward import PRESETS, Composition
from medenv.reward.analysis.variants import (
    Contrast,
    RewardVariant,
    check_arms,
    contrasts,
    distinct,
    leave_one_out,
    one_at_a_time,
    preset_arm,
    read_arm,
    taken_apart,
    ungated,
)

COMPOSITE = preset_arm("composite")


def test_an_arm_is_written_as_its_weights_with_gates_after_at_signs():
    arm = read_arm("mine: accuracy=1, format=0.5@open, efficiency=.25")
    assert arm.name == "mine"
    assert arm.composition == Composition(
        weights={"accuracy": 1.0, "format": 0.5, "efficiency": 0.25}, gates={"format": "open"}
    )


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_an_arm(name):
    assert preset_arm(name) == RewardVariant(name=name, composition=PRESETS[name])


def test_the_variations_of_an_arm_keep_accuracy():
    assert [(arm.name, {*arm.composition.weights}) for arm in leave_one_out(COMPOSITE)] == [
        ("composite without format", {"accuracy", "efficiency"}),
        ("composite without efficiency", {"accuracy", "format"}),
    ]
    assert [(arm.name, {*arm.composition.weights}) for arm in one_at_a_time(COMPOSITE)] == [
        ("composite, only format", {"accuracy", "format"}),
        ("composite, only efficiency", {"accuracy", "efficiency"}),
    ]
    assert set(ungated(COMPOSITE).composition.gates.values()) == {"open"}
    check_arms([COMPOSITE, *leave_one_out(COMPOSITE), *one_at_a_time(COMPOSITE)])


def test_a_variation_takes_the_gates_of_what_it_keeps():
    arm = read_arm("it:accuracy=1,format=0.5@open,efficiency=1@well_formed")
    (first, second) = leave_one_out(arm)
    assert first.composition.gates == {"efficiency": "well_formed"}
    assert second.composition.gates == {"format": "open"}


def test_of_arms_that_pay_the_same_the_first_is_kept():
    arms = [preset_arm("answer_only"), *taken_apart(COMPOSITE)]
    assert [arm.name for arm in distinct(arms)] == [
        "answer_only",
        "composite",
        "composite without format",
        "composite without efficiency",
        "composite ungated",
    ]
    logged = read_arm("logged:accuracy=1,format=0")
    stated = read_arm("stated:accuracy=1@open")
    assert distinct([preset_arm("answer_only"), logged, stated]) == [preset_arm("answer_only")]


def test_a_contrast_is_a_pair_that_differs_in_one_thing():
    def contrast(what, before, after):
        return Contrast(what=what, before=before, after=after)

    assert contrasts([preset_arm("answer_only"), *taken_apart(COMPOSITE)]) == [
        contrast("efficiency", "answer_only", "composite without format"),
        contrast("efficiency", "composite without efficiency", "composite"),
        contrast("format", "answer_only", "composite without efficiency"),
        contrast("format", "composite without format", "composite"),
        contrast("open gates", "composite", "composite ungated"),
    ]


def test_arms_that_differ_in_a_weight_a_veto_or_two_components_are_no_contrast():
    arms = [
        preset_arm("answer_only"),
        COMPOSITE,
        read_arm("heavier:accuracy=2,format=0.1"),
        RewardVariant(
            name="vetoed",
            composition=Composition(weights={"accuracy": 1.0, "format": 0.1}, vetoes=("safe",)),
        ),
    ]
    assert contrasts(arms) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy=1", r"expected an arm as name:component=weight,.*, got 'accuracy=1'"),
        (":accuracy=1", r"expected an arm as name:"),
        ("mine:", r"expected an arm as name:"),
        ("mine:accuracy", r"expected an arm as name:"),
        ("mine:accuracy=much", r"arm 'mine': the weight of 'accuracy' is 'much'; expected a num"),
        ("mine:accuracy=1,accuracy=2", r"arm 'mine' weighs 'accuracy' twice"),
    ],
)
def test_what_is_no_arm_says_how_one_is_written(text, message):
    with pytest.raises(UsageError, match=message):
        read_arm(text)


@pytest.mark.parametrize(
    ("arms", "error", "message"),
    [
        ([], UsageError, r"at least one arm, got none"),
        ([COMPOSITE, COMPOSITE], UsageError, r"two arms are called 'composite'"),
        (
            [read_arm("mine:acuracy=1")],
            UnknownNameError,
            r"unknown reward component in arm 'mine' 'acuracy'; did you mean 'accuracy'\?",
        ),
        (
            [read_arm("mine:accuracy=1@correkt")],
            UnknownNameError,
            r"unknown gate in arm 'mine' 'correkt'; did you mean 'correct'\?",
        ),
        ([read_arm("mine:accuracy=nan")], UsageError, r"arm 'mine': the weight of 'accuracy' is n"),
        ([read_arm("mine:accuracy=-1")], UsageError, r"arm 'mine': the weight of 'accuracy' is -1"),
    ],
)
def test_arms_that_cannot_be_compared_are_refused(arms, error, message):
    with pytest.raises(error, match=message):
        check_arms(arms)


def test_an_unknown_preset_gets_the_nearest_known_one():
    with pytest.raises(UnknownNameError, match=r"unknown reward preset 'papr'; did you mean 'pape"):
        preset_arm("papr")
