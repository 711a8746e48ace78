"""Answers to multiple choice: letter and text are one answer, and two options are none."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.records import Entity, Parsed, Question, Trajectory, Turn
from medenv.reward import compose
from medenv.reward.answers.choices import judge_choice, picks, right_picks
from medenv.reward.components.contract import Knowledge
from medenv.reward.components.outcome import accuracy, list_f1

OPTIONS = ("Gout", "E. coli", "Type 1", "Marfan syndrome", "A fracture", "Hepatitis (B)")


def entity(name: str, *aliases: str) -> Entity:
    return Entity(id=f"q#{name}", kind="answer", name=name, aliases=aliases)


def question(*gold: Entity, options: tuple[str, ...] = OPTIONS, kind: str = "own") -> Question:
    gold = gold or (entity("Marfan syndrome", "MFS"),)
    return Question(id="q", text="Which?", kind=kind, answers=gold, options=options)


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "D",
            "d",
            "(D)",
            "[D]",
            "D.",
            "D)",
            "D:",
            "Option D",
            "option (D)",
            "Choice D",
            "Answer D",
        ),
        *("D) Marfan syndrome", "D. marfan syndrome", "(D) Marfan syndrome.", "D - MFS"),
        *("D: Marfan's syndrome", "D (Marfan syndrome)", "D\nMarfan syndrome"),
        *("Marfan syndrome", "the MARFAN SYNDROME", "MFS", "Marfan syndrome (D)"),
        *("Marfan syndrome (option D)", "The answer is D.", "Answer: D", "D is the correct answer"),
        *("The correct answer is (D) Marfan syndrome.", "The best answer is option D", "D [2]"),
        *("**D**", "**D. Marfan syndrome**", "\\boxed{D}", "$\\boxed{\\text{D}}$", "<b>D</b>"),
    ],
)
def test_letter_and_text_are_one_answer(answer: str) -> None:
    match = judge_choice(answer, question())
    assert match.right
    assert match.entity == "q#Marfan syndrome"
    assert picks(answer, question()) == {3}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("C) Marfan syndrome", "wrong"),
        ("Marfan syndrome (A)", "wrong"),
        ("D) Gout", "wrong"),
        ("A or D", "wrong"),
        ("A, D", "hedged"),
        ("D and A", "hedged"),
        ("D; Marfan syndrome", "wrong"),
        ("not D", "wrong"),
        ("D?", "wrong"),
        ("~~D~~", "wrong"),
        ("¬D", "wrong"),
        ("The answer is D, not A", "wrong"),
        ("A. The answer is D", "wrong"),
        ("\N{CYRILLIC CAPITAL LETTER A}", "wrong"),
        ("Z", "wrong"),
        ("D" * 10_000, "wrong"),
        ("A", "other_entity"),
        ("E. coli", "other_entity"),
        ("A fracture", "other_entity"),
        ("Hepatitis (B)", "other_entity"),
        ("", "empty"),
        (" \n", "empty"),
        (None, "empty"),
    ],
)
def test_anything_else_is_wrong(answer: str | None, kind: str) -> None:
    match = judge_choice(answer, question())
    assert match.kind == kind
    assert not match.right


def test_an_option_that_looks_like_a_label_is_read_by_its_text() -> None:
    assert picks("E. coli", question()) == {1}
    assert picks("B. E. coli", question()) == {1}
    assert picks("A fracture", question()) == {4}
    assert picks("fracture", question()) == {4}  # an article says nothing
    assert picks("E) a fracture", question()) == {4}


def test_texts_that_only_normalise_alike_are_told_apart_or_refused() -> None:
    asked = question(entity("increases"), options=("increase", "increases", "no change"))
    assert judge_choice("increases", asked).right
    assert not judge_choice("increase", asked).right
    assert judge_choice("B", asked).right
    assert not picks(
        "an increase", question(entity("increases"), options=("the increase", "increases"))
    )


def test_all_right_options_are_asked_for_by_the_kind() -> None:
    gold = entity("Gout"), entity("Type 1")
    every, either = question(*gold, kind="list:answer"), question(*gold)
    for answer in ("A, C", "C and A", "A\nC", "Gout; Type 1", "(A), (C)"):
        assert judge_choice(answer, every).kind == "list"
        assert judge_choice(answer, either).kind == "hedged"
    for answer in ("A", "A, B", "A, B, C", "A, A"):
        assert not judge_choice(answer, every).right
    assert judge_choice("C", either).right
    assert right_picks("A, B", every) == {0}


def played(asked: Question, answer: str) -> Trajectory:
    turn = Turn(text=answer, parsed=Parsed(answer=answer))
    return Trajectory(question=asked, turns=(turn,), ending="answered", answer=answer)


def test_components_judge_choices() -> None:
    assert accuracy(played(question(), "(D)"), Knowledge()).raw == 1.0
    assert accuracy(played(question(), "(A)"), Knowledge()).raw == 0.0
    assert compose("composite")(played(question(), "D")).parts["accuracy"].raw == 1.0
    every = question(entity("Gout"), entity("Type 1"), kind="list:answer")
    assert list_f1(played(every, "A, B"), Knowledge()).raw == pytest.approx(0.5)
    assert list_f1(played(every, "A, C"), Knowledge()).raw == 1.0
    assert list_f1(played(every, "nothing"), Knowledge()).raw == 0.0
    lost = msgspec.structs.replace(question(), answers=())
    assert accuracy(played(lost, "unknown"), Knowledge()).raw == 1.0


def test_a_gold_answer_that_is_no_option_is_refused() -> None:
    with pytest.raises(UsageError, match="FBN1"):
        judge_choice("A", question(entity("FBN1")))


@given(st.text(max_size=40))
def test_no_text_picks_more_than_it_says(answer: str) -> None:
    picked = picks(answer, question())
    assert picked <= set(range(len(OPTIONS)))
    assert judge_choice(f"not {answer}", question()).right is False
