"""An MCP server for agents: whole episodes, and an environment's tools within them.

Any MCP client can play: it begins an episode, calls the tools as turns of it, and answers; the
score comes with the answer and not before. Every call names its episode, since the newest MCP keeps
no sessions. `medenv.serving.mcp` answers OpenEnv's own subset beside its WebSocket; this is MCP
itself, over stdio and streamable HTTP, by the official package.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette

import medenv
from medenv.build.environment import Parts
from medenv.errors import require
from medenv.records import ToolSpec
from medenv.serving.environment import identity
from medenv.serving.protocol import RefusedError, Reply, ResetData
from medenv.serving.sessions import Limits, Session, Sessions
from medenv.serving.store import Store
from medenv.serving.web import CLIENT, App, Tokens, serve, web_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult

BEGIN, ANSWER = "begin_episode", "answer"
EPISODE = "episode"
"""The argument of every call that names its episode."""

_EPISODE = {"type": "string", "description": f"Id of the episode, as {BEGIN} gave it."}
_OWN = (
    ToolSpec(
        name=BEGIN,
        description="Begin an episode: get a medical question to research, and the episode's id.",
        parameters={
            "type": "object",
            "properties": {
                "seed": {"type": "integer", "minimum": 0, "description": "Draws the question."},
                "split": {"type": "string", "description": "train or test, with index."},
                "index": {"type": "integer", "minimum": 0, "description": "Number in the split."},
            },
        },
    ),
    ToolSpec(
        name=ANSWER,
        description="Answer the question; this ends the episode, and shows its score.",
        parameters={
            "type": "object",
            "properties": {
                EPISODE: _EPISODE,
                "text": {"type": "string", "description": "The answer, a short name."},
            },
            "required": [EPISODE, "text"],
        },
    ),
)


class ToolServer:
    """An MCP server over the episodes of an environment.

    Args:
        parts: The environment.
        limits: What clients may use.
        folder: Keeps finished and running episodes; None keeps nothing.
        seed: Seed of the questions of episodes without a seed.

    Attributes:
        sessions: One for each running episode.
        server: The server of the package `mcp`, for in-process clients.

    Raises:
        MissingExtraError: The package `mcp` is not installed.
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
    ) -> None:
        require("mcp", "mcp", "servers of tools")
        from mcp.server.lowlevel import Server

        self._limits = limits or Limits()
        store = None if folder is None else Store(Path(folder), identity(parts))
        self.sessions = Sessions(parts, self._limits, store, seed)
        self._dialect = parts.rules.dialect
        self._tools = {one.name: one for one in (*_OWN, *map(_within, parts.rules.tools))}
        self.server: Server[Any] = Server(
            "medenv",
            version=medenv.__version__,
            instructions=(
                f"Call {BEGIN}, research the question with the tools, then call {ANSWER}. Every "
                "call counts against a budget of turns. For research only: no medical advice."
            ),
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    def run(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 8001,
        tokens: Tokens | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        """Serve streamable HTTP at /mcp until the process receives SIGINT or SIGTERM.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one.
            tokens: Who may call; by default, programs on this machine.
            say: Receives the address once the server listens.

        Raises:
            UsageError: The address needs a token, or cannot be listened on.
        """
        app, most = self.app(), 2 * self._limits.sessions
        config = web_config(app, host, port, tokens=tokens or Tokens({}), max_connections=most)
        serve(config, drain=self.sessions.drain, say=say)

    def app(self) -> App:
        """Return the ASGI application that serves streamable HTTP at /mcp.

        Whoever serves it otherwise than by `run` puts `medenv.serving.web.Guard` before it.
        """
        from mcp.server.transport_security import TransportSecuritySettings

        made: Starlette = self.server.streamable_http_app(
            json_response=True,
            max_request_body_size=self._limits.message_bytes,
            session_idle_timeout=self._limits.idle_seconds,
            max_sessions=self._limits.sessions,
            # `Guard` checks the host of each request, by the same rules as for other servers.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        inner = made.router.lifespan_context

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            async with self.sessions.running(), inner(app):
                yield

        made.router.lifespan_context = lifespan
        return made

    async def run_stdio(self) -> None:
        """Serve one client over stdin and stdout until it closes them."""
        from mcp.server.stdio import stdio_server

        async with self.sessions.running(), stdio_server() as (read, write):
            await self.server.run(read, write, self.server.create_initialization_options())

    async def _list(self, _context: ServerRequestContext[Any], _params: Any) -> ListToolsResult:
        from mcp_types import ListToolsResult, Tool

        return ListToolsResult(
            tools=[
                Tool(name=one.name, description=one.description, input_schema=one.parameters)
                for one in self._tools.values()
            ]
        )

    async def _call(
        self, context: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult:
        request = context.request
        client = request.scope.get(CLIENT, "") if request is not None else ""
        try:
            return _shown(await self._reply(str(client), params.name, dict(params.arguments or {})))
        except RefusedError as error:
            return _refused(str(error))
        except msgspec.ValidationError as error:
            return _refused(f"{params.name}: {error}")

    async def _reply(self, client: str, name: str, arguments: dict[str, Any]) -> Reply:
        if name not in self._tools:
            known = ", ".join(self._tools)
            raise msgspec.ValidationError(f"there is no such tool (tools: {known})")
        if name == BEGIN:
            return self._begin(client, arguments)
        episode = arguments.pop(EPISODE, None)
        if not isinstance(episode, str):
            raise msgspec.ValidationError(f"expected {EPISODE!r}, the id that {BEGIN} gave")
        session = self.sessions.reach(client, episode)
        reply = await self.sessions.step(session, self._text(name, arguments))
        if reply.done:
            self._end(session)
        return reply

    def _begin(self, client: str, arguments: dict[str, Any]) -> Reply:
        unknown = sorted(arguments.keys() - _OWN[0].parameters["properties"].keys())
        if unknown:
            raise msgspec.ValidationError(f"there is no argument {unknown[0]!r}")
        asked = msgspec.convert(arguments, ResetData)
        session = self.sessions.open(client)
        try:
            return self.sessions.begin(session, asked)
        except BaseException:
            self.sessions.close(session, park=False)
            raise

    def _text(self, name: str, arguments: dict[str, Any]) -> str:
        """Return the turn that a policy would have written for a call."""
        if name != ANSWER:
            return self._dialect.write_call(name, arguments)
        text = arguments.pop("text", None)
        if arguments or not isinstance(text, str) or not text.strip():
            raise msgspec.ValidationError("expected 'text', the answer, and nothing else")
        return self._dialect.write_answer(text)

    def _end(self, session: Session) -> None:
        self.sessions.delivered(session)
        self.sessions.close(session, park=False)


def _within(tool: ToolSpec) -> ToolSpec:
    """Return a tool of the environment with an argument that names the episode."""
    schema = tool.parameters
    properties = {EPISODE: _EPISODE, **schema.get("properties", {})}
    required = [EPISODE, *schema.get("required", ())]
    parameters = {**schema, "properties": properties, "required": required}
    return msgspec.structs.replace(tool, parameters=parameters)


def _shown(reply: Reply) -> CallToolResult:
    """Return what an episode answered, the score where it has ended."""
    from mcp_types import CallToolResult, TextContent

    seen = reply.observation
    text = "\n".join(part for part in (seen.text, *seen.problems) if part)
    data: dict[str, Any] = {"done": reply.done, "turns_left": seen.turns_left}
    if "episode_id" in seen.metadata:
        data[EPISODE] = seen.metadata["episode_id"]
        text = f"{text}\n\n{EPISODE}: {data[EPISODE]}"
    if reply.done:
        data |= {"reward": reply.reward, **msgspec.to_builtins(seen.metadata)}
        text = f"{text}\nThe episode has ended; reward {reply.reward}".strip()
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=data,
        is_error=bool(seen.problems) and not reply.done,
    )


def _refused(told: str) -> CallToolResult:
    from mcp_types import CallToolResult, TextContent

    return CallToolResult(content=[TextContent(type="text", text=told)], is_error=True)
