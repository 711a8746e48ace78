"""verifiers' own evaluation plays episodes of medenv; rewards are those of Gymnasium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medenv.build.environment import registered_parts

from ..chat_server import ChatServer
from ..peers import ROOT, installed, run

HERE = Path(__file__).parent
PACKAGES = HERE / "verifiers.txt"
"""verifiers and what it needs beside the packages of the development environment."""

PARTS = registered_parts("medenv/Research-v0", split="test")
QUESTIONS = PARTS.questions
BROKEN = len(QUESTIONS) - 1
"""Number of the question at which the model's server fails."""


def turns(number: int) -> list[str]:
    """The model's turns: some questions are answered wrongly, some after a malformed turn."""
    dialect = PARTS.rules.dialect
    right = QUESTIONS[number].answers[0].name
    search = dialect.write_call("search", {"query": QUESTIONS[number].text})
    first = [search, "I wonder."] if number % 3 == 2 else [search]
    return [*first, dialect.write_answer("nobody" if number % 2 else right)]


def reply(body: dict[str, Any]) -> tuple[int, bytes]:
    """The next turn of the question that a request is about."""
    messages = body["messages"]
    asked = [one["role"] for one in messages].index("user")
    number = [one.text for one in QUESTIONS].index(messages[asked]["content"])
    if number == BROKEN:
        return 400, b"{}"
    said = sum(one["role"] == "assistant" for one in messages)
    message = {"role": "assistant", "content": turns(number)[said]}
    return 200, json.dumps(
        {
            "id": "chat-1", "object": "chat.completion", "created": 1, "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        }
    ).encode()  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an environment made in Python is, and the traces of an evaluation by question."""
    packages, folder = installed(pytestconfig, PACKAGES), tmp_path_factory.mktemp("verifiers")
    paths = [str(packages), str(ROOT / "examples" / "verifiers_medenv"), str(ROOT)]
    with ChatServer(reply) as server:
        run(
            packages, str(HERE / "verifiers_peer.py"), str(folder / "made.json"), server.url,
            "verifiers-medenv", "--model", "scripted", "--client.base-url", server.url,
            "--no-push", "--no-rich", "-o", str(folder), "--run.name", "played",
            PYTHONPATH=":".join(paths), HOME=str(folder),
        )  # fmt: skip
    lines = (folder / "played" / "traces.jsonl").read_text().splitlines()
    traces = [trace for line in lines for trace in _traces(json.loads(line))]
    made = json.loads((folder / "made.json").read_text())
    return made, {trace["task"]["data"]["question"]: trace for trace in traces}


def _traces(record: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = record.get("traces", [record])
    return found


def gymnasium_episode(number: int) -> tuple[float, dict[str, float], list[str]]:
    """Reward, raw components and texts of the same episode in the Gymnasium environment."""
    env = PARTS.env()
    env.reset(options={"question": number})
    for turn in turns(number):
        _, reward, *_, info = env.step(turn)
    raw = {name: part.raw for name, part in info["score"].parts.items()}
    return float(reward), raw, [message["content"] for message in env.messages]


@pytest.mark.parametrize("number", range(BROKEN))
def test_an_episode_is_the_same_as_in_gymnasium(evaluated: Any, number: int) -> None:
    trace = evaluated[1][QUESTIONS[number].id]
    reward, raw, texts = gymnasium_episode(number)
    assert trace["rewards"] == {"medenv": {"score": reward, "weight": 1.0}}
    assert trace["metrics"] == raw
    assert [node["message"]["content"] for node in trace["nodes"]] == texts
    assert trace["ok"] is True


def test_right_and_wrong_answers_were_played() -> None:
    rewards = [gymnasium_episode(number)[0] for number in range(BROKEN)]
    assert min(rewards) == 0.0
    assert max(rewards) > 1.0


def test_a_failure_of_the_endpoint_is_no_reward(evaluated: Any) -> None:
    trace = evaluated[1][QUESTIONS[BROKEN].id]
    assert trace["rewards"] == {}
    assert trace["ok"] is False
    assert [error["type"] for error in trace["errors"]] == ["ProviderError"]


def test_a_failure_of_a_tool_is_no_reward(evaluated: Any) -> None:
    broken = evaluated[0]["broken"]
    assert (broken["ok"], broken["rewards"]) == (False, [{}])
    assert [kind for kind, _ in broken["errors"]] == ["EnvError"]
    assert "injected on purpose" in broken["errors"][0][1]


def test_an_episode_that_a_limit_ends_pays_nothing(evaluated: Any) -> None:
    limited = evaluated[0]["limited"]
    assert (limited["ok"], limited["rewards"]) == (True, [{"medenv": 0.0}])
    assert limited["stopped"] == ["max_turns"]


def test_no_trace_of_a_task_tells_its_answer(evaluated: Any) -> None:
    for question in QUESTIONS:
        task = json.dumps(evaluated[1][question.id]["task"])
        assert not [one.name for one in question.answers if one.name in task]


def test_an_environment_can_be_made_in_python(evaluated: Any) -> None:
    made = evaluated[0]
    train = [
        one for one in registered_parts("medenv/Research-v0").questions if one.split == "train"
    ]
    assert made["tasks"] == [one.id for one in train]
    assert made["tools"] == ["search"]
    assert made["data"]["prompt"] == train[0].text
    assert made["data"]["system_prompt"].startswith("You research medical questions")
    assert "another than openai" in made["refused"]
