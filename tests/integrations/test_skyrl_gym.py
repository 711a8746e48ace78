"""skyrl-gym makes medenv's environment under an id, and it pays what Gymnasium's pays."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from medenv.build.environment import registered_parts

from ..peers import ROOT, installed, run

HERE = Path(__file__).parent
PACKAGES = HERE / "skyrl_gym.txt"
"""skyrl-gym and what it needs beside the packages of the development environment."""

PARTS = registered_parts("medenv/Research-v0", split="test")
NUMBERS = range(len(PARTS.questions))


def turns(number: int) -> list[str]:
    """A policy's turns: some questions are answered wrongly, some after a malformed turn."""
    dialect, question = PARTS.rules.dialect, PARTS.questions[number]
    search = dialect.write_call("search", {"query": question.text})
    first = [search, "I wonder."] if number % 3 == 2 else [search]
    answer = "nobody" if number % 2 else question.answers[0].name
    return [*first, dialect.write_answer(answer)]


@pytest.fixture(scope="module")
def report(pytestconfig: pytest.Config) -> dict[str, Any]:
    packages = installed(pytestconfig, PACKAGES)
    written = json.dumps([turns(number) for number in NUMBERS])
    printed = run(
        packages, str(HERE / "skyrl_gym_peer.py"), written, PYTHONPATH=f"{packages}:{ROOT}"
    )
    found: dict[str, Any] = json.loads(printed)
    return found


@pytest.mark.parametrize("number", NUMBERS)
def test_an_episode_is_the_same_as_in_gymnasium(report: dict[str, Any], number: int) -> None:
    played = report["played"][number]
    env = PARTS.env()
    _, info = env.reset(options={"question": number})
    assert played["prompt"] == report["rows"][number]["prompt"] == info["messages"]
    assert played["question"] == report["rows"][number]["question"] == info["question_id"]
    for turn, step in zip(turns(number), played["steps"], strict=True):
        shown, reward, ended, cut, info = env.step(turn)
        done = ended or cut
        assert (step["reward"], step["done"]) == (reward, done)
        assert step["observations"] == ([] if done else [{"role": "user", "content": shown}])
        assert step["metadata"]["passages"] == list(info["passages"])
        assert step["metadata"]["problems"] == list(info["problems"])
    raw = {name: part.raw for name, part in info["score"].parts.items()}
    assert played["metrics"] == [{}, raw]
    assert step["metadata"]["ending"] == info["ending"] == "answered"
    assert played["turns"] == [len(turns(number)), PARTS.rules.max_turns]


def test_right_and_wrong_answers_were_played(report: dict[str, Any]) -> None:
    rewards = [one["steps"][-1]["reward"] for one in report["played"]]
    assert min(rewards) == 0.0
    assert max(rewards) > 1.0


def test_its_aggregation_takes_the_components(report: dict[str, Any]) -> None:
    accuracy = [one["metrics"][1]["accuracy"] for one in report["played"]]
    assert report["mean"]["accuracy"] == pytest.approx(fmean(accuracy))


def test_a_row_without_a_question_draws_one_by_its_seed(report: dict[str, Any]) -> None:
    expected = [PARTS.env().reset(seed=seed)[1]["question_id"] for seed in (3, 3, 4)]
    assert report["drawn"] == expected


def test_an_unknown_question_is_refused(report: dict[str, Any]) -> None:
    assert "no question has the id 'no such question'" in report["refused"]
