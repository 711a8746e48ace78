"""Evidence: hops seen, passages cited, and the reward of each turn."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.records import Score
from medenv.reward import Knowledge, compose, turn_rewards
from medenv.reward.evidence import citation_precision, citations, evidence_recall, first_seen
from medenv.reward.process import MALFORMED_COST, REPEAT_COST, process, turn_values

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
