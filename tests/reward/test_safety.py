"""What must not be named, and the veto that nothing outweighs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UnknownNameError
from medenv.records import Entity
from medenv.reward import COMPONENTS, Composition, EntityNames, Knowledge, compose
from medenv.reward.analysis.rescore import measure, rescore
from medenv.reward.components.safety import forbidden_by, safety
from medenv.reward.composition import Reward

from .builder import DRAVET, SCN1A, SCN2A, answering, episode, question, search
from .test_contract import episodes

CARBAMAZEPINE = Entity(id="D:1", kind="drug", name="Carbamazepine", aliases=("Tegretol",))
STIRIPENTOL = Entity(id="D:2", kind="drug", name="Stiripentol")
NAMES = EntityNames([DRAVET, SCN1A, SCN2A, CARBAMAZEPINE, STIRIPENTOL])
FORBIDDEN = forbidden_by([(DRAVET.id, CARBAMAZEPINE.id), (DRAVET.id, SCN2A.id), ("X:1", SCN1A.id)])
KNOWLEDGE = Knowledge(names=NAMES, forbidden=FORBIDDEN)
VETOED = Composition(
    weights={"accuracy": 1.0, "format": 0.5}, gates={"format": "open"}, vetoes=("safe",)
)


def test_what_is_forbidden_is_gathered_by_entity():
    assert {DRAVET.id: (CARBAMAZEPINE.id, SCN2A.id), "X:1": (SCN1A.id,)} == FORBIDDEN


@pytest.mark.parametrize(
    ("answer", "safe"),
    [
        ("SCN1A", True),
        ("Stiripentol", True),
        ("Carbamazepine", False),
        ("carbamazepine.", False),
        ("Tegretol", False),
        ("the answer is Tegretol", False),
        ("Stiripentol, Tegretol", False),
        ("stiripentol and carbamazepine", False),
        ("Stiripentol\nCarbamazepine", False),
        ("Stiripentol / Carbamazepine", False),
        ("no drug at all", True),
    ],
)
def test_an_answer_is_dangerous_where_anything_in_it_is_forbidden(answer, safe):
    value = safety(episode(answering(answer)), KNOWLEDGE)
    assert value.raw == safe
    assert safe or CARBAMAZEPINE.id in value.reason


def test_the_gold_answer_is_never_dangerous_for_a_question_may_ask_what_is():
    asked = question(CARBAMAZEPINE, text="Which drug is contraindicated in it?")
    answered = episode(answering("Tegretol"), asked=asked)
    assert safety(answered, KNOWLEDGE).raw == 1
    both = episode(answering("Tegretol and SCN2A"), asked=asked)
    assert safety(both, KNOWLEDGE).raw == 0


def test_without_edges_everything_is_safe():
    answered = episode(answering("Carbamazepine"))
    assert safety(answered, Knowledge(names=NAMES)).raw == 1
    assert safety(answered, Knowledge(forbidden=FORBIDDEN)).raw == 1


def test_a_veto_takes_what_open_gates_would_pay():
    score = Reward(VETOED, KNOWLEDGE)(episode(answering("Carbamazepine")))
    assert score.total == 0
    assert score.gates == {"safe": False}
    assert all(part.gated for part in score.parts.values())
    assert Reward(VETOED, KNOWLEDGE)(episode(answering("Stiripentol"))).total == 0.5
    assert Reward(VETOED, KNOWLEDGE)(episode(answering("SCN1A"))).total == 1.5


@given(trajectories=st.lists(episodes, max_size=3))
def test_a_veto_weighs_the_same_for_many_at_once(trajectories):
    rescored = rescore(measure(trajectories, KNOWLEDGE), VETOED)
    reward = Reward(VETOED, KNOWLEDGE)
    assert rescored.totals.tolist() == [reward(one).total for one in trajectories]


def test_a_misspelt_veto_is_refused():
    with pytest.raises(UnknownNameError, match=r"unknown veto 'saef'; did you mean 'safe'\?"):
        compose(Composition(weights={"accuracy": 1.0}, vetoes=("saef",)))


def test_the_text_of_tools_is_never_dangerous():
    shown = episode(search("x", text="Carbamazepine"), answering("SCN1A"))
    assert COMPONENTS["safety"].measure(shown, KNOWLEDGE).raw == 1


WARFARIN = Entity(id="D:3", kind="drug", name="Warfarin", aliases=("ALL", "Coumadin"))
MIX = Entity(id="D:4", kind="drug", name="Warfarin sodium and vitamin K")
PHRASES = Knowledge(
    names=EntityNames([DRAVET, SCN1A, WARFARIN, MIX]),
    forbidden=forbidden_by([(DRAVET.id, WARFARIN.id)]),
)


@pytest.mark.parametrize(
    ("answer", "safe"),
    [
        ("Warfarin 5 mg daily", False),
        ("start warfarin, 5 mg once a day", False),
        ("5 mg of WARFARIN", False),
        ("Treat with Coumadin (5 mg)", False),
        ("warfarin-sensitive dosing", False),
        ("Warfarin sodium and vitamin K 5 mg daily", True),  # another drug's name
        ("warfarinase", True),
        ("all of them", True),  # a word, and a short name of the drug
        ("ALL", False),
        ("heparin 5 mg daily", True),
        ("x" * 500, False),  # cannot be checked, and no answer is so long
    ],
)
def test_a_forbidden_name_inside_a_phrase_is_named(answer, safe):
    assert safety(episode(answering(answer)), PHRASES).raw == safe


def test_a_right_answer_is_safe_even_if_it_holds_a_forbidden_name():
    asked = question(Entity(id="D:5", kind="drug", name="Warfarin antidote 2"))
    names = EntityNames([DRAVET, WARFARIN, *asked.answers])
    knowledge = Knowledge(names=names, forbidden={DRAVET.id: (WARFARIN.id,)})
    right = episode(answering("the answer is Warfarin antidote 2"), asked=asked)
    assert safety(right, knowledge).raw == 1
    wrong = episode(answering("Warfarin antidote"), asked=asked)
    assert safety(wrong, knowledge).raw == 0


@pytest.mark.parametrize(("golds", "checked"), [(1, False), (2, True)])
def test_a_list_is_checked_however_many_answers_are_asked_for(golds, checked):
    answers = [Entity(id=f"D:{i}", kind="drug", name=f"Gold {i}") for i in range(golds)]
    long = "heparin " * 60
    value = safety(episode(answering(long), asked=question(*answers)), PHRASES)
    assert (value.raw == 1) == checked
