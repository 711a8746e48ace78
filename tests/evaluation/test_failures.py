"""Each wrong episode falls into the class that its script was written for."""

import itertools

import msgspec
import pytest

from medenv.evaluation.failures import HELP, Failure, FailureClass, failure_of
from medenv.evaluation.summary import with_missing
from medenv.records import (
    Certificate,
    Entity,
    Hop,
    Parsed,
    Part,
    Question,
    Score,
    Scored,
    ToolCall,
    ToolResult,
    Trajectory,
    Turn,
)

NUMBERS = range(20)


def named(kind: str, i: int) -> Entity:
    return Entity(id=f"{kind[0].upper()}:{i}", kind=kind, name=f"{kind.capitalize()} number {i}")


def asked(i: int) -> Question:
    """Which gene is associated with the one disease of a finding? Two hops, each in a document."""
    finding, disease, gene = (named(kind, i) for kind in ("finding", "disease", "gene"))
    path = (
        Hop(head=finding.id, relation="phenotype_of", tail=disease.id, passages=(f"F:{i}#0",)),
        Hop(head=disease.id, relation="has_gene", tail=gene.id, passages=(f"D:{i}#1",)),
    )
    return Question(
        id=f"test:{i}",
        text=f'"{finding.name}" is reported in exactly one disease. Which gene has that disease?',
        kind="finding>disease>gene",
        split="test",
        topic=finding,
        answers=(gene,),
        certificate=Certificate(
            query=["walk", finding.id, ["phenotype_of", "has_gene"]],
            answers=(gene.id,),
            path=path,
            min_hops=2,
            min_calls=2,
            chance=0.01,
        ),
    )


def search(query: str, *shown: tuple[str, str, str], status: str = "ok") -> Turn:
    """A search and its results, each a passage id, a title and a text."""
    text = "\n".join(
        f"[{n}] ({passage}) {title}: {told}" for n, (passage, title, told) in enumerate(shown, 1)
    )
    call = ToolCall(id="0.0", name="search", arguments={"query": query})
    result = ToolResult(
        call_id="0.0",
        tool="search",
        status=status,  # type: ignore[arg-type]  # one of the five
        text=text,
        passages=tuple(passage for passage, _, _ in shown),
    )
    parsed = Parsed(calls=(("search", {"query": query}),))
    return Turn(text=query, parsed=parsed, calls=(call,), results=(result,), observation=text)


def answer(text: str) -> Turn:
    return Turn(text=text, parsed=Parsed(answer=text))


def first(i: int) -> Turn:
    finding, disease = named("finding", i), named("disease", i)
    listed = f"Reported in: {disease.name}, Disease number {i + 50}."
    return search(finding.name, (f"F:{i}#0", finding.name, listed))


def second(i: int) -> Turn:
    disease = named("disease", i)
    told = f"Associated genes: Gene number {i}, Gene number {i + 50}."
    return search(disease.name, (f"D:{i}#1", disease.name, told))


def front(i: int) -> Turn:
    """The first passage of the disease, which does not name the gene."""
    disease = named("disease", i)
    return search(disease.name, (f"D:{i}#0", disease.name, "It begins in childhood."))


BROKEN = Turn(text="<tool_call>{", parsed=Parsed(problems=("the call is no JSON object",)))
LOST = search("Disease", status="failed")

SCRIPTS = {
    FailureClass.MALFORMED: lambda i: ("turns", [first(i), BROKEN, BROKEN]),
    FailureClass.RAN_OUT: lambda i: ("calls", [first(i), first(i), first(i)]),
    FailureClass.STOPPED_ON_THE_WAY: lambda i: (
        "answered",
        [first(i), second(i), answer(f"Disease number {i}")],
    ),
    FailureClass.WRONG_OF_SEVERAL: lambda i: (
        "answered",
        [first(i), second(i), answer(f"Gene number {i + 50}")],
    ),
    FailureClass.NOT_USED: lambda i: ("answered", [first(i), second(i), answer("unknown")]),
    FailureClass.TOOL_FAILURE: lambda i: ("answered", [first(i), LOST, answer("unknown")]),
    FailureClass.NEVER_SEARCHED: lambda i: ("answered", [answer(f"Gene number {i + 7}")]),
    FailureClass.NO_EVIDENCE: lambda i: ("answered", [first(i), answer(f"Gene number {i + 7}")]),
    FailureClass.NOT_OPENED: lambda i: ("answered", [first(i), front(i), answer("unknown")]),
    FailureClass.NOT_RETRIEVED: lambda i: (
        "answered",
        [first(i), answer(f"Disease number {i + 50}")],
    ),
}


def played(i: int, ending: str, turns: list[Turn]) -> Scored:
    right = turns[-1].parsed.answer == f"Gene number {i}"
    trajectory = Trajectory(
        question=asked(i),
        turns=tuple(turns),
        ending=ending,  # type: ignore[arg-type]  # one of the endings
        answer=turns[-1].parsed.answer,
    )
    part = Part(raw=float(right), weight=1.0, weighted=float(right))
    return Scored(trajectory=trajectory, score=Score(total=part.raw, parts={"accuracy": part}))


def test_two_hundred_scripted_episodes_fall_into_their_classes() -> None:
    agreed = [
        (why, failure_of(played(i, *script(i))))
        for (why, script), i in itertools.product(SCRIPTS.items(), NUMBERS)
    ]
    assert len(agreed) == 200
    assert [(why, found.why) for why, found in agreed if found and found.why != why] == []
    assert all(found is not None for _, found in agreed)


@pytest.mark.parametrize(
    ("why", "turn", "detail"),
    [
        (FailureClass.MALFORMED, 2, "the call is no JSON object"),
        (FailureClass.RAN_OUT, 2, "calls"),
        (FailureClass.TOOL_FAILURE, 1, "has_gene"),
        (FailureClass.NOT_USED, 1, "has_gene"),
        (FailureClass.NOT_OPENED, 1, "has_gene"),
        (FailureClass.NEVER_SEARCHED, 0, "F:3"),
    ],
)
def test_the_turn_that_decided_is_told(why: FailureClass, turn: int, detail: str) -> None:
    assert failure_of(played(3, *SCRIPTS[why](3))) == Failure(why, turn, detail)


def test_a_right_answer_is_no_failure_however_it_came_about() -> None:
    assert failure_of(played(1, "answered", [answer("Gene number 1")])) is None
    assert failure_of(played(1, "answered", [first(1), second(1), answer("Gene number 1")])) is None


def test_an_episode_that_never_came_and_a_question_without_a_certificate_are_told_apart() -> None:
    (missing,) = with_missing([], [asked(1)], 1)
    assert failure_of(missing) == Failure(
        FailureClass.INFRASTRUCTURE, detail="the episode never came"
    )
    plain = msgspec.structs.replace(asked(1), certificate=None)
    wrong = played(1, "answered", [answer("Gene number 5")])
    bare = msgspec.structs.replace(
        wrong, trajectory=msgspec.structs.replace(wrong.trajectory, question=plain)
    )
    found = failure_of(bare)
    assert found is not None
    assert found.why == FailureClass.UNKNOWN


def test_another_call_after_a_failed_one_was_a_recovery() -> None:
    turns = [first(2), LOST, front(2), answer("unknown")]
    found = failure_of(played(2, "answered", turns))
    assert found is not None
    assert found.why == FailureClass.NOT_OPENED


def test_a_call_that_was_refused_is_no_search() -> None:
    turns = [search("Syndrome 3", status="bad_call"), answer("Gene number 9")]
    found = failure_of(played(3, "answered", turns))
    assert found is not None
    assert found.why is FailureClass.NEVER_SEARCHED


def test_each_class_names_what_would_help() -> None:
    assert set(HELP) == set(FailureClass)
