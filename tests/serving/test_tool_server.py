"""Episodes over MCP, played by the official client and by bare HTTP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from medenv.envs.registration import make
from medenv.serving import Limits, Tokens
from medenv.serving.store import Finished
from medenv.serving.tool_server import ANSWER, BEGIN, ToolServer

from .served import parts, questions, running

mcp = pytest.importorskip("mcp")
ROOT = Path(__file__).parents[2]
TOKENS = Tokens({"ann": "a" * 24, "bob": "b" * 24})
Call = Callable[..., Awaitable[Any]]


def play(server: ToolServer, script: Callable[[Call], Awaitable[None]]) -> None:
    """Let a script call tools through the official client, in process."""

    async def run() -> None:
        async with mcp.Client(server.server) as client:

            async def call(name: str, **arguments: Any) -> Any:
                return await client.call_tool(name, arguments)

            await script(call)

    asyncio.run(run())


def text(result: Any) -> str:
    return str(result.content[0].text)


def test_an_episode_is_begun_researched_and_scored_at_its_end_alone() -> None:
    (gold, *_) = questions()[0].answers

    async def script(call: Call) -> None:
        begun = await call(BEGIN, split="train", index=0)
        episode = begun.structured_content["episode"]
        assert questions()[0].text in text(begun)
        found = await call("search", episode=episode, query="Marfan")
        assert not found.is_error
        assert found.structured_content == {"done": False, "turns_left": 7}
        ended = await call(ANSWER, episode=episode, text=gold.name)
        assert ended.structured_content["done"]
        assert ended.structured_content["reward"] == pytest.approx(1.3)
        parts_paid = ended.structured_content["score"]["parts"]
        assert parts_paid["accuracy"]["weighted"] == 1.0
        again = await call("search", episode=episode, query="Marfan")
        assert again.is_error
        assert "has ended, expired or never begun" in text(again)

    play(ToolServer(parts()), script)


def test_the_rewards_are_those_of_gymnasium() -> None:
    env = make("medenv/Research-v0")
    env.reset(options={"question": "test:4"})
    env.step(env.rules.dialect.write_call("search", {"query": "Night lake syndrome"}))
    _, expected, *_ = env.step(env.rules.dialect.write_answer("ZORI4"))
    from medenv.build.environment import make_parts

    async def script(call: Call) -> None:
        begun = await call(BEGIN, split="test", index=4)
        episode = begun.structured_content["episode"]
        await call("search", episode=episode, query="Night lake syndrome")
        ended = await call(ANSWER, episode=episode, text="ZORI4")
        assert ended.structured_content["reward"] == expected == 1.3

    play(ToolServer(make_parts(env_id="medenv/Research-v0")), script)


def test_nothing_of_the_answer_is_told_before_the_end() -> None:
    secrets = ["FBN1", "gold-", "certificate", "reward"]

    async def script(call: Call) -> None:
        told = []
        begun = await call(BEGIN, split="train", index=1)
        episode = begun.structured_content["episode"]
        told.append(begun)
        for name, arguments in (
            ("search", {"query": "nothing like it"}),
            ("search", {"nonsense": 1}),
            ("read", {"passage_id": "../../etc/passwd"}),
            ("nowhere", {}),
            (ANSWER, {}),
            (ANSWER, {"text": ""}),
            (ANSWER, {"text": "x", "score": True}),
        ):
            told.append(await call(name, episode=episode, **arguments))
        told.append(await call("search", query="no episode"))
        guessed = "question 1"  # an id is no key, whatever it is guessed from
        told.append(await call("search", episode=guessed, query="a question's id"))
        told.append(await call(BEGIN, split="test", index=99))
        told.append(await call(BEGIN, seed=-1))
        told.append(await call(BEGIN, resume=True))
        assert [one.is_error for one in told[4:]] == [True] * (len(told) - 4)
        assert "FBN1" in text(told.pop(1))  # a search may find what it finds
        for one in told:
            seen = text(one) + json.dumps(one.structured_content)
            assert not [secret for secret in secrets if secret in seen], seen

    play(ToolServer(parts()), script)


def test_several_episodes_go_on_beside_each_other_up_to_the_limit() -> None:
    async def script(call: Call) -> None:
        begun = [await call(BEGIN, seed=seed) for seed in range(3)]
        ids = [one.structured_content["episode"] for one in begun if not one.is_error]
        assert len({*ids}) == 2
        assert begun[2].is_error
        for episode in ids:
            assert not (await call("search", episode=episode, query="Marfan")).is_error

    play(ToolServer(parts(), limits=Limits(sessions=2)), script)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "state"
    server = ToolServer(parts(), folder=folder)
    with running(server.app(), TOKENS) as where:
        yield f"http://{where}/mcp", folder


def post(url: str, token: str, name: str, **arguments: Any) -> Any:
    """One call without any client library."""
    sent = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": name,
            "arguments": arguments,
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "bare", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {token}",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": name,
    }
    return httpx.post(url, json=sent, headers=headers, trust_env=False, timeout=20)


def test_bare_http_plays_too_and_clients_do_not_see_each_others_episodes(
    served: tuple[str, Path],
) -> None:
    url, folder = served
    assert post(url, "wrong", BEGIN).status_code == 401
    begun = post(url, "a" * 24, BEGIN, split="train", index=0)
    assert begun.status_code == 200, begun.text
    episode = begun.json()["result"]["structuredContent"]["episode"]
    stolen = post(url, "b" * 24, ANSWER, episode=episode, text="FBN1").json()["result"]
    assert stolen["isError"]
    ended = post(url, "a" * 24, ANSWER, episode=episode, text="FBN1").json()["result"]
    assert ended["structuredContent"]["done"]
    (_, line) = (folder / "episodes.jsonl").read_text().splitlines()  # after the journal's own
    kept = msgspec.json.decode(line, type=Finished)
    assert (kept.client, kept.trajectory.answer) == ("ann", "FBN1")


def test_an_episode_goes_on_after_a_restart_for_the_client_that_began_it(tmp_path: Path) -> None:
    with running(ToolServer(parts(), folder=tmp_path).app(), TOKENS) as where:
        url = f"http://{where}/mcp"
        begun = post(url, "a" * 24, BEGIN, split="train", index=0).json()["result"]
        episode = begun["structuredContent"]["episode"]
        found = post(url, "a" * 24, "search", episode=episode, query="Marfan").json()["result"]
        assert not found["isError"]
    with running(ToolServer(parts(), folder=tmp_path).app(), TOKENS) as where:
        url = f"http://{where}/mcp"
        stolen = post(url, "b" * 24, ANSWER, episode=episode, text="FBN1").json()["result"]
        assert stolen["isError"]
        ended = post(url, "a" * 24, ANSWER, episode=episode, text="FBN1").json()["result"]
        assert ended["structuredContent"]["reward"] == pytest.approx(1.3)
    (_, line) = (tmp_path / "episodes.jsonl").read_text().splitlines()
    kept = msgspec.json.decode(line, type=Finished)
    assert [turn.calls[0].name for turn in kept.trajectory.turns if turn.calls] == ["search"]


def test_an_idle_episode_is_parked_and_goes_on(tmp_path: Path) -> None:
    server = ToolServer(parts(), folder=tmp_path, limits=Limits(idle_seconds=0.1, sessions=1))
    with running(server.app(), TOKENS) as where:
        url = f"http://{where}/mcp"
        begun = post(url, "a" * 24, BEGIN, split="train", index=0).json()["result"]
        episode = begun["structuredContent"]["episode"]
        for _ in range(100):
            if server.sessions.parked:
                break
            time.sleep(0.05)
        assert (server.sessions.parked, server.sessions.count) == (1, 0)
        ended = post(url, "a" * 24, ANSWER, episode=episode, text="FBN1").json()["result"]
        assert ended["structuredContent"]["done"]


def test_the_example_plays_over_stdio() -> None:
    done = subprocess.run(
        [sys.executable, "examples/mcp_agent.py"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tools, *played = done.stdout.splitlines()
    assert tools.startswith(f"{BEGIN}, {ANSWER}, search")
    assert [line.split()[0] for line in played] == ["1.30", "0.00", "1.30"]
