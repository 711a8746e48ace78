"""A server that is killed or stopped loses no finished episode, and running ones go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import httpx
import msgspec
import pytest
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed

from medenv.build.environment import make_parts
from medenv.build.prepare import open_environment, prepare, write_environment
from medenv.cli.main import app as commands
from medenv.errors import DataError, UsageError
from medenv.io import FolderInUseError
from medenv.kg import toy_questions
from medenv.serving import EnvironmentServer, Tokens
from medenv.serving.environment import identity
from medenv.serving.protocol import ResetData
from medenv.serving.store import JOURNAL, Finished, Store

from ..fakes import ANSWER, SEARCH
from ..toy import toy_settings
from .served import HASTY, Client, parts, serving

COMMAND = [sys.executable, "-c", "from medenv.cli.main import main; main()", "serve", "env"]
TOKEN = "t" * 20
SEEK = '<tool_call>{"name": "search", "arguments": {"query": "fever"}}</tool_call>'


@contextlib.contextmanager
def served(*options: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serves by the command line until the block ends; yields the process and where it listens."""
    command = [*COMMAND, "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | env
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving "), process.stderr and process.stderr.read()
            yield process, line.split(" at http://")[1].split(":")[0] + ":" + line.split(":")[2]
        finally:
            process.kill()


def finished(folder: Path) -> list[Finished]:
    lines = (folder / JOURNAL).read_bytes().splitlines()[1:]
    return [msgspec.json.decode(line, type=Finished) for line in lines]


def test_a_killed_and_a_stopped_server_keep_what_was_played(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    gold = toy_questions().train[0].answers[0].name
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with served("--state", str(folder), MEDENV_TOKEN=TOKEN) as (process, where):
        assert httpx.get(f"http://{where}/state").status_code == 401
        with Client(where, additional_headers=headers) as done:
            done.reset(split="train", index=0)
            paid = done.step(f"<answer>{gold}</answer>")["reward"]
        running = Client(where, additional_headers=headers)
        running.reset(episode_id="running", split="train", index=0)
        shown = running.step(SEEK)["observation"]["text"]
        time.sleep(1.3)  # a snapshot is taken every second
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(ConnectionClosed):
            running.step(SEEK)
        running.drop()
    assert [one.score.total for one in finished(folder)] == [paid] == [1.3]

    with served("--state", str(folder), MEDENV_TOKEN=TOKEN) as (process, where):
        with Client(where, additional_headers=headers) as client:
            step = {"type": "step", "data": {"text": SEEK}}
            answer = client.ask(step)["data"]
            assert answer["code"] == "EXECUTION_ERROR"
            assert "resume" in answer["message"]
            found = client.reset(episode_id="running", resume=True)
            assert found["observation"]["text"] == shown
            assert found["metadata"]["step_count"] == 1
            client.step(SEEK)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                client.socket.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert process.wait(timeout=15) == 0

    made = make_parts(**gymnasium.registry["medenv/Research-v0"].kwargs)
    with (
        serving(made, Tokens({"default": TOKEN}), folder) as where,
        Client(where, additional_headers=headers) as client,
    ):
        found = client.reset(episode_id="running", resume=True)
        assert found["metadata"]["step_count"] == 2
        assert client.step(f"<answer>{gold}</answer>")["metadata"]["score"]["total"] > 1
    played = finished(folder)
    assert [one.episode_id for one in played[1:]] == ["running"]
    assert [turn.text for turn in played[1].trajectory.turns[:2]] == [SEEK, SEEK]


def test_the_end_of_an_episode_is_in_the_journal_before_the_client_has_it(tmp_path: Path) -> None:
    with serving(folder=tmp_path) as where, Client(where) as client:
        for number in range(1, 4):
            client.reset(episode_id=str(number))
            last = client.step(ANSWER)
            found = finished(tmp_path)
            assert [one.episode_id for one in found] == [str(i + 1) for i in range(number)]
            assert found[-1].score.total == last["reward"]
            assert found[-1].trajectory.answer == "FBN1"


def test_an_episode_that_ended_after_its_last_snapshot_does_not_come_back(tmp_path: Path) -> None:
    app = EnvironmentServer(parts(), folder=tmp_path, patience=HASTY)
    store = app.sessions.store
    assert store is not None

    async def play() -> None:
        ended, running = app.sessions.open(""), app.sessions.open("")
        for session, name in ((ended, "ended"), (running, "running")):
            app.sessions.begin(session, ResetData(episode_id=name))
            await app.sessions.step(session, SEARCH)
        await app.sessions.save()
        await app.sessions.step(ended, ANSWER)  # and the server is killed before it saves

    asyncio.run(play())
    store.close()
    again = Store(tmp_path, identity(parts()))
    assert [one.episode_id for one in again.load()] == ["running"]
    again.close()


def test_a_folder_belongs_to_one_environment_and_one_server(tmp_path: Path) -> None:
    first = EnvironmentServer(parts(), folder=tmp_path)
    with pytest.raises(FolderInUseError, match="is in use by process"):
        EnvironmentServer(parts(), folder=tmp_path)
    assert first.sessions.store is not None
    first.sessions.store.close()
    with pytest.raises(DataError, match="another run"):
        EnvironmentServer(parts(budget={"turns": 2}), folder=tmp_path)
    with pytest.raises(DataError, match="another run"):
        EnvironmentServer(parts(split="test"), folder=tmp_path)
    EnvironmentServer(parts(), folder=tmp_path)


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "running.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match=r"running\.db"):
        EnvironmentServer(parts(), folder=tmp_path)


def test_a_journal_that_cannot_be_written_costs_no_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder=tmp_path) as where, Client(where) as client:
        client.reset(episode_id="full")
        with monkeypatch.context() as full:

            def refuse(*_: Any) -> None:
                raise DataError(tmp_path / JOURNAL, "cannot be written: no space left on device")

            full.setattr(Store, "finish", refuse)
            step = {"type": "step", "data": {"text": ANSWER}}
            assert client.refused(step) == "EXECUTION_ERROR"
            assert finished(tmp_path) == []
        assert client.step("whatever is said now")["reward"] == 1.3
        (one,) = finished(tmp_path)
        assert one.trajectory.answer == "FBN1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--host", "::"], "needs a token"),
        (["--host", "example.org"], "needs a token"),
        (["--host", "0.0.0.0", "--tokens", "short.txt"], "at least 16 ASCII characters, got 6"),
        (["--tokens", "odd.txt"], "odd.txt:3: expected NAME TOKEN"),
        (["--tokens", "same.txt"], "another client"),
        (["--tokens", "none.txt"], "none.txt"),
        (["--limit", "sessons=3"], "did you mean 'sessions'"),
        (["--limit", "text_chars=many"], "text_chars"),
        (["--limit", "text_chars"], "expected --limit NAME=VALUE"),
        (["--idle", "-1"], "idle_seconds > 0"),
        (["--port", "70000"], "port from 0 to 65535"),
        (["medenv/Reserch-v0"], "did you mean 'medenv/Research-v0'"),
        (["CartPole-v1"], "CartPole"),
        (["--option", "dialect=latin"], "latin"),
        (["."], "environment.json"),
        (["--host", "no.such.host.invalid", "--tokens", "fine.txt"], "cannot listen on no.such"),
    ],
)
def test_the_command_line_says_what_it_cannot_serve(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("short.txt").write_text("ann secret\n")
    Path("odd.txt").write_text("# tokens\n\nann aaaaaaaaaaaaaaaa bbb\n")
    Path("same.txt").write_text(f"ann {'a' * 16}\nbob {'a' * 16}\n")
    Path("fine.txt").write_text(f"ann {'a' * 16}\n")
    result = CliRunner().invoke(commands, ["serve", "env", *options])
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert "aaaa" not in str(result.exception)
    assert "\n" not in str(result.exception)


def test_the_command_line_serves_what_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[tuple[EnvironmentServer, dict[str, Any]]] = []
    monkeypatch.setattr(EnvironmentServer, "run", lambda app, **how: served.append((app, how)))
    spec = prepare(toy_settings(tmp_path)).spec
    write_environment(tmp_path / "run" / "environment.json", spec)
    options = {
        "id": ["medenv/ClosedBook-v0"],
        "set": ["--questions", spec.questions, "--split", "test", "--option", "dialect=openai"],
        "run": [str(tmp_path / "run"), "--sessions", "7", "--limit", "text_chars=99"],
        "file": [str(tmp_path / "run" / "environment.json"), "--host", "::1", "--port", "9"],
    }
    for words in options.values():
        result = CliRunner().invoke(commands, ["serve", "env", *words])
        assert result.exception is None, result.exception
    closed, of_set, of_run, of_file = (app.sessions for app, _ in served)
    assert closed.parts.rules.max_turns == 2
    assert closed.parts.toolbox.tools == {}
    assert of_set.parts.rules.dialect.name == "openai"
    assert [*of_set.splits] == ["test"]
    assert len(of_set.splits["test"]) == 4
    assert of_run.parts.rules.config_hash == open_environment(spec).parts.rules.config_hash
    assert (of_run.limits.sessions, of_run.limits.text_chars) == (7, 99)
    assert sum(map(len, of_file.splits.values())) == 12
    assert [how["host"] for _, how in served] == ["127.0.0.1"] * 3 + ["::1"]
    refused = CliRunner().invoke(commands, ["serve", "env", options["run"][0], "--split", "test"])
    assert "leave out split" in str(refused.exception)
