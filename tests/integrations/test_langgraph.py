"""LangGraph's agents play episodes of medenv, and earn what Gymnasium's environment pays."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from medenv.envs.registration import make
from medenv.errors import MissingExtraError
from medenv.integrations.episode_tools import ANSWERED, ENDED

from ..peers import ROOT, gymnasium_episode, installed, reported, run

HERE = Path(__file__).parent
PACKAGES = HERE / "langgraph.txt"
"""LangGraph and what it needs beside the packages of the development environment."""


@pytest.fixture(scope="module")
def packages(pytestconfig: pytest.Config) -> Path:
    return installed(pytestconfig, PACKAGES)


@pytest.fixture(scope="module")
def report(packages: Path) -> dict[str, Any]:
    return reported(packages, HERE / "langgraph_peer.py")


def test_an_agent_earns_what_the_same_turns_earn_in_gymnasium(report: dict[str, Any]) -> None:
    (observation,), reward = gymnasium_episode("Night lake syndrome")
    known = report["known"]
    assert known["said"] == [observation, ANSWERED]
    assert known["rewards"] == [None, None, reward, reward]
    assert reward == 1.3
    assert known["ending"] == "answered"


def test_the_question_is_the_environments(report: dict[str, Any]) -> None:
    env = make("medenv/Research-v0")
    env.reset(options={"question": "test:4"})
    assert report["known"]["question"] == env.episode.question.text


def test_the_model_is_shown_the_tools_own_schemas(report: dict[str, Any]) -> None:
    assert report["known"]["structured"] is True
    *own, answer = report["known"]["tools"]
    specs = make("medenv/Research-v0").rules.tools
    assert own == [
        {"name": one.name, "description": one.description, "parameters": one.parameters}
        for one in specs
    ]
    assert answer["name"] == "answer"
    assert answer["parameters"]["required"] == ["text"]


def test_a_second_answer_is_refused(report: dict[str, Any]) -> None:
    assert report["known"]["refused"] == [ENDED, 1.3]


def test_agents_play_asynchronously_beside_each_other(report: dict[str, Any]) -> None:
    (observation,), reward = gymnasium_episode("Night lake syndrome")
    assert report["waited"]["said"] == [[observation, ANSWERED]] * 2
    assert report["waited"]["rewards"] == [reward] * 2


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_calls_of_one_message_are_turns_one_after_another(report: dict[str, Any], way: str) -> None:
    queries = report["parallel"]["queries"]
    shown, reward = gymnasium_episode(*queries)
    found = report["parallel"][way]
    assert found["said"] == shown
    write = make("medenv/Research-v0").rules.dialect.write_call
    expected = [write("search", {"query": query}) for query in queries]
    assert Counter(found["turns"][:-1]) == Counter(expected)
    assert found["reward"] == pytest.approx(reward)
    assert 1.0 < reward < 1.3


def test_wrong_arguments_are_observations(report: dict[str, Any]) -> None:
    said = report["wrong"]["said"]
    for observation, named in zip(
        said,
        ["`int`", "`query`", "`self`", "No passage", "nowhere", "`text`", "`array`", "empty"],
        strict=True,
    ):
        assert named in observation
    assert report["wrong"]["ended"] is False


def test_nothing_of_the_answer_is_told_before_the_end(report: dict[str, Any]) -> None:
    wrong = report["wrong"]
    assert (wrong["reward"], wrong["scored"]) == (None, None)
    reachable = json.dumps([wrong["said"], wrong["tools"], report["known"]["tools"]])
    assert not [one for one in ("ZORI4", "certificate", "gold", "reward") if one in reachable]


def test_a_failure_of_a_tool_is_no_observation_and_no_reward(report: dict[str, Any]) -> None:
    raised, handled = report["broken"]["raised"]
    assert [kind for kind, _ in raised] == ["InjectedError", "InfraError", "InfraError"]
    assert [kind for kind, _ in handled[1:]] == ["InfraError", "InfraError"]
    assert "injected on purpose" in handled[2][1]
    assert report["broken"]["attempts"] == 2 * len(report["broken"]["raised"])


def test_the_example_plays_its_episodes(packages: Path) -> None:
    printed = run(packages, "examples/langgraph_agent.py", PYTHONPATH=f"{packages}:{ROOT}")
    *episodes, mean = printed.splitlines()
    assert len(episodes) == 6
    assert float(mean.split()[2]) > 0.8


def test_a_missing_package_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_core", None)
    monkeypatch.delitem(sys.modules, "medenv.integrations.langgraph", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'medenv-rl\[langgraph\]'$"):
        importlib.import_module("medenv.integrations.langgraph")
