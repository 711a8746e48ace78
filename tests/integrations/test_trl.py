"""TRL trains on an environment: its tools are those of TRL, its score TRL's reward."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from transformers.utils import get_json_schema

from medenv.envs.registration import make
from medenv.errors import UnknownNameError
from medenv.integrations.trl import ENDED, medenv_environment, rows

from ..peers import installed, run

PACKAGES = Path(__file__).parent / "trl.txt"
"""TRL and what it needs beside the packages of the development environment."""


@pytest.fixture(scope="module")
def kind() -> type[Any]:
    return medenv_environment()


def tools_of(kind: type[Any]) -> dict[str, dict[str, Any]]:
    """The tools that TRL finds on the class, as the model is shown them."""
    found = inspect.getmembers(kind, predicate=inspect.isfunction)
    names = [name for name, _ in found if name[0] != "_" and name not in ("reset", "get_reward")]
    one = kind()
    return {name: get_json_schema(getattr(one, name))["function"] for name in names}


def test_the_model_is_shown_the_environments_own_tools_and_one_to_answer(kind: type[Any]) -> None:
    env = make("medenv/Research-v0")
    tools = tools_of(kind)
    assert set(tools) == {*env.toolbox.tools, "answer"}
    for name, tool in env.toolbox.tools.items():
        shown = tools[name]["parameters"]["properties"]
        own = tool.spec.parameters["properties"]
        assert set(shown) == set(own)
        assert all(shown[one]["description"] for one in shown)
        assert tools[name]["description"].split()[:4] == tool.spec.description.split()[:4]


def test_an_episode_earns_what_it_earns_in_gymnasium(kind: type[Any]) -> None:
    one = kind()
    question = one.reset(question="test:4", prompt="of the row", environment=None)
    env = make("medenv/Research-v0")
    env.reset(options={"question": "test:4"})
    assert question == env.episode.question.text
    expected, *_ = env.step(
        env.rules.dialect.write_call("search", {"query": "Night lake syndrome"})
    )
    assert one.search(query="Night lake syndrome") == expected
    assert one.get_reward() == 0.0
    one.answer("ZORI4")
    _, reward, *_ = env.step(env.rules.dialect.write_answer("ZORI4"))
    assert one.get_reward() == reward == 1.3
    assert one.search(query="more") == one.answer("another") == ENDED
    assert one.get_reward() == 1.3
    one.reset(question="test:4")
    assert one.get_reward() == 0.0
    env.reset(options={"question": "test:4"})
    refused, *_ = env.step(env.rules.dialect.write_call("search", {"query": 7}))
    assert one.search(query=7) == refused


def test_instances_play_beside_each_other_and_draw_their_questions(kind: type[Any]) -> None:
    first, second = kind(), kind()
    asked = [first.reset() for _ in range(4)]
    assert len({*asked}) > 1
    second.reset(question="test:0")
    first.answer("nothing")
    assert second.get_reward() == 0.0
    assert second.search(query="Pale harbour anaemia") != ENDED


def test_rows_are_the_questions_of_a_split() -> None:
    made = rows("test")
    assert [one["question"] for one in made] == [f"test:{i}" for i in range(6)]
    assert [message["role"] for message in made[0]["prompt"]] == ["system", "user"]
    with pytest.raises(UnknownNameError, match="did you mean 'medenv/Research-v0'"):
        rows(env_id="medenv/Reserch-v0")


@pytest.mark.verl
@pytest.mark.timeout(400)
def test_the_example_trains_the_tiny_policy_with_trl_itself(pytestconfig: pytest.Config) -> None:
    packages = installed(pytestconfig, PACKAGES)
    quiet = {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    printed = run(packages, "examples/trl_grpo.py", "models/tiny_policy", "1", **quiet)
    assert re.search(r"^step 1: reward \d\.\d{3}$", printed, re.MULTILINE), printed
    assert "tools/call_frequency" in printed
    assert "rewards/MedEnv/mean" in printed
