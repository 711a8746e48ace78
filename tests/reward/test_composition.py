"""Compositions as data: what is refused, what is gated, what comes out."""

import math
import pickle

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import UnknownNameError, UsageError
from medenv.records import Entity
from medenv.reward import (
    COMPONENTS,
    GATES,
    PRESETS,
    Checked,
    Component,
    ComponentScore,
    Composition,
    EntityNames,
    Knowledge,
    compose,
)
from medenv.reward.components.confidence import ABSTENTION_UTILITY
from medenv.reward.components.outcome import CHILD_CREDIT

from .builder import DRAVET, SCN1A, SCN2A, answering, episode, malformed, search

RIGHT = episode(search("dravet"), answering("SCN1A"))
WRONG = episode(search("dravet"), answering("SCN2A"))
NAMES = EntityNames([SCN1A, SCN2A])
CHILD = Entity(id="X:1", kind="gene", name="SCN1A-AS1")
DRUG = Entity(id="X:2", kind="drug", name="Carbamazepine")
RELATED = Knowledge(
    names=EntityNames([SCN1A, SCN2A, CHILD, DRUG]),
    parents={CHILD.id: (SCN1A.id,)},
    forbidden={DRAVET.id: (DRUG.id,)},
)
EXTREMES = {
    right: [
        episode(*before, answering(name, before=sure))
        for name in names
        for before in ([], [malformed()])
        for sure in ("", *(f"<confidence>{n}</confidence>" for n in (0, 1)))
    ]
    for right, names in {
        True: ("SCN1A",),
        False: ("SCN2A", CHILD.name, "unknown", DRUG.name),
    }.items()
}
"""Right and wrong episodes at the ends of what components can give."""


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


@pytest.mark.parametrize("vetoes", [(), ("safe",), ("well_formed",)])
def test_accuracy_is_measured_whatever_is_weighed_and_pays_nothing_then(vetoes):
    form = Composition(weights={"format": 0.5}, gates={"format": "open"}, vetoes=vetoes)
    for played, right in ((RIGHT, 1.0), (WRONG, 0.0)):
        score = compose(form)(played)
        assert score.total == 0.5
        part = score.parts["accuracy"]
        assert (part.raw, part.weight, part.weighted) == (right, 0.0, 0.0)
        assert part.reason
    assert compose(form).highest() == 0.5


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
        measure=lambda _trajectory, _knowledge: ComponentScore(value, "because"),
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


@pytest.mark.parametrize(
    ("weights", "gates", "vetoes", "margin"),
    [
        # partial outcomes: a wrong answer gets what its card says at most, a right one at least 1
        ({"abstention": 1.0, "format": 0.1}, {}, (), 1 - ABSTENTION_UTILITY),
        ({"kinship": 1.0}, {}, (), 1 - CHILD_CREDIT),
        ({"accuracy": 1.0, "kinship": 0.5}, {}, (), 1.5 - 0.5 * CHILD_CREDIT),
        ({"accuracy": 1.0, "list_f1": 0.5}, {}, (), 1.0),
        ({"accuracy": 1.0, "calibration": 0.5}, {}, (), 0.5),
        # a right answer is safe, so that veto takes nothing from it
        ({"accuracy": 1.0}, {}, ("safe",), 1.0),
        ({"accuracy": 1.0, "format": 0.5}, {"format": "open"}, ("safe",), 0.5),
        # form may be broken around a right answer, and whole around a wrong one
        ({"accuracy": 1.0}, {}, ("well_formed",), 0.0),
        ({"accuracy": 1.0, "kinship": 1.0}, {}, ("well_formed",), -CHILD_CREDIT),
        ({"accuracy": 1.0, "format": 0.7}, {"format": "open"}, ("well_formed",), -0.7),
        # nothing wrong passes this veto
        ({"accuracy": 1.0, "format": 0.7}, {"format": "open"}, ("correct",), 1.0),
        ({"accuracy": 1.0, "format": 0.7}, {"format": "open"}, ("correct", "open"), 1.0),
        ({"accuracy": 1.0, "format": 0.7}, {"format": "open"}, ("well_formed", "correct"), 0.0),
        ({"accuracy": 1.0}, {"accuracy": "safe"}, (), 1.0),
    ],
)
def test_the_margin_counts_vetoes_and_partial_outcomes(weights, gates, vetoes, margin):
    assert Composition(weights=weights, gates=gates, vetoes=vetoes).margin() == pytest.approx(
        margin
    )


def test_a_near_miss_that_pays_less_than_a_right_answer_is_a_wrong_one():
    only = Composition(weights={"accuracy": 1.0})
    assert only.margin(near=0.25) == 0.75
    assert only.margin(near=1.0) == 1.0


def test_a_penalty_that_always_applies_is_in_both_ends_of_the_margin():
    penalty = Component(
        name="penalty", measure=lambda *_: ComponentScore(-1.0, "so"), low=-1.0, high=-0.5,
        rationale="It is one.", exploit="None.",
    )  # fmt: skip
    known = {**COMPONENTS, "penalty": penalty}
    always = Composition(weights={"accuracy": 1.0, "penalty": 1.0}, gates={"penalty": "open"})
    assert always.margin(known) == 0.5  # 1 - 1 against -0.5
    if_right = Composition(weights={"accuracy": 1.0, "penalty": 1.0})
    assert if_right.margin(known) == 0.0


NAMED = st.sampled_from(["accuracy", "kinship", "calibration", "abstention", "format", "safety"])


@settings(max_examples=200)
@given(
    st.dictionaries(NAMED, st.sampled_from([0.1, 0.5, 1.0]), min_size=1),
    st.dictionaries(NAMED, st.sampled_from(sorted(GATES)), max_size=3),
    st.lists(st.sampled_from(sorted(GATES)), max_size=2),
)
def test_no_episode_falls_below_the_margin_and_some_reach_it(weights, gates, vetoes):
    gates = {name: gate for name, gate in gates.items() if name in weights}
    one = Composition(weights=weights, gates=gates, vetoes=tuple(vetoes))
    reward = compose(one, RELATED)
    right = [reward(episode).total for episode in EXTREMES[True]]
    wrong = [reward(episode).total for episode in EXTREMES[False]]
    assert min(right) - max(wrong) >= one.margin() - 1e-9
    # The range of each component is reached by some of these, if not of all at once.
    if len(weights) == 1 and not vetoes:
        assert min(right) - max(wrong) == pytest.approx(one.margin())


def test_the_prompt_asks_for_what_the_components_read_and_for_nothing_else():
    assert compose("composite").asks == ()
    (cite,) = compose("evidence").asks
    assert "[2]" in cite
    assert "{note}" in cite
    sure, unknown = (
        compose(Composition(weights={name: 0.0})).asks[0] for name in ("calibration", "abstention")
    )
    assert "<confidence>0.8</confidence>" in sure
    assert "unknown" in unknown
    assert Checked("mine", compose("evidence")).asks == (cite,)
    assert Checked("mine", lambda _: compose("evidence")(RIGHT)).asks == ()


def test_a_component_that_asks_outside_is_asked_only_where_its_gate_is_open():
    asked = []

    def ask(trajectory, _):
        asked.append(trajectory.answer)
        return ComponentScore(0.5, "asked")

    outside = Component(
        name="outside", measure=ask, rationale="It asks.", exploit="None.", outside=True
    )
    known = {**COMPONENTS, "outside": outside}
    weights = {"accuracy": 1.0, "outside": 1.0}

    def score(trajectory, **settings):
        asked.clear()
        return compose(Composition(weights=weights, **settings), NAMES, known)(trajectory)

    assert score(RIGHT).total == 1.5
    assert asked == ["SCN1A"]
    wrong = score(WRONG)
    assert (wrong.total, wrong.parts["outside"].gated, asked) == (0, True, [])
    assert score(WRONG, gates={"outside": "open"}).total == 0.5
    assert asked == ["SCN2A"]
    broken = episode(malformed(), answering("SCN1A"))
    assert score(broken, vetoes=("well_formed",)).total == 0
    assert asked == []
    assert score(RIGHT, vetoes=("well_formed",)).total == 1.5
    assert asked == ["SCN1A"]
