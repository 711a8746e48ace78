"""Finished evaluations held against one another, from the command line and from Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.errors import DataError, UsageError
from medenv.evaluation.compare import compare, read_evaluation
from medenv.evaluation.statistics import holm, sign_flip_test
from medenv.evaluation.summary import write_scored
from medenv.records import Scored

from ..report.builder import question, rollout, scored, turn


def answers(marks: Sequence[Sequence[int]]) -> list[Scored]:
    """Episodes that answer question i rightly where `marks[i]` says 1."""
    return [
        scored(
            question(i),
            [turn(0, "<answer>x</answer>", answer="x")],
            right=float(mark),
            sample=sample,
        )
        for i, samples in enumerate(marks)
        for sample, mark in enumerate(samples)
    ]


def evaluation(folder: Path, sampled: Sequence[Scored], greedy: Sequence[Scored] = ()) -> Path:
    """A folder as `recipes/evaluate.py` leaves it."""
    write_scored(folder / "sampled.jsonl", sampled)
    write_scored(folder / "greedy.jsonl", greedy)
    return folder


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "200"})
    return done.exit_code, done.output if done.exit_code == 0 else str(done.exception)


@settings(deadline=None)  # the first call imports scipy.stats
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=7))
def test_the_test_is_the_share_of_all_sign_flips_that_are_as_great(moved: list[float]) -> None:
    flips = [
        abs(sum(sign * one for sign, one in zip(signs, moved, strict=True)))
        for signs in product((-1, 1), repeat=len(moved))
    ]
    expected = sum(one >= abs(sum(moved)) - 1e-12 for one in flips) / len(flips)
    before = {str(i): 0.0 for i in range(len(moved))}
    after = {str(i): one for i, one in enumerate(moved)}
    assert sign_flip_test(before, after, seed=0) == pytest.approx(expected)


def test_policies_that_are_alike_are_told_apart_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng([5])
    below = 0
    for trial in range(400):
        sides = rng.random((2, 40)).round(1)
        before, after = ({str(i): float(v) for i, v in enumerate(side)} for side in sides)
        below += sign_flip_test(before, after, seed=trial, draws=400) < 0.05
    assert 5 <= below <= 36  # 20 expected; 99.9 % of binomial draws lie within


def test_the_test_refuses_other_questions() -> None:
    for before, after in (({}, {}), ({"a": 1.0}, {"b": 1.0})):
        with pytest.raises(UsageError, match="same questions"):
            sign_flip_test(before, after, seed=0)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.9], [1.0, 1.0]),
    ],
)
def test_holm_multiplies_step_by_step(given_: list[float], expected: list[float]) -> None:
    assert holm(given_) == pytest.approx(expected)


def test_flips_are_the_questions_whose_share_changed(tmp_path: Path) -> None:
    before = evaluation(tmp_path / "a", answers([(0, 0), (1, 1), (1, 0), (0, 1)]))
    after = evaluation(tmp_path / "b", answers([(1, 1), (0, 1), (0, 1), (0, 1)]))
    (found,) = compare([read_evaluation(before), read_evaluation(after)])
    assert [(one.question, one.before, one.after) for one in found.flips] == [
        ("test:0", 0.0, 1.0),
        ("test:1", 1.0, 0.5),
    ]
    assert (found.questions, found.dropped) == (4, 0)
    # +1 and -1/2 over four: of the four sign flips all are at least as great as +1/8
    head = found.rows[0]
    assert head.difference is not None
    assert head.difference.mean == pytest.approx(0.125)
    assert found.p == pytest.approx(1.0)
    assert {why: ends for why, ends in found.failures.items() if ends != (0, 0)}
    assert tuple(map(sum, zip(*found.failures.values(), strict=True))) == (4, 3)


def test_the_command_prints_and_writes_what_the_function_finds(tmp_path: Path) -> None:
    runs = [
        evaluation(tmp_path / name, rollout(12, 3, skill=skill, search=0.8, seed=i))
        for i, (name, skill) in enumerate((("a", 0.2), ("b", 0.9), ("c", 0.25)))
    ]
    page, out = tmp_path / "page.html", tmp_path / "all.json"
    code, told = run(*runs, "--json", out)
    assert code == 0
    found = json.loads(out.read_text())
    same = compare([read_evaluation(one) for one in runs])
    assert [one["p"] for one in found] == [one.p for one in same]
    assert [one["corrected"] for one in found] == holm([one.p for one in same])
    assert found[0]["p"] < 0.05 < found[1]["p"]
    assert "corrected for 2 comparisons" in told
    assert "changed most" in told
    assert "why not right" in told
    code, told = run(*runs[:2], "--page", page, "--flips", 0)
    assert (code, "changed most" in told) == (0, False)
    assert "Not medical advice" in page.read_text()
    assert "Accuracy before and after<" in page.read_text()  # nobody was trained in between


def test_runs_that_cannot_be_compared_are_told_in_one_line(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "one", answers([(1,), (0,)]))
    greedy = evaluation(tmp_path / "greedy", [], answers([(1,), (0,)]))
    other = [scored(question(9), [turn(0, "x", answer="x")])]
    elsewhere = evaluation(tmp_path / "elsewhere", other)
    (tmp_path / "empty").mkdir()
    cut = evaluation(tmp_path / "cut", answers([(1,), (0,)]))
    (cut / "sampled.jsonl").write_text((cut / "sampled.jsonl").read_text()[:-40])
    for folders, kind, words in (
        ((one,), UsageError, "two evaluations or more"),
        ((one, tmp_path / "empty"), DataError, "expected the folder of a finished evaluation"),
        ((one, elsewhere), UsageError, "none in common"),
        ((one, greedy), UsageError, "neither sampled nor greedy answers both"),
        ((one, cut), DataError, "sampled.jsonl"),
        ((one, one, one, "--page", tmp_path / "p.html"), UsageError, "got 3; leave --page out"),
    ):
        done = CliRunner().invoke(app, ["compare", *map(str, folders)])
        assert isinstance(done.exception, kind), (folders, done.exception)
        assert words in str(done.exception)
        assert "\n" not in str(done.exception)


def test_two_greedy_evaluations_are_compared_by_their_greedy_answers(tmp_path: Path) -> None:
    runs = [
        read_evaluation(evaluation(tmp_path / str(i), [], answers(marks)))
        for i, marks in enumerate(([(0,), (1,), (0,)], [(1,), (1,), (1,)]))
    ]
    (found,) = compare(runs)
    assert found.rows[0].difference is not None
    assert found.rows[0].difference.mean == pytest.approx(2 / 3)
    assert found.p == pytest.approx(0.5)


def test_a_greedy_evaluation_is_compared_with_the_greedy_answers_of_another(
    tmp_path: Path,
) -> None:
    greedy = evaluation(tmp_path / "greedy", [], answers([(1,), (0,)]))
    both = evaluation(tmp_path / "both", answers([(0, 0), (0, 0)]), answers([(1,), (1,)]))
    (found,) = compare([read_evaluation(greedy), read_evaluation(both)])
    assert found.rows[0].difference is not None
    assert found.rows[0].difference.mean == pytest.approx(0.5)
