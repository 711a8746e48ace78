"""Each component by its own definition."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.records import Entity, ToolCall
from medenv.reward import EntityNames, Knowledge
from medenv.reward.components.contract import final_answer
from medenv.reward.components.cost import (
    CALL_TOKENS,
    MAX_EXTRA_CALLS,
    TURN_TOKENS,
    efficiency,
    spent_in,
)
from medenv.reward.components.outcome import accuracy, format_

from .builder import SCN1A, answering, episode, malformed, question, search

NOTHING = Knowledge()


def calls(*arguments, tool="search"):
    return [ToolCall(id=f"{i}.0", name=tool, arguments=one) for i, one in enumerate(arguments)]


def repeats_of(made):
    """Call id to its repeats, in an episode that made these calls."""
    turn = msgspec.structs.replace(search("x"), calls=tuple(made), results=())
    whole = msgspec.structs.replace(episode(), turns=(turn,))
    asked, repeats = spent_in(whole)
    assert asked >= len(made)
    return repeats


def asking(*queries):
    return calls(*({"query": query} for query in queries))


def different(n):
    words = ["kidney", "liver", "heart", "brain", "skin", "bone", "eye", "lung", "blood", "ear"]
    return [search(f"{words[i % 10]} {i}") for i in range(n)]


def test_an_answer_counts_only_where_the_policy_ended_by_it():
    assert final_answer(episode(answering("SCN1A"))) == "SCN1A"
    assert final_answer(episode(search("SCN1A"))) is None


@pytest.mark.parametrize("claimed", ["SCN1A", None])
def test_an_answer_that_the_last_turn_does_not_state_is_refused(claimed):
    forged = msgspec.structs.replace(episode(answering("SCN2A")), answer=claimed, ending="answered")
    with pytest.raises(UsageError, match="its last turn states 'SCN2A'"):
        final_answer(forged)


def test_an_answer_without_any_turn_is_refused():
    forged = msgspec.structs.replace(episode(), answer="SCN1A", ending="answered")
    with pytest.raises(
        UsageError, match=r"claims the answer 'SCN1A', but its last turn states None"
    ):
        final_answer(forged)


def test_a_near_miss_pays_its_declared_share():
    gold = Entity(id="D:1", kind="disease", name="Pheochromocytoma")
    trajectory = episode(answering("Pheochromocitoma"), asked=question(gold))
    names = EntityNames([gold])
    assert accuracy(trajectory, Knowledge(names=names)).raw == 1
    assert accuracy(trajectory, Knowledge(names=names, near=0.5)).raw == 0.5
    assert accuracy(trajectory, NOTHING).raw == 0


def test_accuracy_says_why():
    assert accuracy(episode(answering("SCN1A")), NOTHING).reason.startswith("exact: ")
    assert accuracy(episode(), NOTHING).reason == "empty: no answer was given"


@pytest.mark.parametrize(
    ("turns", "raw"),
    [
        ([answering("SCN1A")], 1),
        ([search("a"), answering("SCN1A")], 1),
        ([malformed(), answering("SCN1A")], 0),
        ([search("a", problems=["one call too many"]), answering("SCN1A")], 0),
        ([search("a")], 0),
        ([answering(" ")], 0),
        ([], 0),
    ],
)
def test_format_asks_for_well_formed_turns_and_an_answer(turns, raw):
    assert format_(episode(*turns), NOTHING).raw == raw


@pytest.mark.parametrize("made", range(15))
@pytest.mark.parametrize("needed", [0, 2, 5])
def test_efficiency_falls_in_a_line_from_the_fewest_calls_needed(made, needed):
    asked = question(min_calls=needed)
    value = efficiency(episode(*different(made), answering("SCN1A"), asked=asked), NOTHING)
    lost = max(0, made - needed) / MAX_EXTRA_CALLS
    assert value.raw == pytest.approx(max(0.0, 1.0 - lost))


def test_efficiency_counts_a_repeat_twice():
    once = episode(search("dravet"), search("sodium"), search("gene"), answering("SCN1A"))
    twice = episode(search("dravet"), search("sodium"), search("dravet"), answering("SCN1A"))
    lost = 1 / MAX_EXTRA_CALLS
    assert efficiency(once, NOTHING).raw == pytest.approx(1 - lost)
    assert efficiency(twice, NOTHING).raw == pytest.approx(1 - 2 * lost)


def test_efficiency_forgives_calls_that_the_outside_world_failed():
    failed = [search("dravet", status="unavailable") for _ in range(9)]
    assert efficiency(episode(*failed, *different(2), answering("SCN1A")), NOTHING).raw == 1


def test_efficiency_charges_calls_that_the_policy_got_wrong():
    refused = [search(f"{i}", status="bad_call") for i in range(4)]
    assert efficiency(episode(*refused, answering("SCN1A")), NOTHING).raw == 1 - 2 / MAX_EXTRA_CALLS


def wordy(*tokens, needed=2):
    """An episode that made the calls needed and wrote so many tokens in its turns."""
    turns = [*different(len(tokens) - 1), answering("SCN1A")]
    counted = [
        msgspec.structs.replace(turn, tokens=n) for turn, n in zip(turns, tokens, strict=True)
    ]
    return episode(*counted, asked=question(min_calls=needed))


@pytest.mark.parametrize("extra", [0, 1, CALL_TOKENS, 3 * CALL_TOKENS, 100 * CALL_TOKENS])
def test_efficiency_charges_tokens_beyond_those_of_the_needed_turns(extra):
    value = efficiency(wordy(TURN_TOKENS, TURN_TOKENS, TURN_TOKENS + extra), NOTHING)
    assert value.raw == pytest.approx(max(0.0, 1.0 - extra / CALL_TOKENS / MAX_EXTRA_CALLS))
    assert ("tokens" in value.reason) == (extra > 0)


@given(tokens=st.lists(st.integers(0, 5000), min_size=3, max_size=3), more=st.integers(0, 5000))
def test_more_tokens_never_pay_more_and_few_pay_no_more_than_uncounted_ones(tokens, more):
    first, *others = tokens
    assert efficiency(wordy(first + more, *others), NOTHING).raw <= (
        efficiency(wordy(first, *others), NOTHING).raw
    )
    assert efficiency(wordy(*tokens), NOTHING).raw <= efficiency(wordy(0, 0, 0), NOTHING).raw == 1


def test_tokens_are_charged_on_top_of_calls_and_saving_them_buys_no_call():
    lost = 1 / MAX_EXTRA_CALLS
    spent = wordy(1, 1, 1, 4 * TURN_TOKENS, needed=2)
    assert efficiency(spent, NOTHING).raw == pytest.approx(1 - 2 * lost, abs=0.01)
    assert efficiency(wordy(1, 1, 1, 1, needed=2), NOTHING).raw == pytest.approx(1 - lost)


@pytest.mark.parametrize(
    ("made", "repeats"),
    [
        (asking("dravet syndrome", "dravet syndrome"), 1),
        (asking("dravet syndrome", "Dravet syndrome"), 1),
        (asking("gene of dravet syndrome", "dravet syndrome gene of"), 1),
        (asking("dravet syndrome gene", "dravet syndrome genes"), 1),
        (asking("a", "a", "a"), 2),
        (asking("", ""), 1),
        (asking("KCNQ2 epilepsy", "KCNQ3 epilepsy"), 0),
        (asking("hemophilia A cause", "hemophilia B cause"), 0),
        (asking("dravet syndrome", "marfan syndrome"), 0),
        (asking("dravet syndrome", "sodium channel"), 0),
        (asking("causes of hypokalemia", "causes of hyperkalemia"), 0),
        (asking("gene of galactosemia", "gene of galactosuria"), 0),
        (calls({"query": "dravet", "page": 1}, {"query": "dravet", "page": 2}), 0),
        (calls({"query": "dravet", "page": 2}, {"query": "dravet", "page": 2}), 1),
        (calls({"query": ["dravet", "gene"]}, {"query": ["dravet", "gene"]}), 2),
        (calls({"query": ["dravet", "dravet", "Dravet?"]}), 2),
        (calls({"query": ["dravet", "gene"]}, {"query": "gene"}), 1),
        (calls({"query": [7, 7, None]}), 1),
        (calls({"query": []}, {"query": []}), 1),
        (calls({"queries": ["a b", "b a"]}, tool="find"), 1),
        (calls({"present": ["fever", "rash"]}, {"present": ["fever"]}, tool="diagnose"), 0),
        (asking("What is the gene of Dravet syndrome?", "gene Dravet syndrome"), 1),
        (asking("the", "the the", "The, the!"), 2),
        (asking("dravet dravet dravet", "dravet"), 1),
        (asking("type 1 diabetes", "type 2 diabetes"), 0),
        (calls({"query": ["dravet gene"]}, {"query": "dravet gene"}), 1),
        (calls({"id": "OMIM:1#0"}, {"id": "OMIM:1#1"}, tool="read"), 0),
        (calls({"id": "OMIM:1#0"}, tool="read") + calls({"id": "OMIM:1#0"}), 0),
        (calls({}, {}), 1),
        ([], 0),
    ],
)
def test_a_repeat_asks_the_same_tool_the_same_thing(made, repeats):
    assert sum(repeats_of(made).values()) == repeats


def test_the_gold_answer_of_any_kind_is_right():
    term = Entity(id="HP:1", kind="phenotype", name="Febrile seizures")
    assert accuracy(episode(answering("febrile seizure"), asked=question(term)), NOTHING).raw == 1
    assert accuracy(episode(answering("SCN1A"), asked=question(SCN1A, term)), NOTHING).raw == 1


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_efficiency_counts_the_queries_of_a_batch_as_it_counts_calls(size):
    queries = [turn.calls[0].arguments["query"] for turn in different(size)]
    batch = episode(search(queries), answering("SCN1A"), asked=question(min_calls=1))
    single = episode(*different(size), answering("SCN1A"), asked=question(min_calls=1))
    value = efficiency(batch, NOTHING)
    assert value.raw == efficiency(single, NOTHING).raw == 1 - (size - 1) / MAX_EXTRA_CALLS


def test_efficiency_counts_a_repeat_within_a_batch_twice():
    batch = episode(search(["dravet", "dravet"]), answering("SCN1A"), asked=question(min_calls=1))
    assert efficiency(batch, NOTHING).raw == 1 - 2 / MAX_EXTRA_CALLS


def test_the_findings_of_a_patient_are_one_question():
    findings = [f"finding {i}" for i in range(12)]
    asked = search("x")
    call = ToolCall(id="0.0", name="diagnose", arguments={"present": findings})
    turn = msgspec.structs.replace(asked, calls=(call,))
    assert (
        efficiency(episode(turn, answering("SCN1A"), asked=question(min_calls=1)), NOTHING).raw == 1
    )


def test_equal_questions_are_repeats_however_far_apart():
    words = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    made = asking("dravet syndrome", *words, "syndrome dravet")
    assert list(repeats_of(made)) == [made[-1].id]
