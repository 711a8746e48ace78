"""smolagents' agents play episodes of medenv, and earn what Gymnasium's environment pays."""

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
from medenv.integrations.episode_tools import ENDED

from ..chat_server import ChatServer
from ..peers import ROOT, gymnasium_episode, installed, reported, run

HERE = Path(__file__).parent
PACKAGES = HERE / "smolagents.txt"
"""smolagents; what it needs is in the development environment."""

AGENTS = ["calls", "code"]
"""A `ToolCallingAgent` and a `CodeAgent`."""


@pytest.fixture(scope="module")
def packages(pytestconfig: pytest.Config) -> Path:
    return installed(pytestconfig, PACKAGES)


@pytest.fixture(scope="module")
def report(packages: Path) -> dict[str, Any]:
    return reported(packages, HERE / "smolagents_peer.py")


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_earns_what_the_same_turns_earn_in_gymnasium(
    report: dict[str, Any], agent: str
) -> None:
    (observation,), reward = gymnasium_episode("Night lake syndrome")
    known = report["known"][agent]
    assert observation in known["said"][0]
    assert known["errors"] == [None, None]
    assert known["output"] == "ZORI4"
    assert known["rewards"] == [None, None, reward]
    assert reward == 1.3
    assert known["ending"] == "answered"


@pytest.mark.parametrize("agent", AGENTS)
def test_a_second_answer_is_refused(report: dict[str, Any], agent: str) -> None:
    assert report["known"][agent]["refused"] == [ENDED, 1.3]


def test_the_model_is_shown_the_tools_of_the_environment(report: dict[str, Any]) -> None:
    *own, final = report["known"]["calls"]["tools"]
    specs = make("medenv/Research-v0").rules.tools
    assert [one["name"] for one in own] == [one.name for one in specs]
    for shown, spec in zip(own, specs, strict=True):
        assert shown["description"] == spec.description
        properties = spec.parameters["properties"]
        assert shown["parameters"]["required"] == spec.parameters["required"]
        assert {
            name: one["description"] for name, one in shown["parameters"]["properties"].items()
        } == {name: one["description"] for name, one in properties.items()}
    assert own[0]["parameters"]["properties"]["query"]["type"] == ["string", "array"]
    assert (final["name"], final["parameters"]["required"]) == ("final_answer", ["answer"])


def test_parameters_keep_their_types(report: dict[str, Any]) -> None:
    found = {
        name: (one["type"], one.get("nullable", False))
        for name, one in report["typed"]["inputs"].items()
    }
    assert found == {
        "kind": (["string", "null"], False),
        "sizes": ("array", False),
        "wide": (["boolean", "integer"], True),
        "scale": ("number", True),
    }
    assert report["typed"]["said"][:2] == ["None [1, 2] True 1.0", "x [] True 2.0"]


def test_calls_of_one_message_are_turns_one_after_another(report: dict[str, Any]) -> None:
    found = report["parallel"]
    shown, reward = gymnasium_episode(*found["queries"])
    assert found["said"][0] == "\n".join(shown)
    write = make("medenv/Research-v0").rules.dialect.write_call
    expected = [write("search", {"query": query}) for query in found["queries"]]
    assert Counter(found["turns"][:-1]) == Counter(expected)
    assert found["rewards"][-1] == pytest.approx(reward)
    assert 1.0 < reward < 1.3


def test_wrong_calls_are_shown_to_the_model_and_the_run_goes_on(report: dict[str, Any]) -> None:
    calls, code = (report["wrong"][agent] for agent in AGENTS)
    *errors, read, last = calls["errors"]
    for error, named in zip(
        errors, ["'integer'", "required", "nonsense", "nowhere", "`array`", "empty"], strict=True
    ):
        assert named in error
    assert (read, last) == (None, None)
    assert "use an id that search has shown" in calls["said"][-2]
    assert "Expected `str | array`, got `int`" in code["said"][0]
    assert "takes 1 arguments, got 2" in code["errors"][1]
    assert (calls["output"], code["output"]) == ("at last", 7)
    assert [one["rewards"][-1] for one in (calls, code)] == [0.0, 0.0]


@pytest.mark.parametrize("agent", AGENTS)
def test_a_failure_of_a_tool_is_no_reward_and_can_end_the_run(
    report: dict[str, Any], agent: str
) -> None:
    goes_on, stops = (report["broken"][f"{agent}, {stops}"] for stops in (False, True))
    assert "injected on purpose" in goes_on["errors"][0]
    assert len(goes_on["rewards"]) == 5
    assert goes_on["rewards"][-1] == stops["rewards"][-1] == "InfraError"
    assert len(stops["rewards"]) == 2
    assert "injected on purpose" in stops["raised"]


def test_an_exhausted_budget_takes_no_answer(report: dict[str, Any]) -> None:
    env = make("medenv/Research-v0", budget={"turns": 1})
    env.reset(options={"question": "test:4"})
    search = env.rules.dialect.write_call("search", {"query": "Night lake syndrome"})
    _, reward, _, cut, _ = env.step(search)
    assert cut
    assert report["exhausted"]["output"] == ENDED
    assert report["exhausted"]["rewards"][-1] == reward == 0.0


def test_code_of_an_agent_finds_nothing_of_the_answer(report: dict[str, Any]) -> None:
    spied = report["spied"]
    *refused, answered = spied["errors"]
    assert all("Forbidden" in error for error in refused)
    assert answered is None
    assert spied["rewards"][:-1] == [None] * 7
    assert (spied["reachable"], spied["careless"]) == (False, True)
    reachable = json.dumps([spied["said"][:-1], refused, spied["shown"]])
    assert not [one for one in ("ZORI4", "certificate", "gold", "reward") if one in reachable]


def test_the_example_plays_its_episodes(packages: Path) -> None:
    printed = run(packages, "examples/smolagents_agent.py", PYTHONPATH=f"{packages}:{ROOT}")
    *episodes, mean = printed.splitlines()
    assert len(episodes) == 6
    assert float(mean.split()[2]) > 0.8


def test_the_example_asks_a_served_model(packages: Path) -> None:
    asked = []

    def reply(body: dict[str, Any]) -> tuple[int, bytes]:
        asked.append(body)
        function = {"name": "final_answer", "arguments": '{"answer": "PLYX9"}'}
        call = {"id": "1", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        return 200, json.dumps(
            {
                "id": "chat-1", "object": "chat.completion", "created": 1, "model": "scripted",
                "choices": [choice], "usage": usage,
            }
        ).encode()  # fmt: skip

    with ChatServer(reply) as server:
        printed = run(
            packages, "examples/smolagents_agent.py", "scripted",
            PYTHONPATH=f"{packages}:{ROOT}", BASE_URL=server.url,
        )  # fmt: skip
    rewards = [float(line.split()[0]) for line in printed.splitlines()[:-1]]
    assert rewards == [1.3, 0.0, 0.0, 1.3, 0.0, 0.0]
    names = [tool["function"]["name"] for tool in asked[0]["tools"]]
    assert names == [one.name for one in make("medenv/Research-v0").rules.tools] + ["final_answer"]


def test_a_missing_package_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smolagents", None)
    monkeypatch.delitem(sys.modules, "medenv.integrations.smolagents", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'medenv-rl\[smolagents\]'$"):
        importlib.import_module("medenv.integrations.smolagents")
