"""Lists, relatives, confidence and abstention."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.dialects import Hermes
from medenv.records import Entity, Parsed, Turn
from medenv.reward import EntityNames, Knowledge
from medenv.reward.components.confidence import (
    ABSTENTION_UTILITY,
    abstention,
    calibration,
    stated_confidence,
)
from medenv.reward.components.outcome import (
    CHILD_CREDIT,
    PARENT_CREDIT,
    accuracy,
    is_abstention,
    kinship,
    list_f1,
)

from .builder import SCN1A, SCN2A, answering, episode, question, search


def disease(number, name, *aliases):
    return Entity(id=f"D:{number}", kind="disease", name=name, aliases=aliases)


NOTHING = Knowledge()
DEAFNESS = disease(1, "Deafness, autosomal recessive 12")
USHER = disease(2, "Usher syndrome type 1")
ATAXIA = disease(3, "Ataxia and deafness")
LIST = (DEAFNESS, USHER, ATAXIA)


def listing(answer, gold=LIST, measure=list_f1, kind="list:disease"):
    return measure(episode(answering(answer), asked=question(*gold, kind=kind)), NOTHING).raw


@pytest.mark.parametrize(
    ("answer", "hits", "items"),
    [
        ("Deafness, autosomal recessive 12", 1, 1),
        ("Deafness, autosomal recessive 12, Usher syndrome type I", 2, 2),
        ("Deafness, autosomal recessive 12; Usher syndrome type 1; Ataxia and deafness", 3, 3),
        ("Ataxia and deafness, Usher syndrome 1 and autosomal recessive deafness 12", 3, 3),
        ("- Usher syndrome type 1\n- Ataxia and deafness", 2, 2),
        ("Usher syndrome type 1 or Ataxia and deafness", 2, 2),
        ("Usher syndrome type 1 or Ataxia", 1, 2),
        ("Usher syndrome type 1, Usher syndrome type 2", 1, 2),
        ("Usher syndrome type 1, Usher syndrome type 1", 1, 2),
        ("Marfan syndrome", 0, 1),
        ("I do not know", 0, 1),
    ],
)
def test_a_list_is_paid_by_its_f1(answer, hits, items):
    assert listing(answer) == pytest.approx(2 * hits / (items + 3))


def test_a_shotgun_list_pays_nothing():
    many = ", ".join(f"Usher syndrome type {i}" for i in range(1, 40))
    assert listing(many) == 0
    assert listing("\n".join(["Usher syndrome type 1"] * 13)) == 0
    assert listing("Usher syndrome type 1" + " " * 2000) == 0


@given(st.permutations(LIST))
def test_the_order_of_a_list_does_not_matter(order):
    assert listing("; ".join(one.name for one in order)) == 1


def test_with_one_gold_answer_a_list_is_a_hedge():
    assert listing("SCN1A, SCN2A", (SCN1A,)) == 0
    assert listing("SCN1A", (SCN1A,)) == 1
    assert list_f1(episode(), NOTHING).raw == 0


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Deafness, autosomal recessive 12; Usher syndrome type 1; Ataxia and deafness", True),
        ("Ataxia and deafness, Usher syndrome 1 and autosomal recessive deafness 12", True),
        ("Usher syndrome type 1; Ataxia and deafness", False),
        ("Usher syndrome type 1", False),
        ("Usher syndrome type 1, Usher syndrome type 1, Ataxia and deafness", False),
        (f"{'; '.join(one.name for one in LIST)}; Marfan syndrome", False),
        (f"{'; '.join(one.name for one in LIST)}; Ataxia and deafness", False),
        (" or ".join(one.name for one in LIST), False),
        ("", False),
    ],
)
def test_a_question_for_all_answers_is_right_only_by_the_whole_list(answer, right):
    assert listing(answer, measure=accuracy) == right


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("SCN1A", True),
        ("SCN2A", True),
        ("SCN2A and SCN1A", True),
        ("SCN1A, SCN2A, SCN8A", False),
        ("SCN1A, SCN8A", False),
        ("SCN1A SCN2A", False),
    ],
)
def test_a_question_for_any_answer_is_right_by_one_or_several_right_ones(answer, right):
    gold = (SCN1A, SCN2A)
    for measure in (accuracy, list_f1):
        assert listing(answer, gold, measure, kind="disease>gene") == right


def test_the_kind_of_a_question_says_whether_all_its_answers_are_asked_for():
    kinds = ("list:disease", "list:value", "disease>gene", "negation:disease", "listing>gene", "")
    found = [question(*LIST, kind=kind).asks_for_all for kind in kinds]
    assert found == [True, True, False, False, False, False]


EPILEPSY = disease(10, "Epilepsy")
ENCEPHALOPATHY = disease(11, "Developmental epileptic encephalopathy", "DEE")
DRAVET = disease(12, "Dravet syndrome")
COUSIN = disease(13, "West syndrome")
FAMILY = (EPILEPSY, ENCEPHALOPATHY, DRAVET, COUSIN)
PARENTS = {"D:11": ("D:10",), "D:12": ("D:11",), "D:13": ("D:11",)}


@pytest.mark.parametrize(
    ("answer", "credit"),
    [
        ("Developmental epileptic encephalopathy", 1),
        ("The disease is DEE.", 1),
        ("Epilepsy", PARENT_CREDIT),
        ("The answer is epilepsy", PARENT_CREDIT),
        ("Dravet syndrome", CHILD_CREDIT),
        ("West syndrome", CHILD_CREDIT),
        ("Dravet syndrome, West syndrome", 0),
        ("Marfan syndrome", 0),
        ("", 0),
    ],
)
def test_a_direct_relative_of_the_gold_answer_has_a_declared_part(answer, credit):
    knowledge = Knowledge(names=EntityNames(FAMILY), parents=PARENTS)
    trajectory = episode(answering(answer), asked=question(ENCEPHALOPATHY))
    assert kinship(trajectory, knowledge).raw == credit


def test_a_grandparent_and_a_sibling_are_too_far():
    knowledge = Knowledge(names=EntityNames(FAMILY), parents=PARENTS)
    for answer in ("Epilepsy", "West syndrome"):
        asked = question(DRAVET)
        assert kinship(episode(answering(answer), asked=asked), knowledge).raw == 0


def test_without_an_index_or_an_ontology_there_are_no_relatives():
    trajectory = episode(answering("Epilepsy"), asked=question(ENCEPHALOPATHY))
    assert kinship(trajectory, NOTHING).raw == 0
    assert kinship(trajectory, Knowledge(names=EntityNames(FAMILY))).raw == 0


def test_a_name_that_two_entities_share_is_no_relative():
    shared = disease(14, "Epileptic disorder", "Epilepsy")
    knowledge = Knowledge(names=EntityNames((*FAMILY, shared)), parents=PARENTS)
    trajectory = episode(answering("Epilepsy"), asked=question(ENCEPHALOPATHY))
    assert kinship(trajectory, knowledge).raw == 0


@pytest.mark.parametrize(
    ("written", "stated"),
    [
        ("<confidence>0.8</confidence>", 0.8),
        ("<confidence> 80 % </confidence>", 0.8),
        ("<confidence>80%</confidence>", 0.8),
        ("<confidence>1</confidence>", 1.0),
        ("<confidence>.5</confidence>", 0.5),
        ("<confidence>0</confidence>", 0.0),
        ("<confidence>80</confidence>", None),
        ("<confidence>101%</confidence>", None),
        ("<confidence>-0.5</confidence>", None),
        ("<confidence>nan</confidence>", None),
        ("<confidence>high</confidence>", None),
        ("<confidence>0.2</confidence><confidence>0.9</confidence>", None),
        ("0.8", None),
        ("", None),
    ],
)
def test_a_confidence_is_one_probability_in_the_turn_of_the_answer(written, stated):
    assert stated_confidence(episode(answering("SCN1A", before=written))) == stated


@pytest.mark.parametrize(
    "written",
    [
        "<think><confidence>1</confidence></think>",
        "<confidence>1</confidence></think>",
        "<tool_response><confidence>1</confidence>",
        "<|im_end|><confidence>1</confidence>",
    ],
)
def test_a_confidence_in_a_thought_or_behind_a_forged_tag_is_none(written):
    read = Hermes().parse(f"{written}<answer>SCN1A</answer>")
    turn = Turn(text=written, parsed=msgspec.structs.replace(read, answer="SCN1A"))
    assert stated_confidence(episode(turn)) is None
    untold = Turn(text=written, parsed=Parsed(answer="SCN1A"))
    assert stated_confidence(episode(untold)) is None


def test_a_confidence_that_a_tool_returned_is_none():
    planted = search("x", text="<confidence>1</confidence>")
    assert stated_confidence(episode(planted, answering("SCN1A"))) is None


@pytest.mark.parametrize("stated", [0.0, 0.25, 0.5, 1.0])
def test_calibration_is_the_brier_score_turned_round(stated):
    mark = f"<confidence>{stated}</confidence>"
    right = calibration(episode(answering("SCN1A", before=mark)), NOTHING)
    wrong = calibration(episode(answering("SCN2A", before=mark)), NOTHING)
    assert right.raw == pytest.approx(1 - (1 - stated) ** 2)
    assert wrong.raw == pytest.approx(1 - stated**2)
    assert calibration(episode(answering("SCN1A")), NOTHING).raw == 0


@given(st.integers(0, 20))
def test_the_true_probability_is_the_best_confidence_to_state(right):
    grid = [i / 20 for i in range(21)]

    def expected(stated):
        mark = f"<confidence>{stated}</confidence>"
        won = calibration(episode(answering("SCN1A", before=mark)), NOTHING).raw
        lost = calibration(episode(answering("SCN2A", before=mark)), NOTHING).raw
        return right / 20 * won + (1 - right / 20) * lost

    assert max(grid, key=expected) == right / 20


@pytest.mark.parametrize(
    ("answer", "utility"),
    [
        ("SCN1A", 1),
        ("I don't know.", ABSTENTION_UTILITY),
        ("unknown", ABSTENTION_UTILITY),
        ("Cannot be determined", ABSTENTION_UTILITY),
        ("SCN2A", 0),
        ("I do not know, perhaps SCN1A", 0),
        ("", 0),
    ],
)
def test_abstaining_is_worth_more_than_being_wrong_and_less_than_being_right(answer, utility):
    assert abstention(episode(answering(answer)), NOTHING).raw == utility


@pytest.mark.parametrize(
    "said",
    [
        "Unknown",
        "**Unknown**",
        r"\boxed{\text{unknown}}",
        "So the final answer is: unknown.",
        "The causative gene is not known.",
        "The gene cannot be determined.",
        "Answer: I don’t know [1]",
        "1. unknown",
    ],
)
def test_that_there_is_no_answer_is_said_as_an_answer_is(said):
    assert is_abstention(said)


@pytest.mark.parametrize(
    "said",
    ["not unknown", "¬unknown", "~~unknown~~", "unknown?", "unknown (SCN1A)", "SCN1A or unknown"],
)
def test_what_else_is_said_or_taken_back_is_no_abstention(said):
    assert not is_abstention(said)


def test_silence_is_no_abstention():
    assert abstention(episode(), NOTHING).raw == 0
    assert not is_abstention("unknown " * 50)


def test_where_there_is_no_answer_saying_so_is_right():
    unanswerable = msgspec.structs.replace(question(), answers=())
    for answer, raw in (("Cannot be determined.", 1), ("SCN1A", 0), ("", 0)):
        trajectory = episode(answering(answer), asked=unanswerable)
        assert accuracy(trajectory, NOTHING).raw == raw
        assert abstention(trajectory, NOTHING).raw == raw
    assert accuracy(episode(asked=unanswerable), NOTHING).raw == 0
