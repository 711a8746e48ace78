"""A corpus server that is killed and started again costs no episode."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from medenv.build.environment import make_parts
from medenv.records import Message, Scored
from medenv.retrieval import BM25Retriever
from medenv.retrieval.remote import RemoteRetriever
from medenv.rollouts.driver import RolloutRetryPolicy

from ..fakes import ANSWER, PASSAGES, SEARCH, exact, question

EPISODES = 16
COMMAND = [sys.executable, "-c", "from medenv.cli.main import main; main()", "serve", "corpus"]


@contextlib.contextmanager
def served(index: Path, port: int) -> Iterator[int]:
    """Serves an index by the command line until the block ends; yields the process id."""
    command = [*COMMAND, str(index), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            while not well(port):
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                time.sleep(0.05)
            yield process.pid
        finally:
            process.kill()


def well(port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/health").json()["status"] == "ok"
    return False


class Researcher:
    """Searches until the server has been killed, three times more, and answers.

    Args:
        killed: Is set when the server is dead.
        asked: Counts the texts written.
    """

    def __init__(self, killed: threading.Event, asked: list[int]) -> None:
        self.killed, self.asked, self.left = killed, asked, 3

    async def act(self, messages: Sequence[Message]) -> str:
        self.asked.append(len(messages))
        await asyncio.sleep(0)
        if self.killed.is_set():
            self.left -= 1
        return SEARCH if self.left >= 0 else ANSWER


@pytest.mark.skipif(os.name == "nt", reason="kills by SIGKILL")
def test_a_killed_server_comes_back_and_no_episode_is_lost(tmp_path: Path) -> None:
    BM25Retriever(PASSAGES).save(tmp_path / "index")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    killed, asked = threading.Event(), list[int]()
    with contextlib.ExitStack() as stack:
        remote = stack.enter_context(RemoteRetriever(f"http://127.0.0.1:{port}", patience=90.0))
        parts = make_parts(
            questions=[question()], corpus=remote, scoring=exact, budget={"turns": 100_000}
        )
        rollouts = parts.rollouts(RolloutRetryPolicy(timeout=120.0))
        policies = [(Researcher(killed, asked), question(i)) for i in range(EPISODES)]
        pool = stack.enter_context(ThreadPoolExecutor(1))
        with served(tmp_path / "index", port) as pid:
            playing = pool.submit(asyncio.run, rollouts.arun_all(policies, EPISODES))
            while len(asked) < 10 * EPISODES:
                time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            while well(port):
                time.sleep(0.01)
        killed.set()
        time.sleep(0.3)
        assert not playing.done()
        with served(tmp_path / "index", port):
            scored: list[Scored] = playing.result(120)
    assert [one.trajectory.ending for one in scored] == ["answered"] * EPISODES
    assert [one.score.total for one in scored] == [1.0] * EPISODES
    statuses = {
        result.status for one in scored for turn in one.trajectory.turns for result in turn.results
    }
    assert statuses == {"ok"}
    waited = [max(turn.results[0].seconds for turn in one.trajectory.turns[:-1]) for one in scored]
    assert min(waited) > 0.3
