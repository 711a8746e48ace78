"""A served environment in a thread, and a client that speaks OpenEnv's protocol word for word."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from websockets.sync.client import connect

from medenv.build.environment import Parts, make_parts
from medenv.records import Question
from medenv.rollouts.driver import RolloutRetryPolicy
from medenv.serving import EnvironmentServer, Limits, Tokens
from medenv.serving.web import App, WebServer, listen, web_config
from medenv.tools import Tool

from ..fakes import ANSWER, SEARCH, Shelf, question

HASTY = RolloutRetryPolicy(attempts=1, timeout=5.0)
SPLITS = ("train", "train", "train", "test", "test")


def questions() -> list[Question]:
    """Five questions with different texts, three for training."""
    return [
        msgspec.structs.replace(
            question(i), id=f"gold-FBN1-{i}", split=split, text=f"{question().text} ({i})"
        )
        for i, split in enumerate(SPLITS)
    ]


def parts(tools: Sequence[str | Tool] = ("search", "read"), **settings: Any) -> Parts:
    """An environment over five questions and four passages."""
    return make_parts(
        **{"questions": questions(), "corpus": Shelf(), "tools": tools, "env_id": "tests/Served-v0"}
        | settings
    )


class QuickServer(WebServer):
    """Looks more often whether it should stop."""

    async def main_loop(self) -> None:
        while not self.should_exit:
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def running(app: App, tokens: Tokens | None = None, **options: Any) -> Iterator[str]:
    """Serves an application from a thread until the block ends; yields host and port."""
    config = web_config(app, "127.0.0.1", 0, tokens=tokens or Tokens({}), **options)
    server = QuickServer(config, app.sessions.drain if isinstance(app, EnvironmentServer) else None)
    listening = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.002)
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def serving(
    made: Parts | None = None, tokens: Tokens | None = None, folder: Any = None, **limits: Any
) -> Iterator[str]:
    """Serves an environment; yields host and port."""
    server = EnvironmentServer(
        made or parts(), limits=Limits(**limits), folder=folder, patience=HASTY
    )
    options = {"max_message": limits["message_bytes"]} if "message_bytes" in limits else {}
    with running(server, tokens, **options) as where:
        yield where


class Client:
    """Sends messages as OpenEnv's documentation has them, and returns the answers."""

    def __init__(self, where: str, path: str = "/ws", **options: Any) -> None:
        self._open = contextlib.ExitStack()
        joined = connect(f"ws://{where}{path}", proxy=None, close_timeout=1, **options)
        self.socket = self._open.enter_context(joined)

    def ask(self, message: Any) -> dict[str, Any]:
        """Sends a message, encoded if it is no text, and returns the answer."""
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
        answer: dict[str, Any] = json.loads(self.socket.recv(timeout=10))
        return answer

    def reset(self, **data: Any) -> dict[str, Any]:
        return self.seen({"type": "reset", "data": data})

    def step(self, text: str) -> dict[str, Any]:
        return self.seen({"type": "step", "data": {"text": text}})

    def state(self) -> dict[str, Any]:
        answer = self.ask({"type": "state"})
        assert answer["type"] == "state"
        found: dict[str, Any] = answer["data"]
        return found

    def seen(self, message: dict[str, Any]) -> dict[str, Any]:
        """Sends a message that succeeds; returns the data."""
        answer = self.ask(message)
        assert answer["type"] == "observation", answer
        found: dict[str, Any] = answer["data"]
        return found

    def refused(self, message: Any) -> str:
        """Sends a message that is refused; returns the code."""
        answer = self.ask(message)
        assert answer["type"] == "error", answer
        assert answer["data"]["message"]
        code: str = answer["data"]["code"]
        return code

    def drop(self) -> None:
        """Breaks the connection off, as a crash does."""
        with contextlib.suppress(OSError):  # it is gone already
            self.socket.socket.shutdown(2)
        self._open.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


__all__ = ["ANSWER", "SEARCH", "Client", "parts", "questions", "running", "serving"]
