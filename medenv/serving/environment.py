"""An environment over HTTP and WebSocket in the protocol of OpenEnv 0.10.

    parts = make_parts(questions="outputs/questions")
    server = EnvironmentServer(parts, limits=Limits(sessions=512))
    server.run(port=8000)

All sessions share the environment's questions, tools and reward; each has an episode of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import medenv
from medenv.build.environment import Parts
from medenv.dialects.base import neutralise
from medenv.envs.env import MedResearchEnv
from medenv.envs.kinds import ENVIRONMENT_CLASSES
from medenv.io import digest
from medenv.rollouts.driver import RolloutRetryPolicy
from medenv.serving.mcp import MCP
from medenv.serving.openapi import Endpoint, describe_api, message_schemas
from medenv.serving.protocol import (
    AskState,
    CallMCP,
    Close,
    NotJSONError,
    RefusedError,
    Reply,
    Reset,
    ResetData,
    State,
    Step,
    StepData,
    decode_message,
    encode_error,
    encode_message,
    load_json,
)
from medenv.serving.sessions import Limits, Session, Sessions
from medenv.serving.store import Store
from medenv.serving.web import (
    CLIENT,
    Loop,
    Receive,
    Scope,
    Send,
    Tokens,
    read_body,
    refuse,
    serve,
    web_config,
)

_log = logging.getLogger(__name__)

_FAILED = RefusedError("EXECUTION_ERROR", "the server failed; its log says why", 500)
_encode = msgspec.json.Encoder().encode


class SplitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A split.

    Args:
        split: Its name.
    """

    split: str


class TaskRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A question.

    Args:
        split: Split of the question.
        index: Number of the question within the split.
    """

    split: str
    index: int


class TaskRangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Some questions.

    Args:
        split: Split of the questions.
        start: First number; 0 by default.
        stop: Number after the last; all by default.
    """

    split: str
    start: Annotated[int, Meta(ge=0)] | None = None
    stop: Annotated[int, Meta(ge=0)] | None = None


class StateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An episode.

    Args:
        episode_id: Its id; none for the state before any episode.
    """

    episode_id: str | None = None


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No arguments."""


class EnvironmentServer:
    """An ASGI application that serves an environment.

    Args:
        parts: The environment.
        limits: What clients may use.
        folder: Keeps finished and running episodes; None keeps nothing.
        seed: Seed of the questions of resets without a seed.
        patience: How often failing tool calls and scores are tried again.

    Attributes:
        sessions: The sessions.

    Raises:
        FolderInUseError: Another server uses the folder.
        DataError: The folder belongs to another environment, is damaged, or cannot be written.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        limits: Limits | None = None,
        folder: Path | str | None = None,
        seed: int = 0,
        patience: RolloutRetryPolicy | None = None,
    ) -> None:
        self._parts, self._limits = parts, limits or Limits()
        self._name = parts.rules.env_id.rpartition("/")[2] or "medenv"
        store = None if folder is None else Store(Path(folder), identity(parts))
        self.sessions = Sessions(parts, self._limits, store, seed, patience)
        self._mcp = MCP(self.sessions)
        self._endpoints = self._table()
        self._http = Starlette(
            routes=[
                Route(one.path, self._handler(one), methods=[one.method]) for one in self._endpoints
            ]
            + [
                Route("/mcp", self._post_mcp, methods=["POST"]),
                Route("/metrics", self._metrics, methods=["GET"]),
                Route("/openapi.json", self._openapi, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _http_error, Exception: _failed},
            lifespan=lambda _app: self.sessions.running(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or hold a WebSocket session."""
        if scope["type"] != "websocket":
            await self._http(scope, receive, send)
        elif scope["path"] == "/ws":
            await self._connect(scope, receive, send, self._message)
        elif scope["path"] == "/mcp":
            await self._connect(scope, receive, send, self._mcp_message)
        else:
            await refuse(scope, send, 404, "the WebSockets here are /ws and /mcp")

    def run(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        tokens: Tokens | None = None,
        loop: Loop = "auto",
        say: Callable[[str], object] | None = None,
    ) -> None:
        """Serve until the process receives SIGINT or SIGTERM.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one.
            tokens: Who may call; by default, programs on this machine.
            loop: Event loop; uvloop's by default, where it is installed.
            say: Receives the address once the server listens.

        Raises:
            UsageError: The address needs a token, or cannot be listened on.
        """
        gc.collect()
        gc.freeze()  # the environment stays; to look through it would halt all sessions for a while
        config = web_config(
            self,
            host,
            port,
            tokens=tokens or Tokens({}),
            loop=loop,
            max_message=self._limits.message_bytes,
            max_connections=2 * self._limits.sessions + 64,
        )
        serve(config, drain=self.sessions.drain, say=say)

    # WebSocket

    async def _connect(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        answer: Callable[[Session, str | bytes], Awaitable[str | None]],
    ) -> None:
        """Hold a session for as long as its connection lasts."""
        await receive()
        await send({"type": "websocket.accept"})
        task = asyncio.current_task()
        assert task is not None
        ended: list[RefusedError] = []

        def end(error: RefusedError) -> None:
            ended.append(error)
            task.cancel()

        try:
            session = self.sessions.open(scope.get(CLIENT, ""), end)
            if attached := _session_id(scope):
                try:
                    self.sessions.begin(session, ResetData(episode_id=attached, resume=True))
                except RefusedError:
                    self.sessions.close(session, park=False)
                    raise
        except RefusedError as error:
            self._count(error)
            await _close(send, error, 1013)
            return
        park = True
        try:
            park = await self._converse(session, receive, send, answer)
        except OSError:
            pass  # the client is gone
        except asyncio.CancelledError:
            if not ended:
                raise
            task.uncancel()
            self.sessions.close(session, park=True)
            await _close(send, ended[0], 1000)
        finally:
            self.sessions.close(session, park=park)

    async def _converse(
        self,
        session: Session,
        receive: Receive,
        send: Send,
        answer: Callable[[Session, str | bytes], Awaitable[str | None]],
    ) -> bool:
        """Answer messages until the connection ends; return whether the episode is parked."""
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                if event.get("code") == 1000:
                    self.sessions.delivered(session)
                return True
            session.touch()
            self.sessions.delivered(session)
            raw = event.get("text")
            try:
                text = await answer(session, event.get("bytes") or b"" if raw is None else raw)
            except RefusedError as error:
                self._count(error)
                text = encode_error(error)
            except Exception:
                _log.exception("a message failed")
                text = encode_error(_FAILED)
            if text is None:
                await send({"type": "websocket.close", "code": 1000})
                return False
            await send({"type": "websocket.send", "text": text})

    async def _message(self, session: Session, raw: str | bytes) -> str | None:
        """Return the answer to a message of `/ws`, or None to close the connection."""
        match decode_message(raw):
            case Step(data=action):
                reply = await self.sessions.step(session, action.text, limit=session.limit)
                return encode_message("observation", reply)
            case Reset(data=data):
                return encode_message("observation", self.sessions.begin(session, data))
            case AskState():
                return encode_message("state", self.sessions.state(session))
            case CallMCP(data=request):
                return encode_message("mcp", await self._mcp.answer(request, session))
            case Close():
                return None

    async def _mcp_message(self, session: Session, raw: str | bytes) -> str | None:
        return _encode(await self._mcp.answer_raw(raw, session)).decode()

    # HTTP

    def _table(self) -> list[Endpoint]:
        tasks = list[dict[str, Any]]
        return [
            Endpoint("GET", "/health", self._health, Nothing, dict, "Whether the server is well"),
            Endpoint("GET", "/metadata", self._metadata, Nothing, dict, "What is served"),
            Endpoint("GET", "/schema", self._schema, Nothing, dict, "Schemas of the messages"),
            Endpoint("GET", "/state", self._state, StateRequest, State, "State of an episode"),
            Endpoint("POST", "/reset", self._reset, ResetData, Reply, "Begin an episode"),
            Endpoint("POST", "/step", self._step, StepData, Reply, "Take a turn"),
            Endpoint(
                "GET",
                "/list_environments",
                self._names,
                Nothing,
                list[str],
                "Names of what is here",
            ),
            Endpoint("GET", "/{env_name}/splits", self._splits, Nothing, tasks, "Splits"),
            Endpoint("POST", "/{env_name}/tasks", self._tasks, SplitRequest, dict, "Questions"),
            Endpoint(
                "POST", "/{env_name}/num_tasks", self._num_tasks, SplitRequest, dict, "Their number"
            ),
            Endpoint("POST", "/{env_name}/task", self._task, TaskRequest, dict, "One question"),
            Endpoint(
                "POST",
                "/{env_name}/task_range",
                self._task_range,
                TaskRangeRequest,
                dict,
                "Some questions",
            ),
        ]

    def _handler(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            name = request.path_params.get("env_name")
            if name is not None and name.lower() != self._name.lower():
                return _answer(404, {"detail": f"unknown environment (known: {self._name})"})
            try:
                if endpoint.method == "GET":
                    given = msgspec.convert(dict(request.query_params), endpoint.takes)
                else:
                    body = await read_body(request.receive, self._limits.message_bytes)
                    if body is None:
                        most = self._limits.message_bytes
                        return _answer(413, {"detail": f"a request has at most {most} bytes"})
                    given = msgspec.convert(load_json(body or b"{}"), endpoint.takes)
            except (msgspec.ValidationError, NotJSONError) as error:
                place = "query" if endpoint.method == "GET" else "body"
                problem = {"type": "value_error", "loc": [place], "msg": str(error)}
                return _answer(422, {"detail": [problem]})
            try:
                return _answer(200, await endpoint.call(request.scope.get(CLIENT, ""), given))
            except RefusedError as error:
                self._count(error)
                wait = {} if error.wait is None else {"retry-after": str(max(1, round(error.wait)))}
                detail = {"detail": str(error), "code": error.code}
                return _answer(error.status, detail, wait)

        return handle

    async def _health(self, _client: str, _given: Nothing) -> dict[str, str]:
        if self.sessions.draining or not self.sessions.keeping:
            raise RefusedError("SESSION_ERROR", "unhealthy", 503)
        return {"status": "healthy"}

    async def _metadata(self, _client: str, _given: Nothing) -> dict[str, Any]:
        kind = ENVIRONMENT_CLASSES.get(self._parts.rules.env_id, MedResearchEnv)
        text = inspect.getdoc(kind) or ""
        return {
            "name": self._name,
            "description": text.partition("\n")[0],
            "readme_content": text,
            "version": medenv.__version__,
            "author": "medenv",
            "documentation_url": None,
        }

    async def _schema(self, _client: str, _given: Nothing) -> dict[str, Any]:
        return message_schemas()

    async def _state(self, client: str, given: StateRequest) -> State:
        if given.episode_id is None:
            return self.sessions.state(None)
        return self.sessions.state(self.sessions.find(client, given.episode_id))

    async def _reset(self, client: str, given: ResetData) -> Reply:
        session = self.sessions.open(client)
        try:
            return self.sessions.begin(session, given)
        except BaseException:
            self.sessions.close(session, park=False)
            raise

    async def _step(self, client: str, given: StepData) -> Reply:
        session = self.sessions.find(client, given.episode_id)
        reply = await self.sessions.step(session, given.action.text, seconds=given.timeout_s)
        if reply.done:
            self.sessions.delivered(session)
            if session.end is None:
                self.sessions.close(session, park=False)
        return reply

    async def _names(self, _client: str, _given: Nothing) -> list[str]:
        return [self._name]

    async def _splits(self, _client: str, _given: Nothing) -> list[dict[str, str]]:
        known = ("train", "validation", "test")
        return [
            {"name": split, "type": split if split in known else "validation"}
            for split in sorted(self.sessions.splits)
        ]

    async def _tasks(self, _client: str, given: SplitRequest) -> dict[str, Any]:
        return {"tasks": self._shown(given.split), "env_name": self._name}

    async def _num_tasks(self, _client: str, given: SplitRequest) -> dict[str, int]:
        return {"num_tasks": self._size(given.split)}

    async def _task(self, _client: str, given: TaskRequest) -> dict[str, Any]:
        size = self._size(given.split)
        if not 0 <= given.index < size:
            problem = f"split {given.split!r} has the numbers 0 to {size - 1}, got {given.index}"
            raise RefusedError("VALIDATION_ERROR", problem, 400)
        (task,) = self._shown(given.split, given.index, given.index + 1)
        return {"task": task}

    async def _task_range(self, _client: str, given: TaskRangeRequest) -> dict[str, Any]:
        return {"tasks": self._shown(given.split, given.start, given.stop)}

    def _size(self, split: str) -> int:
        if split not in self.sessions.splits:
            known = ", ".join(sorted(self.sessions.splits))
            problem = f"unknown split {split!r:.80} (known: {known})"
            raise RefusedError("VALIDATION_ERROR", problem, 400)
        return len(self.sessions.splits[split])

    def _shown(
        self, split: str, start: int | None = None, stop: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the texts of questions; ids, answers and certificates stay here."""
        numbers = range(self._size(split))[start:stop]
        questions = self.sessions.splits[split]
        return [
            {"split": split, "index": i, "text": neutralise(questions[i].text)} for i in numbers
        ]

    async def _post_mcp(self, request: Request) -> Response:
        body = await read_body(request.receive, self._limits.message_bytes)
        if body is None:
            most = self._limits.message_bytes
            return _answer(413, {"detail": f"a request has at most {most} bytes"})
        return _answer(200, await self._mcp.answer_raw(body, None, request.scope.get(CLIENT, "")))

    async def _metrics(self, _request: Request) -> Response:
        metrics = self.sessions.metrics
        metrics.sessions, metrics.parked = self.sessions.count, self.sessions.parked
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    async def _openapi(self, _request: Request) -> Response:
        return _answer(200, describe_api(self._name, self._endpoints))

    def _count(self, error: RefusedError) -> None:
        self.sessions.metrics.refused[error.code] += 1


def identity(parts: Parts) -> dict[str, str]:
    """Return what tells a state folder of one environment from that of another.

    Args:
        parts: The environment.
    """
    questions = digest([question.id for question in parts.questions], 16)
    return {"environment": parts.rules.config_hash, "questions": questions}


async def _close(send: Send, error: RefusedError, code: int) -> None:
    """Tell a client why its connection ends; one that does not read is not waited for."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(2.0):
            await send({"type": "websocket.send", "text": encode_error(error)})
            await send({"type": "websocket.close", "code": code})


def _session_id(scope: Scope) -> str:
    """Return the episode that a WebSocket names in its address, or ``""``."""
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("session_id", [""])[0][:255]


def _answer(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(content), status, headers, media_type="application/json")


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, {"detail": error.detail}, dict(error.headers or {}))


async def _failed(_request: Request, _error: Exception) -> Response:
    return _answer(500, {"detail": str(_FAILED), "code": _FAILED.code})
