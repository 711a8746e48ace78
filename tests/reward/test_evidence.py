"""Evidence: hops seen, passages cited, and the reward of each turn."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.records import Parsed, Score, Turn
from medenv.reward import Knowledge, compose, turn_rewards
from medenv.reward.components.confidence import calibration
from medenv.reward.components.cost import efficiency
from medenv.reward.components.evidence import (
    FREE_PASSAGES,
    FREE_QUESTIONS,
    citation_precision,
    citations,
    evidence_recall,
    first_seen,
)
from medenv.reward.components.process import (
    MALFORMED_COST,
    REPEAT_COST,
    process,
    turn_values,
)

from .builder import (
    ASSOCIATION,
    PRODUCT,
    SCN1A,
    answering,
    episode,
    malformed,
    question,
    search,
)

NOTHING = Knowledge()
GENE, OTHER_GENE = ASSOCIATION.passages
(PROTEIN,) = PRODUCT.passages
LETTERS = str.maketrans("0123456789", "ghijklmnop")
"""Digits to letters, so that texts differ in words and not in numbers."""


@pytest.mark.parametrize(
    ("shown", "recall"),
    [
        ([[]], 0),
        ([["OMIM:1#0"]], 0),
        ([[GENE]], 1 / 2),
        ([[OTHER_GENE]], 1 / 2),
        ([[GENE], [OTHER_GENE]], 1 / 2),
        ([[GENE], [PROTEIN]], 1),
        ([["OMIM:1#0", PROTEIN, GENE]], 1),
    ],
)
def test_a_hop_is_seen_where_one_of_its_passages_was_shown(shown, recall):
    turns = [search(str(i), passages=ids) for i, ids in enumerate(shown)]
    assert evidence_recall(episode(*turns, answering("SCN1A")), NOTHING).raw == recall


@pytest.mark.parametrize("status", ["empty", "bad_call", "unavailable"])
def test_a_call_that_failed_has_shown_nothing(status):
    assert evidence_recall(episode(search("x", status=status, passages=[GENE])), NOTHING).raw == 0


def test_a_passage_that_is_only_named_in_text_was_not_shown():
    named = episode(search(GENE, text=f"see [{GENE}]"), answering("SCN1A", before=f"[{GENE}]"))
    assert evidence_recall(named, NOTHING).raw == 0
    assert citation_precision(named, NOTHING).raw == 0


def test_hops_that_no_passage_states_are_left_out():
    silent = msgspec.structs.replace(PRODUCT, passages=())
    asked = question(SCN1A, path=(ASSOCIATION, silent))
    assert evidence_recall(episode(search("x", passages=[GENE]), asked=asked), NOTHING).raw == 1
    unsupported = episode(search("x", passages=[GENE]), asked=question(SCN1A, path=(silent,)))
    assert evidence_recall(unsupported, NOTHING).raw == 0
    assert "no hop" in evidence_recall(unsupported, NOTHING).reason


def test_the_first_turn_that_showed_a_hop_gets_the_credit():
    trajectory = episode(
        malformed(), search("a", passages=[PROTEIN]), search("b", passages=[GENE, PROTEIN])
    )
    assert first_seen(trajectory) == (2, 1)


@pytest.mark.parametrize(
    ("written", "cited"),
    [
        ("", set()),
        ("It is known.", set()),
        (f"[{GENE}]", {GENE}),
        (f"[{GENE}] and [{PROTEIN}]", {GENE, PROTEIN}),
        (f"[{GENE}, {PROTEIN}]", {GENE, PROTEIN}),
        (f"[{GENE}][{GENE}]", {GENE}),
        ("[1]", {"1"}),
        ("[]", set()),
        (f"[[{GENE}]]", {GENE}),
        (f"({GENE})", set()),
        ("[" + "x" * 300 + "]", set()),
    ],
)
def test_a_citation_is_an_id_in_square_brackets(written, cited):
    assert citations(episode(answering("SCN1A", before=written))) == cited


def test_only_the_turn_of_the_answer_cites():
    early = search("x", passages=[GENE])
    early = msgspec.structs.replace(early, text=f"[{GENE}] {early.text}")
    assert citations(episode(early, answering("SCN1A"))) == frozenset()
    assert citations(episode(early)) == frozenset()


@pytest.mark.parametrize(
    ("written", "precision"),
    [
        (f"[{GENE}]", 1),
        (f"[{GENE}] [OMIM:1#0]", 1 / 2),  # shown, but supports no hop
        (f"[{GENE}] [{PROTEIN}]", 1 / 2),  # supports a hop, but was never shown
        ("[OMIM:1#0] [7] [8]", 0),
        ("no citation", 0),
    ],
)
def test_a_citation_is_good_where_it_was_shown_and_supports_a_hop(written, precision):
    trajectory = episode(
        search("x", passages=[GENE, "OMIM:1#0"]), answering("SCN1A", before=written)
    )
    assert citation_precision(trajectory, NOTHING).raw == precision


def test_each_turn_is_worth_the_hops_it_was_first_to_show_less_its_waste():
    trajectory = episode(
        search("dravet", passages=[GENE]),
        search("dravet", passages=[OTHER_GENE]),
        malformed(),
        search("sodium", passages=[PROTEIN], problems=["one call too many"]),
        answering("SCN1A"),
    )
    assert turn_values(trajectory) == pytest.approx(
        [1 / 2, -REPEAT_COST, -MALFORMED_COST, 1 / 2 - MALFORMED_COST, 0]
    )
    assert process(trajectory, NOTHING).raw == pytest.approx(1 - REPEAT_COST - 2 * MALFORMED_COST)


def test_waste_alone_is_worth_nothing_and_not_less():
    assert process(episode(malformed(), malformed(), answering("SCN1A")), NOTHING).raw == 0


turns = st.lists(
    st.one_of(
        st.builds(
            search,
            st.sampled_from(["dravet", "sodium", "channel gene"]),
            passages=st.sampled_from([[], [GENE], [PROTEIN], [GENE, PROTEIN]]),
        ),
        st.just(malformed()),
    ),
    max_size=8,
)


@pytest.mark.parametrize("preset", ["process", "composite"])
@given(before=turns, answer=st.sampled_from(["SCN1A", "SCN2A"]))
def test_the_rewards_of_the_turns_add_up_to_the_total(preset, before, answer):
    trajectory = episode(*before, answering(answer))
    score = compose(preset)(trajectory)
    rewards = turn_rewards(trajectory, score)
    assert len(rewards) == len(trajectory.turns)
    assert sum(rewards) == pytest.approx(score.total)
    if answer != "SCN1A" or preset == "composite":
        assert rewards[:-1] == [0] * len(before)


def test_a_turn_that_brought_a_hop_gets_its_share_of_the_process_part():
    trajectory = episode(
        search("dravet", passages=[GENE]), search("sodium", passages=[PROTEIN]), answering("SCN1A")
    )
    score = compose("process")(trajectory)
    assert score.total == pytest.approx(1.5)
    assert turn_rewards(trajectory, score) == pytest.approx([0.15, 0.15, 1.2])


def test_an_episode_without_turns_has_no_turn_to_reward():
    assert turn_rewards(episode(), compose("process")(episode())) == []


def test_a_score_without_total_cannot_be_spread():
    with pytest.raises(UsageError, match=r"has no total to spread over turns; mask"):
        turn_rewards(episode(), Score(total=None, parts={}))


def noted(answer, notes, thought=""):
    """The turn of an answer as a dialect reads it: notes apart from private thoughts."""
    return Turn(
        text=f"<think>{thought}</think>{notes}<answer>{answer}</answer>",
        parsed=Parsed(thought=thought + notes, answer=answer, notes=notes),
    )


def unnumbered(turn):
    """The same turn, its results without numbers."""
    results = tuple(msgspec.structs.replace(one, numbered=False) for one in turn.results)
    return msgspec.structs.replace(turn, results=results)


@pytest.mark.parametrize(
    ("before", "written", "cited"),
    [
        ([[GENE, PROTEIN]], "[1]", {GENE}),
        ([[GENE, PROTEIN]], "[2]", {PROTEIN}),
        ([[GENE, PROTEIN]], "[1][2]", {GENE, PROTEIN}),
        ([[GENE, PROTEIN]], f"[1, {GENE}]", {GENE}),  # one passage, cited twice
        ([[GENE, PROTEIN]], "[3]", {"3"}),
        ([[GENE, PROTEIN]], "[0] [-1] [01] [²]", {"0", "-1", "01", "²"}),
        ([[GENE], [PROTEIN]], "[1]", {PROTEIN}),  # the last list
        ([[GENE, PROTEIN], []], "[2]", {PROTEIN}),  # one without passages numbers nothing
        ([["7", GENE]], "[7] [2]", {"7", GENE}),  # an id is an id
        ([], "[1]", {"1"}),
    ],
)
def test_a_number_is_the_passage_that_the_last_numbered_list_showed_under_it(
    before, written, cited
):
    turns = [search(str(i), passages=ids) for i, ids in enumerate(before)]
    assert citations(episode(*turns, noted("SCN1A", written))) == cited


def test_a_result_that_does_not_number_its_passages_leaves_the_numbers_as_they_are():
    read = unnumbered(search("read", passages=[PROTEIN]))
    trajectory = episode(search("x", passages=[GENE]), read, noted("SCN1A", "[1]"))
    assert citations(trajectory) == {GENE}


def test_a_number_supports_a_hop_as_the_id_does():
    turns = [search("a", passages=["OMIM:1#0", GENE])]
    assert citation_precision(episode(*turns, noted("SCN1A", "[2]")), NOTHING).raw == 1
    assert citation_precision(episode(*turns, noted("SCN1A", "[1]")), NOTHING).raw == 0
    assert citation_precision(episode(*turns, noted("SCN1A", "[1] [2]")), NOTHING).raw == 1 / 2


def test_citations_at_the_end_of_the_answer_count():
    shown = search("a", passages=[GENE])
    assert citations(episode(shown, noted("SCN1A [1]", ""))) == {GENE}
    assert citations(episode(shown, noted(f"SCN1A [{GENE}].", ""))) == {GENE}
    assert citations(episode(shown, noted("[18F]fluorodeoxyglucose", ""))) == set()


def test_a_thought_cites_nothing():
    shown = search("a", passages=[GENE])
    assert citations(episode(shown, noted("SCN1A", "", thought=f"[{GENE}]"))) == set()


@pytest.mark.parametrize(
    "forged", ["<tool_response>", "<information>", "\nObservation:", "<|im_end|>"]
)
def test_a_record_without_notes_cites_where_it_neither_thinks_nor_forges(forged):
    text = f"<think>[{PROTEIN}]</think> [{GENE}] <answer>SCN1A</answer>{forged}[{OTHER_GENE}]"
    turn = Turn(text=text, parsed=Parsed(answer="SCN1A"))
    assert citations(episode(search("a", passages=[GENE]), turn)) == {GENE}


def spread(passages, questions, *, hops=2, needed=2):
    """An episode that saw all hops among so many passages, by so many questions, in one call."""
    ids = [GENE, PROTEIN, *(f"OMIM:1#{i}" for i in range(passages - 2))]
    query = [f"question number {i}" for i in range(questions)]
    asked = question(SCN1A, path=(ASSOCIATION, PRODUCT)[:hops], min_calls=needed)
    return episode(search(query, passages=ids), answering("SCN1A"), asked=asked)


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("passages", [2, 20, 21, 30, 31, 60, 1000])
def test_evidence_pays_the_less_the_more_passages_were_shown_beyond_the_free_ones(passages, hops):
    trajectory = spread(passages, 1, hops=hops)
    wanted = min(1.0, FREE_PASSAGES * (hops + 1) / passages)
    assert evidence_recall(trajectory, NOTHING).raw == pytest.approx(wanted)
    assert process(trajectory, NOTHING).raw == pytest.approx(wanted)


@pytest.mark.parametrize("questions", [1, 12, 13, 24, 120])
def test_evidence_pays_the_less_the_more_was_asked_beyond_the_free_questions(questions):
    trajectory = spread(2, questions, needed=2)
    wanted = min(1.0, FREE_QUESTIONS * 3 / questions)
    assert evidence_recall(trajectory, NOTHING).raw == pytest.approx(wanted)
    assert process(trajectory, NOTHING).raw == pytest.approx(wanted)


def test_a_question_repeated_within_one_call_costs_its_turn():
    once = search(["dravet syndrome"], passages=[GENE])
    again = search(["dravet syndrome"] * 3, passages=[GENE])
    assert turn_values(episode(once, answering("SCN1A"))) == pytest.approx([1 / 2, 0])
    assert turn_values(episode(again, answering("SCN1A"))) == pytest.approx(
        [1 / 2 - 2 * REPEAT_COST, 0]
    )


@pytest.mark.parametrize("component", [evidence_recall, process, efficiency])
def test_a_spam_of_calls_takes_time_linear_in_their_number(component):
    def seconds(count):
        queries = [f"{i:x} of the {i * i:x}".translate(LETTERS) for i in range(count)]
        made = [
            search(queries[at : at + 50], passages=[f"OMIM:{at}#0"]) for at in range(0, count, 50)
        ]
        trajectory = episode(*made, answering("SCN1A"))
        begun = time.process_time()
        component(trajectory, NOTHING)
        return time.process_time() - begun

    short = min(seconds(1_000) for _ in range(3))
    assert min(seconds(10_000) for _ in range(2)) < 3 * 10 * short + 0.01


@pytest.mark.parametrize(
    "unit",
    ["[1]", "[1, ", "[", "<confidence>", "<confidence>1 ", "<confidence>1%", " ", "</think>"],
)
@pytest.mark.parametrize("component", [citation_precision, calibration])
def test_notes_and_answers_are_read_in_time_linear_in_their_length(component, unit):
    def seconds(count):
        written = "<confidence>1" + unit * count
        turns = [noted("SCN1A " + unit * count, written), answering("SCN1A", before=written)]
        begun = time.process_time()
        for turn in turns:
            component(episode(turn), NOTHING)
        return time.process_time() - begun

    short = min(seconds(2_000) for _ in range(3))
    assert min(seconds(20_000) for _ in range(2)) < 5 * 10 * short + 0.01
