"""Each filter refuses what it names and nothing else; near-duplicates overlap."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.records import Part, Score, Scored, Status, ToolCall, ToolResult, Trajectory, Turn
from medenv.trajectories.duplicates import NearDuplicates
from medenv.trajectories.filters import (
    FilterContext,
    Limits,
    Refusal,
    Rejection,
    first_refusal,
    mistaken,
    repeated_pages,
    token_count,
)
from medenv.trajectories.records import Rollout
from medenv.trajectories.selection import Selection

from ..fakes import ENTITIES, HERMES, question

NAMES = {entity.id: (entity.name, *entity.aliases) for entity in ENTITIES}
BENCH = FilterContext(Limits(), NAMES)
FIRST = ("ectopia lentis", ("P:1#0",), "[1] (P:1#0) Ectopia lentis: Reported in: Marfan syndrome.")
SECOND = ("Marfan syndrome", ("D:1#0",), "[1] (D:1#0) Marfan syndrome: Gene: FBN1.")


def call(
    number: int,
    query: str,
    passages: tuple[str, ...],
    shown: str,
    thought: str = "",
    status: Status = "ok",
) -> Turn:
    text = HERMES.write_call("search", {"query": query}, thought or f"Let me look up {query}.")
    made = ToolCall(id=f"{number}.0", name="search", arguments={"query": query})
    result = ToolResult(
        call_id=made.id, tool="search", status=status, text=shown, passages=passages
    )
    return Turn(
        text=text, parsed=HERMES.parse(text), calls=(made,), results=(result,), observation=shown
    )


def answer(name: str = "FBN1", thought: str = "That settles it.") -> Turn:
    text = HERMES.write_answer(name, thought)
    return Turn(text=text, parsed=HERMES.parse(text))


GOOD = (call(0, *FIRST), call(1, *SECOND), answer())


def rollout(
    *turns: Turn, right: bool = True, i: int = 0, part: str = "guided", **changes
) -> Rollout:
    min_calls = changes.pop("min_calls", 2)
    asked = question(i)
    proof = msgspec.structs.replace(asked.certificate, min_calls=min_calls)
    trajectory = Trajectory(
        question=msgspec.structs.replace(asked, certificate=proof),
        turns=turns,
        **{"ending": "answered", "answer": "FBN1", **changes},
    )
    score = Score(
        total=float(right),
        parts={"accuracy": Part(raw=float(right), weight=1.0, weighted=float(right))},
    )
    scored = Scored(trajectory=trajectory, score=score)
    return Rollout(i=i, sample=0, part=part, teacher="test", scored=scored)  # type: ignore[arg-type]


def test_a_good_episode_passes_them_all() -> None:
    assert first_refusal(rollout(*GOOD), BENCH) is None


def failing(number: int) -> Turn:
    return call(number, *FIRST[:1], (), "Try again.", status="failed")


def unanswered() -> Turn:
    return msgspec.structs.replace(GOOD[0], results=())


def refused_by_the_budget() -> Turn:
    text = GOOD[0].text + HERMES.write_call("search", {"query": "more"})
    return msgspec.structs.replace(GOOD[0], text=text, parsed=HERMES.parse(text))


def with_control() -> Turn:
    return msgspec.structs.replace(GOOD[0], text=GOOD[0].text + "<|im_end|>")


@pytest.mark.parametrize(
    ("reason", "one"),
    [
        ("no answer: turns", rollout(*GOOD[:2], ending="turns", answer=None)),
        ("wrong answer", rollout(*GOOD, right=False)),
        ("a call without an answer", rollout(unanswered(), *GOOD[1:])),
        ("a call without an answer", rollout(refused_by_the_budget(), *GOOD[1:])),
        ("malformed", rollout(with_control(), *GOOD[1:])),
        ("no thought", rollout(call(0, *FIRST), call(1, *SECOND), Turn(
            text="<answer>FBN1</answer>", parsed=HERMES.parse("<answer>FBN1</answer>")))),
        ("a thought too long", rollout(*GOOD[:2], answer(thought="so " * 2000))),
        ("another language", rollout(*GOOD[:2], answer(thought="我认为这是正确的答案"))),
        ("another language", rollout(*GOOD[:2], answer(thought="это правильный ответ"))),
        ("too few turns", rollout(GOOD[1], answer())),
        ("a repeated call", rollout(GOOD[0], call(1, *FIRST), call(2, *SECOND), answer())),
        ("evidence not shown", rollout(GOOD[0], call(1, "x", ("D:2#0",), "FBN1 is"), answer())),
        ("evidence not shown", rollout(GOOD[0], call(1, "x", ("D:1#0",), "nothing"), answer())),
        ("leak: entity", rollout(call(0, *FIRST, "Marfan syndrome, I guess."), *GOOD[1:])),
        ("leak: mask", rollout(call(0, *FIRST, "([MASK], gene, [MASK])"), *GOOD[1:])),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_under_its_name(reason: str, one: Rollout) -> None:
    assert str(first_refusal(one, BENCH)) == reason


def test_ceilings_are_told() -> None:
    few = FilterContext(Limits(calls=1), NAMES)
    assert first_refusal(rollout(*GOOD), few) == Refusal(Rejection.MANY_CALLS)
    long = call(1, *SECOND[:2], "Marfan syndrome FBN1 " * 8000)
    assert first_refusal(rollout(GOOD[0], long, answer()), BENCH) == Refusal(Rejection.MANY_TOKENS)
    prompt = FilterContext(Limits(tokens=1_000), NAMES, prompt_chars=4_000)
    assert first_refusal(rollout(*GOOD), prompt) == Refusal(Rejection.MANY_TOKENS)
    chars = len(question().text) + sum(len(t.text) + len(t.observation) for t in GOOD)
    assert token_count(rollout(*GOOD).scored.trajectory, 400) == (chars + 400) // 4


def test_a_question_that_needs_one_call_may_take_two_turns() -> None:
    short = rollout(call(0, "x", ("D:1#0",), "Marfan syndrome, ectopia lentis: FBN1"), answer(),
                    min_calls=1)  # fmt: skip
    assert first_refusal(short, BENCH) is None


def test_a_call_that_failed_may_be_made_again() -> None:
    again = rollout(failing(0), call(1, *FIRST), call(2, *SECOND), answer())
    assert first_refusal(again, BENCH) is None


def test_greek_letters_are_no_other_language() -> None:
    assert (
        first_refusal(rollout(*GOOD[:2], answer(thought="the β-globin of α-thalassaemia")), BENCH)
        is None
    )


def test_thoughts_are_not_wanted_where_none_are() -> None:
    plain = [
        msgspec.structs.replace(t, text=(bare := t.text.split("</think>\n")[1]),
                                parsed=HERMES.parse(bare))
        for t in GOOD
    ]  # fmt: skip
    assert first_refusal(rollout(*plain), BENCH) == Refusal(Rejection.NO_THOUGHT)
    assert first_refusal(rollout(*plain), FilterContext(Limits(thoughts=False), NAMES)) is None


def test_a_reward_without_accuracy_is_refused() -> None:
    one = rollout(*GOOD)
    scored = msgspec.structs.replace(one.scored, score=Score(total=1.0, parts={}))
    with pytest.raises(UsageError, match="chosen by the score part 'accuracy', got none"):
        first_refusal(msgspec.structs.replace(one, scored=scored), BENCH)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"calls": 0}, "at least 1"), ({"similar": 0.0}, "similar in"), ({"foreign": 2.0}, "foreign")],
)
def test_limits_out_of_range_are_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Limits(**changes)  # type: ignore[arg-type]


def test_a_refused_call_is_a_mistake_and_a_search_without_results_is_none() -> None:
    def status(value: str) -> Turn:
        result = msgspec.structs.replace(GOOD[0].results[0], status=value)
        return msgspec.structs.replace(GOOD[0], results=(result,))

    assert mistaken(status("bad_call"))
    assert not mistaken(status("empty"))
    assert mistaken(Turn(text="", parsed=HERMES.parse("")))


def words(seed: int, count: int = 60) -> list[str]:
    rng = np.random.default_rng(seed)
    return [f"w{int(n)}" for n in rng.integers(0, 10_000, size=count)]


def jaccard(one: list[str], other: list[str]) -> float:
    """The overlap of the sequences of five words, by sets of tuples."""
    sets = [{tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_near_duplicates_are_those_whose_overlap_reaches_the_share(seed: int, changed: int) -> None:
    one = words(seed)
    other = list(one)
    for at in np.random.default_rng(seed).integers(0, 60, size=changed):
        other[int(at)] = "changed"
    finder = NearDuplicates(0.8)
    assert finder.add(" ".join(one)) is None
    found = finder.add(" ".join(other))
    assert (found == 0) == (jaccard(one, other) >= 0.8)


def test_a_near_duplicate_is_not_kept_and_case_and_signs_do_not_count() -> None:
    finder = NearDuplicates(0.9)
    assert finder.add("Alpha beta gamma delta epsilon zeta.") is None
    assert finder.add("alpha, BETA gamma: delta epsilon zeta") == 0
    assert finder.add("something else entirely, with other words in it") is None
    assert finder.add("something else entirely with other words in it!") == 1
    assert finder.add("short") is None
    assert finder.add("SHORT") == 2
    assert finder.add("Ménière and Behçet walk by the sea") is None
    assert finder.add("Me\u0301nie\u0300re and Behcet walk by the sea") == 3
    with pytest.raises(UsageError, match=r"similar in \(0, 1\], got 1.5"):
        NearDuplicates(1.5)


def test_a_selection_counts_reasons_fills_quotas_and_pairs_good_with_bad() -> None:
    selection = Selection({"guided": 2, "exploration": 1}, BENCH)
    bad = rollout(*GOOD, right=False)
    foil = rollout(*GOOD, right=False, part="foil")
    selection.take([bad])
    selection.take([rollout(*GOOD), msgspec.structs.replace(foil, sample=1)])
    assert [pair.reason for pair in selection.pairs] == ["wrong answer"]
    selection.take([rollout(*GOOD, i=1)])
    assert selection.rejected == {"wrong answer": 1, "near-duplicate": 1}
    other = (call(0, *FIRST, "Something quite different to think about here, at length."),
             call(1, *SECOND, "And once more other words than in any earlier thought."),
             answer(thought="In the end it has to be this gene and no other one."))  # fmt: skip
    selection.take([rollout(*other, i=2, part="exploration")])
    assert not selection.full
    assert not selection.wants("exploration")
    selection.take([rollout(*other, i=3, part="exploration")])
    assert (len(selection.accepted), selection.judged) == (2, 4)


def test_of_several_good_samples_the_first_are_kept() -> None:
    selection = Selection({"guided": 5}, FilterContext(Limits(similar=1.0), NAMES), per_question=1)
    two = msgspec.structs.replace(rollout(*GOOD[:2], answer(thought="Other words.")), sample=1)
    selection.take([rollout(*GOOD), two])
    assert [one.sample for one in selection.accepted] == [0]
    assert selection.rejected == {"enough of this question": 1}
    with pytest.raises(UsageError, match="per_question >= 1"):
        Selection({"guided": 1}, BENCH, per_question=0)


def test_who_reads_several_pages_again_is_refused() -> None:
    longer = "one two three four five six seven eight nine ten"
    page = ("first", ("P:1#0", "D:1#0"), f"Marfan syndrome: Gene: FBN1. Ectopia lentis. {longer}")
    again = (call(1, "second", *page[1:]), call(2, "third", *page[1:]))
    once, twice = (
        rollout(call(0, *page), again[0], answer()),
        rollout(call(0, *page), *again, answer()),
    )
    assert (repeated_pages(once), repeated_pages(twice)) == (1, 2)
    assert first_refusal(once, BENCH) is None
    assert first_refusal(twice, BENCH) == Refusal(Rejection.REPEATED_PAGES)
