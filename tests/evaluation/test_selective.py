"""Confidence from agreement: levels, the area under the curve and calibration, another way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from medenv.evaluation.selective import selective
from medenv.evaluation.summary import summarise
from medenv.records import Part, Score, Scored, Trajectory

from ..fakes import question


def episode(number: int, answer: str | None, right: bool, sample: int) -> Scored:
    accuracy = Part(raw=float(right), weight=1.0, weighted=float(right))
    return Scored(
        trajectory=Trajectory(
            question=question(number), turns=(), ending="answered", answer=answer
        ),
        score=Score(total=float(right), parts={"accuracy": accuracy}),
        sample=sample,
    )


def asked(*groups: Sequence[str]) -> list[Scored]:
    """Questions with the answers of their samples; "gold" is right."""
    return [
        episode(number, answer, answer == "gold", sample)
        for number, answers in enumerate(groups)
        for sample, answer in enumerate(answers)
    ]


def test_confidence_is_the_share_of_the_answer_given_most_often() -> None:
    found = selective(
        asked(
            ("gold", "Gold ", "gold", "gold"),
            ("gold", "gold", "gold", "else"),
            ("else", "else", "gold", "other"),
            ("unknown", "unknown", "unknown", "gold"),
        )
    )
    assert found is not None
    assert [(one.confidence, one.coverage, one.accuracy) for one in found.levels] == [
        (1.0, 0.25, 1.0),
        (0.75, 0.5, 1.0),
        (0.5, 0.75, pytest.approx(2 / 3)),
    ]
    assert found.abstained == 0.25
    assert found.calibration == pytest.approx((0.0 + 0.25 + 0.5) / 3)


@pytest.mark.parametrize("seed", range(10))
def test_the_area_is_the_mean_risk_over_all_orders_of_ties(seed: int) -> None:
    rng = np.random.default_rng([3, seed])
    groups = [
        rng.choice(["gold", "else", "other"], 3, p=[0.5, 0.3, 0.2]).tolist() for _ in range(5)
    ]
    found = selective(asked(*groups))
    assert found is not None
    judged = []
    for group in groups:
        most = min(set(group), key=lambda answer: (-group.count(answer), answer))
        judged.append((group.count(most), most != "gold"))
    areas = []
    for order in itertools.permutations(judged):
        if list(order) == sorted(order, key=lambda one: -one[0]):
            wrong = np.cumsum([one[1] for one in order])
            areas.append(np.mean(wrong / np.arange(1, len(order) + 1)))
    assert found.aurc == pytest.approx(np.mean(areas))


def test_one_sample_says_nothing_and_silence_is_no_answer() -> None:
    assert selective(asked(("gold",), ("else", "else"))) is None
    assert selective([]) is None
    found = selective(asked(("", ""), ("unknown", "unknown")))
    assert found is not None
    assert (found.levels, found.abstained, found.aurc) == ((), 1.0, 0.0)


def test_what_right_answers_cost_counts_what_wrong_ones_spent() -> None:
    summary = summarise(asked(("gold", "else"), ("else", "else")))
    spent = {name: found.mean for name, found in summary.per_right.items()}
    assert spent == {"tool_calls": 0.0, "turns": 0.0}  # nobody counted tokens, seconds or money
    assert summary.selective is not None
    assert summarise(asked(("else", "else"))).per_right == {}
