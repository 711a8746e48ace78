"""Episodes in other forms: what their specifications ask, and nothing lost on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

import medenv
from medenv.build.settings import PolicySettings
from medenv.cli.main import app
from medenv.errors import DataError, UnknownNameError
from medenv.evaluation.run import EvaluateSettings, evaluate
from medenv.evaluation.summary import read_scored
from medenv.io import read_records
from medenv.records import Scored, Trajectory
from medenv.trajectories.interchange import FORMS, export, read_source
from medenv.trajectories.records import Rollout
from medenv.trajectories.run import make_trajectories

from ..toy import toy_run
from .conftest import settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    evaluate(
        EvaluateSettings(
            **toy_run(root, run="hops", policy=PolicySettings(baseline="greedy_hops"), samples=2)
        )
    )
    return root / "hops"


@pytest.fixture(scope="module")
def played(folder: Path) -> list[Scored]:
    return [*read_scored(folder / "sampled.jsonl"), *read_scored(folder / "greedy.jsonl")]


def written(folder: Path, form: str, target: Path) -> Path:
    done = CliRunner().invoke(app, ["export", str(folder), f"--to={form}", f"--out={target}"])
    assert done.exit_code == 0, done.output
    assert "wrote 12 episodes" in done.output
    return target


def lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def test_atif_has_the_steps_that_its_specification_asks_for(
    folder: Path, played: list[Scored], tmp_path: Path
) -> None:
    made = list(lines(written(folder, "atif", tmp_path / "a.jsonl")))
    assert len({one["session_id"] for one in made}) == len(made) == 12
    for one, scored in zip(made, played, strict=True):
        assert one["schema_version"] == "ATIF-v1.4"
        assert {"name", "version"} <= one["agent"].keys()
        assert [step["step_id"] for step in one["steps"]] == list(range(1, len(one["steps"]) + 1))
        for step in one["steps"]:
            assert step["source"] in ("system", "user", "agent")
            assert isinstance(step["message"], str)
            own = {"tool_calls", "observation", "metrics", "reasoning_content"} & step.keys()
            assert not own or step["source"] == "agent"
            called = {call["tool_call_id"] for call in step.get("tool_calls", ())}
            answered = {
                result["source_call_id"]
                for result in step.get("observation", {}).get("results", ())
                if "source_call_id" in result
            }
            assert answered <= called
            assert all(isinstance(call["arguments"], dict) for call in step.get("tool_calls", ()))
        texts = [step["message"] for step in one["steps"] if step["source"] == "agent"]
        assert texts == [turn.text for turn in scored.trajectory.turns]
        assert one["final_metrics"]["extra"]["reward"] == scored.score.total
        assert one["extra"]["medenv"] == medenv.__version__
        assert one["extra"]["settings"]["policy.baseline"] == "greedy_hops"
        assert one["extra"]["seed"] == scored.trajectory.seed


def test_chats_have_the_messages_that_the_api_takes(
    folder: Path, played: list[Scored], tmp_path: Path
) -> None:
    made = list(lines(written(folder, "openai", tmp_path / "o.jsonl")))
    for one, scored in zip(made, played, strict=True):
        waiting: list[str] = []
        called: list[tuple[str, Any]] = []
        for message in one["messages"]:
            if message["role"] == "tool":
                assert message["tool_call_id"] == waiting.pop(0)
                continue
            assert not waiting
            for call in message.get("tool_calls", ()):
                waiting.append(call["id"])
                arguments = json.loads(call["function"]["arguments"])
                called.append((call["function"]["name"], arguments))
        turns = scored.trajectory.turns
        assert called == [(c.name, c.arguments) for turn in turns for c in turn.calls]
        names = {tool["function"]["name"] for tool in one["tools"]}
        assert {name for name, _ in called} <= names
        assert one["messages"][-1]["content"] == turns[-1].text


def test_a_table_has_a_row_for_each_episode_and_loses_nothing(
    folder: Path, played: list[Scored], tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(written(folder, "parquet", tmp_path / "t.parquet"))
    rows = table.to_pylist()
    again = [msgspec.json.decode(row["trajectory"], type=Trajectory) for row in rows]
    assert again == [one.trajectory for one in played]
    assert [row["right"] for row in rows] == [
        one.score.parts["accuracy"].raw >= 1.0 for one in played
    ]
    assert {row["part"] for row in rows} == {"sampled", "greedy"}
    about = json.loads(table.schema.metadata[b"medenv"])
    assert about["settings"]["policy.baseline"] == "greedy_hops"


def test_sets_of_trajectories_are_read_too(tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    make_trajectories(wanted)
    rollouts = read_records(wanted.target / "trajectories.jsonl", Rollout)
    source = read_source(wanted.target)
    assert source.episodes
    assert list(source.episodes) == [(one.part, one.scored) for one in rollouts]
    assert source.about["settings"]["plan"]["n"] == wanted.plan.n


def test_what_holds_no_episodes_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of episodes"):
        read_source(tmp_path)
    (tmp_path / "environment.json").write_text((folder / "environment.json").read_text())
    with pytest.raises(DataError, match="holds no finished episodes"):
        read_source(tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'atif'"):
        export(read_source(folder), tmp_path / "x", "atf")
    assert set(FORMS) == {"atif", "openai", "parquet"}
