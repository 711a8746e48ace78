"""Contracts of environments that are served in OpenEnv's protocol."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from medenv.conformance.report import Check, NotApplicable, holds
from medenv.conformance.tools import HOSTILE, inlined, sample
from medenv.errors import UsageError, describe

LONGEST = 200
"""Steps within which an episode of sample actions has to end."""

SECONDS = 30.0
"""Longest wait for an answer."""

BROKEN = ("", "{", "[]", "null", '{"type": "step"}', '{"type": "nothing", "data": {}}', "\ud83e")
"""Malformed messages."""


class ServedEnvironment:
    """An environment behind a URL.

    Args:
        url: Its base URL.
        token: What it asks for as ``Authorization: Bearer``, empty for nothing.

    Raises:
        UsageError: It is no URL of HTTP.
    """

    def __init__(self, url: str, token: str = "") -> None:
        parsed = urlsplit(url)
        if parsed.scheme not in ("http", "https") or not parsed.hostname:
            raise UsageError(f"expected the URL of a served environment, got {url!r}")
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> httpx.Response:
        """Ask for a path."""
        return httpx.get(
            f"{self.url}{path}", headers=self._headers, timeout=SECONDS, trust_env=False
        )

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """Return a context with a session of its own."""
        address = f"ws{self.url.removeprefix('http')}/ws"
        with connect(
            address, additional_headers=self._headers, proxy=None, open_timeout=SECONDS
        ) as socket:
            yield Session(socket)

    def action(self) -> dict[str, Any]:
        """Return the plainest action that the schema accepts."""
        schema: dict[str, Any] = inlined(self.get("/schema").json()["action"])
        required = {name for name in schema.get("required", ()) if name != "metadata"}
        return {name: sample(schema["properties"][name]) for name in sorted(required)}


class Session:
    """One session over WebSocket.

    Args:
        socket: Its connection.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def ask(self, message: Any) -> dict[str, Any]:
        """Send a message, encoded if it is no text; return the answer."""
        text = message if isinstance(message, str) else json.dumps(message)
        self._socket.send(text.encode("utf-8", "replace").decode())
        answer: dict[str, Any] = json.loads(self._socket.recv(timeout=SECONDS))
        return answer

    def reset(self, **data: Any) -> dict[str, Any]:
        """Begin an episode; return the observation's data."""
        return _observed(self.ask({"type": "reset", "data": data}))

    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        """Take a step; return the observation's data."""
        return _observed(self.ask({"type": "step", "data": action}))


def _observed(answer: dict[str, Any]) -> dict[str, Any]:
    told = str(answer.get("data"))[:160]
    holds(answer.get("type") == "observation", f"expected an observation, got {told}")
    data: dict[str, Any] = answer["data"]
    return data


def it_is_healthy_and_says_what_it_is(one: ServedEnvironment) -> str:
    """`/health` and `/metadata` answer."""
    health = one.get("/health")
    holds(health.status_code == 200, f"expected 200 of /health, got {health.status_code}")
    about = one.get("/metadata").json()
    holds(bool(about.get("name")), "expected a name in /metadata")
    return str(about["name"])


def it_says_what_actions_and_observations_are(one: ServedEnvironment) -> str:
    """`/schema` has JSON schemas by which an action can be made."""
    schema = one.get("/schema").json()
    missing = [name for name in ("action", "observation", "state") if name not in schema]
    holds(not missing, f"expected schemas of action, observation and state, no {missing}")
    return f"an action is {one.action()}"[:120]


def an_episode_is_played_to_its_end(one: ServedEnvironment) -> str:
    """Sample actions end an episode, and every reward is a finite number or null."""
    action = one.action()
    with one.session() as session:
        session.reset(seed=0)
        for steps in range(1, LONGEST + 1):
            seen = session.step(action)
            reward = seen.get("reward")
            finite = reward is None or math.isfinite(float(reward))
            holds(finite, f"expected a finite reward, got {reward!r}")
            if seen["done"]:
                return f"{steps} steps, reward {reward}"
    raise NotApplicable(f"no episode ended within {LONGEST} sample actions")


def a_seed_decides_the_beginning(one: ServedEnvironment) -> str:
    """Two sessions with one seed are shown the same."""
    shown = []
    for seed in (0, 0, 1):
        with one.session() as session:
            seen = dict(session.reset(seed=seed)["observation"])
            seen.pop("metadata", None)
            shown.append(seen)
    holds(shown[0] == shown[1], "expected the same observation of seed 0 twice, got two")
    return "the same twice" + (", another for seed 1" if shown[2] != shown[0] else "")


def sessions_do_not_touch_each_other(one: ServedEnvironment) -> str:
    """A step in one session changes no other."""
    action = one.action()
    with one.session() as first, one.session() as second:
        first.reset(seed=0)
        begun = second.reset(seed=1)
        first.step(action)
        state = second.ask({"type": "state"})
        steps = state.get("data", {}).get("step_count")
        holds(steps == 0, f"expected no step in the second session, got {steps}")
    return f"observation of {len(str(begun)):,} characters untouched"


def broken_messages_end_no_session(one: ServedEnvironment) -> str:
    """A malformed message is answered with an error, and the session continues."""
    with one.session() as session:
        session.reset(seed=0)
        for message in BROKEN:
            answer = session.ask(message)
            holds(answer.get("type") == "error", f"expected an error for {message!r}")
        session.step(one.action())
    return f"{len(BROKEN)} messages"


def hostile_text_ends_no_session(one: ServedEnvironment) -> str:
    """A language model may write any text."""
    action = one.action()
    texts = [name for name, value in action.items() if isinstance(value, str)]
    if not texts:
        raise NotApplicable("actions have no text")
    for text in HOSTILE:
        with one.session() as session:
            session.reset(seed=0)
            sent = action | {texts[0]: text.encode("utf-8", "replace").decode()}
            session.ask({"type": "step", "data": sent})
            session.reset(seed=0)
    return f"{len(HOSTILE)} actions"


def malformed_requests_are_no_fault_of_the_server(one: ServedEnvironment) -> str:
    """No malformed HTTP request is answered with a status of 500 or more."""
    bodies = (b"", b"{", b"[]", b"\xff\xfe", b'{"action": 7}', b'{"seed": -1}', b"0" * 10_000)
    for path in ("/reset", "/step", "/mcp", "/nowhere"):
        for body in bodies:
            answer = httpx.post(
                f"{one.url}{path}", content=body, headers=one._headers, timeout=SECONDS,
                trust_env=False,
            )  # fmt: skip
            holds(
                answer.status_code < 500,
                f"expected a refusal of {body[:20]!r} at {path}, got {answer.status_code}",
            )
    return f"{4 * len(bodies)} requests"


CHECKS: tuple[Check[ServedEnvironment], ...] = (
    it_is_healthy_and_says_what_it_is,
    it_says_what_actions_and_observations_are,
    an_episode_is_played_to_its_end,
    a_seed_decides_the_beginning,
    sessions_do_not_touch_each_other,
    broken_messages_end_no_session,
    hostile_text_ends_no_session,
    malformed_requests_are_no_fault_of_the_server,
)


def open_served(url: str, token: str = "") -> ServedEnvironment:
    """Return a served environment that answers.

    Args:
        url: Its base URL.
        token: What it asks for, empty for nothing.

    Raises:
        UsageError: Nothing answers there.
    """
    served = ServedEnvironment(url, token)
    try:
        served.get("/health")
        with served.session():
            pass
    except (httpx.HTTPError, OSError, WebSocketException) as error:
        raise UsageError(f"no environment is served at {url}: {describe(error)}") from error
    return served
