"""Rewards and components of other people's code: every form they come in, and what is refused."""

import math
import pickle

import numpy as np
import pytest

from medenv.errors import UsageError
from medenv.records import Part, Score
from medenv.reward import COMPONENTS, Checked, Component, ComponentScore, Composition, Knowledge
from medenv.reward.composition import Reward
from medenv.reward.custom import UNSTATED, as_component, as_reward, is_component

from .builder import answering, episode, search

RIGHT, WRONG = episode(answering("SCN1A")), episode(answering("SCN2A"))


def short(trajectory):
    return 1.0 / len(trajectory.turns)


def parts(trajectory):
    return Score(total=0.5, parts={"mine": Part(raw=0.5, weight=1.0, weighted=0.5)})


class Stateful:
    asks = ("Say {note} so.",)
    outside = True

    def __call__(self, trajectory):
        return 0.25


def factory():
    return Stateful()


def brevity(trajectory, knowledge):
    """Pay short episodes.

    And no others.
    """
    return 1.0 / len(trajectory.turns)


def reasoned(trajectory, knowledge):
    return ComponentScore(0.5, "because")


def component():
    return Component(name="other", measure=reasoned, high=2.0, rationale="It is.", exploit="None.")


class Asking:
    def __call__(self, trajectory, knowledge):
        return 0.5


class Broken:
    def __init__(self):
        raise FileNotFoundError("no weights")


@pytest.mark.parametrize(
    ("given", "total", "names"),
    [
        (short, 1.0, {"reward", "accuracy"}),
        (parts, 0.5, {"mine", "accuracy"}),
        (Stateful, 0.25, {"reward", "accuracy"}),
        (Stateful(), 0.25, {"reward", "accuracy"}),
        (factory, 0.25, {"reward", "accuracy"}),
        (lambda _: np.float32(0.5), 0.5, {"reward", "accuracy"}),
        (lambda _: 1, 1.0, {"reward", "accuracy"}),
    ],
)
def test_a_whole_reward_may_give_a_number_or_a_score_and_accuracy_is_measured(given, total, names):
    reward = Checked("mine", as_reward("mine", given))
    for trajectory, right in ((RIGHT, 1.0), (WRONG, 0.0)):
        score = reward(trajectory)
        assert (score.total, set(score.parts)) == (total, names)
        part = score.parts["accuracy"]
        assert (part.raw, part.weight, part.weighted) == (right, 0.0, 0.0)


def test_an_accuracy_of_its_own_is_kept_and_no_score_stays_none():
    own = Score(total=1.0, parts={"accuracy": Part(raw=0.3, weight=1.0, weighted=1.0)})
    assert Checked("mine", lambda _: own)(RIGHT) is own
    none = Score(total=None, parts={})
    assert Checked("mine", lambda _: none)(RIGHT) is none


def test_what_a_reward_says_of_itself_is_passed_on():
    made = Checked("mine", as_reward("mine", Stateful))
    assert (made.asks, made.outside) == (Stateful.asks, True)
    plain = Checked("mine", short)
    assert (plain.asks, plain.outside) == ((), False)


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, (1.0,)])
def test_a_reward_that_gives_no_finite_number_is_named(value):
    with pytest.raises(UsageError, match=r"reward 'mine' gave .* for question 'train:0'"):
        Checked("mine", lambda _: value)(RIGHT)


@pytest.mark.parametrize("given", [1.0, "text", None, brevity, component, Broken, lambda: 3])
def test_what_is_no_reward_is_refused(given):
    with pytest.raises(UsageError, match=r"^reward 'it' "):
        as_reward("it", given)


@pytest.mark.parametrize("given", [brevity, reasoned, component, component(), Asking, Asking()])
def test_a_component_takes_the_name_under_which_it_is_weighed(given):
    one = as_component("my.module:it", given)
    assert one.name == "my.module:it"
    weights = Composition(weights={"accuracy": 1.0, "my.module:it": 0.2})
    reward = Reward(weights, Knowledge(), {**COMPONENTS, one.name: one})
    assert reward(WRONG).total == 0.0  # behind the gate `correct`, as all that are no outcome
    assert 1.0 < reward(RIGHT).total <= 1.2


def test_a_bare_function_has_a_card():
    one = as_component("it", brevity)
    assert (one.rationale, one.exploit) == ("Pay short episodes.", UNSTATED)
    assert (one.low, one.high, one.outside) == (0.0, 1.0, False)
    assert as_component("it", component).high == 2.0


def test_a_component_of_other_code_crosses_a_process_border():
    one = pickle.loads(pickle.dumps(as_component("it", brevity)))
    trajectory = episode(search("dravet"), answering("SCN1A"))
    assert one.measure(trajectory, Knowledge()) == ComponentScore(0.5, "")


@pytest.mark.parametrize("given", [1.0, None, short, Broken, lambda: 3])
def test_what_is_no_component_is_refused(given):
    with pytest.raises(UsageError, match=r"^reward component 'it' "):
        as_component("it", given)


@pytest.mark.parametrize("value", [math.nan, 1.5, "much", None])
def test_a_component_that_leaves_its_range_is_named(value):
    one = as_component("it", lambda _trajectory, _knowledge: value)
    reward = Reward(Composition(weights={"it": 1.0}), Knowledge(), {**COMPONENTS, "it": one})
    with pytest.raises(UsageError, match=r"reward component 'it' gave .* for question 'train:0'"):
        reward(RIGHT)


def test_components_are_told_from_rewards_by_what_they_take():
    assert all(map(is_component, (brevity, component(), Asking())))
    assert not any(map(is_component, (short, Stateful, Stateful(), factory, 1.0)))
