"""A rollout summed up, against figures counted by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from medenv.errors import DataError, UsageError
from medenv.evaluation.measures import is_missing, waste
from medenv.evaluation.summary import read_scored, summarise, with_missing, write_scored
from medenv.records import Scored

from ..report.builder import Call, question, rollout, scored, turn

EYE = {"query": "ectopia lentis"}
GENE = {"query": "Marfan syndrome gene"}

# Question 0, 2 hops: searched well and was right; searched badly and was wrong; wrote no answer.
GOOD = scored(
    question(0),
    [
        turn(0, "let me look", [("search", EYE, "ok")], shown="..."),
        turn(1, "and further", [("search", GENE, "ok")], shown="..."),
        turn(2, "so it is FBN1", answer="FBN1"),
    ],
    right=1.0,
)
WASTEFUL = scored(
    question(0),
    [
        turn(0, "a b c", [("search", EYE, "ok"), ("search", EYE, "ok")], shown="..."),
        turn(1, "d e", [("search", {"query": "zzz"}, "empty"), ("find", {}, "bad_call")]),
        turn(2, "f", [("search", {"query": str(i)}, "ok") for i in range(3)], shown="..."),
        turn(3, "g", answer="PKD1"),
    ],
    sample=1,
)
SILENT = scored(question(0), [turn(0, "hm", problems=("no call, no answer",))], ending="turns")
# Question 1, 1 hop: guessed without a search, and once the corpus was down.
GUESSED = scored(question(1, hops=1), [turn(0, "I know it", answer="PKD1")], right=1.0)
BROKEN = scored(
    question(1, hops=1),
    [turn(0, "look", [("search", EYE, "unavailable")])],
    ending="unavailable",
    infra=True,
)
EPISODES = [GOOD, WASTEFUL, SILENT, GUESSED, BROKEN]


def test_every_figure_is_the_one_counted_by_hand() -> None:
    got = summarise(EPISODES)
    means = {name: interval.mean for name, interval in got.measures.items()}
    assert means == pytest.approx(
        {
            "accuracy": 2 / 5,  # the one that never came is not right
            "well_formed": 3 / 4,
            "answered": 3 / 4,
            "tool_calls": (2 + 7) / 4,
            "searched": 2 / 4,
            "accuracy_searched": 1 / 2,
            "accuracy_unsearched": 1 / 2,
            "shown_proof": 0 / 2,
            "wasted_calls": (1 + 1 + 1 + 2) / 4,
            "turns": (3 + 4 + 1 + 1) / 4,
            "tokens": (3 + 2 + 4 + 3 + 2 + 1 + 1 + 1 + 3) / 4,
        }
    )
    assert (got.episodes, got.questions, got.missing) == (4, 2, 1)
    assert got.endings == {"answered": 3, "turns": 1}
    assert {hops: one.mean for hops, one in got.by["hops"].items()} == {"1": 1 / 2, "2": 1 / 3}
    assert got.by["kind"]["phenotype>disease>gene"].mean == 1 / 3
    assert set(got.by) == {"hops", "kind"}  # all are of one level, specialty and world
    assert got.chance == pytest.approx(0.004)
    assert got.parts["evidence"].mean == pytest.approx(0.25)


def test_several_samples_of_a_question_are_figures_of_their_own() -> None:
    rights = {0: [1, 0, 0, 1], 1: [0, 0, 0, 0], 2: [1, 1, 1, 1]}
    episodes = [
        scored(question(number), [turn(0, "x", answer="FBN1")], right=float(right), sample=sample)
        for number, samples in rights.items()
        for sample, right in enumerate(samples)
    ]
    got = summarise(episodes)
    assert list(got.pass_at) == list(got.pass_hat) == [2, 4]
    assert got.pass_at[2].mean == pytest.approx((5 / 6 + 0 + 1) / 3)
    assert got.pass_hat[2].mean == pytest.approx((1 / 6 + 0 + 1) / 3)
    assert got.pass_at[4].mean == pytest.approx(2 / 3)
    assert got.pass_hat[4].mean == pytest.approx(1 / 3)
    assert got.pass_at[2].clusters == 3
    assert list(summarise(episodes[:-1]).pass_at) == [2, 3]
    assert summarise(EPISODES).pass_at[2].mean == pytest.approx((2 / 3 + 1) / 2)
    assert summarise(episodes[::4]).pass_at == {}


def test_each_wasted_call_counts_once_under_its_first_fault() -> None:
    # seven calls: one asked again, one empty, one malformed; four useful ones where two suffice
    assert waste(WASTEFUL) == (1, 1, 1, 2)
    assert waste(GOOD) == (0, 0, 0, 0)
    assert summarise(EPISODES).wasted == {
        "refused": 1 / 4,
        "repeated": 1 / 4,
        "empty": 1 / 4,
        "beyond": 2 / 4,
    }


def test_the_order_of_arguments_does_not_hide_a_repeated_call() -> None:
    made = [{"query": "a", "k": 3}, {"k": 3, "query": "a"}, {"query": "a", "k": 4}]
    calls: list[Call] = [("search", arguments, "ok") for arguments in made]
    asked = question(0, hops=3)
    assert waste(scored(asked, [turn(0, "x", calls, shown="...")])) == (0, 1, 0, 0)


def test_a_call_that_infrastructure_failed_is_not_held_against_the_policy() -> None:
    calls: list[Call] = [("search", EYE, "unavailable"), ("search", GENE, "ok")]
    one = scored(question(0), [turn(0, "x", calls, shown="...")])
    assert waste(one) == (0, 0, 0, 0)


def test_intervals_resample_questions_so_that_doubling_samples_changes_nothing() -> None:
    episodes = rollout(30, 2, skill=0.6, search=0.7)
    once, twice = summarise(episodes), summarise([*episodes, *episodes])
    assert twice.measures["accuracy"].clusters == 30
    for name in once.measures:
        ends = [(one.measures[name].low, one.measures[name].high) for one in (once, twice)]
        assert ends[0] == pytest.approx(ends[1])


def test_a_near_miss_is_not_right_but_its_partial_credit_shows_in_the_parts() -> None:
    near = scored(question(0), [turn(0, "x", answer="FBN")], right=0.5)
    got = summarise([near])
    assert got.measures["accuracy"].mean == 0.0
    assert got.parts["accuracy"].mean == 0.5


def test_tokens_that_nobody_counted_are_absent_and_not_zero() -> None:
    episode = rollout(1, 1, skill=1, search=0)[0]
    turns = tuple(msgspec.structs.replace(t, tokens=0) for t in episode.trajectory.turns)
    trajectory = msgspec.structs.replace(episode.trajectory, turns=turns)
    assert (
        "tokens"
        not in summarise([msgspec.structs.replace(episode, trajectory=trajectory)]).measures
    )


def test_what_never_came_has_a_place_and_what_came_keeps_its_own() -> None:
    asked = [question(0), question(1, hops=1), question(2)]
    whole = with_missing([WASTEFUL, GUESSED], asked, 2)
    found = [(one.trajectory.question.id, one.sample, is_missing(one)) for one in whole]
    assert found == [
        *(("test:0", 1, False), ("test:0", 0, True)),
        *(("test:1", 0, False), ("test:1", 1, True)),
        *(("test:2", 0, True), ("test:2", 1, True)),
    ]
    assert with_missing([GOOD, SILENT], asked[:1], 2) == [GOOD, SILENT]  # both of sample 0
    assert summarise(whole).missing == 4
    assert msgspec.json.decode(msgspec.json.encode(whole), type=list[Scored]) == whole


def test_no_episodes_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one scored episode, got none"):
        summarise([])


def test_nothing_but_infrastructure_failures_are_refused() -> None:
    with pytest.raises(UsageError, match="got 2 episodes of which all are infrastructure failures"):
        summarise([BROKEN, BROKEN])


def test_a_score_without_accuracy_is_refused_by_name() -> None:
    parts = {"cost": GOOD.score.parts["cost"]}
    odd = msgspec.structs.replace(GOOD, score=msgspec.structs.replace(GOOD.score, parts=parts))
    with pytest.raises(UsageError, match=r"named 'accuracy' for question 'test:0', got cost"):
        summarise([odd])


def test_a_rollout_file_reads_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rollout.jsonl"
    episodes = rollout(5, 2, skill=0.5, search=0.5)
    assert write_scored(path, episodes) == 10
    assert read_scored(path) == episodes


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_cut_file_is_refused_with_its_line(tmp_path: Path, share: float) -> None:
    path = tmp_path / "rollout.jsonl"
    write_scored(path, [GOOD, WASTEFUL])
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[: int(share * len(second))])
    with pytest.raises(DataError, match=r"rollout\.jsonl:2: expected a Scored"):
        read_scored(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read"):
        read_scored(tmp_path / "none.jsonl")


def test_the_builder_makes_the_same_episodes_from_the_same_seed() -> None:
    first: list[Scored] = rollout(4, 2, skill=0.5, search=0.5, seed=3)
    assert first == rollout(4, 2, skill=0.5, search=0.5, seed=3)
    assert np.unique([one.trajectory.question.id for one in first]).size == 4
