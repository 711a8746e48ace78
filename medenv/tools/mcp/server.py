"""A connection to an MCP server that is opened on demand and reopened after a failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

from medenv.errors import ToolUnavailableError, UsageError, describe
from medenv.io.network import route_to
from medenv.records import Record
from medenv.tools.secrets import expand_variables
from medenv.tools.waiting import on_tool_loop, wait_for

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client import Transport

_T = TypeVar("_T")

Kind = Literal["", "stdio", "http", "streamable-http", "streamable_http", "streamableHttp", "sse"]
"""Transport of a server, in the spellings of MCP clients."""


class ServerSettings(Record, frozen=True, kw_only=True):
    """Settings of an MCP server, in the format shared by MCP clients.

    Args:
        type: ``"stdio"`` for a local server; ``"http"`` (also ``"streamable-http"``) or, for old
            servers, ``"sse"`` for a remote one; by default derived from `command` or `url`.
        command: Program of a local server, which communicates over stdin and stdout.
        args: Arguments of the program.
        env: Additional environment variables; ``${NAME}`` is replaced by a variable of medenv.
        cwd: Working directory, or ``""`` for the present one.
        url: Address of a remote server.
        headers: Headers of every request; ``${NAME}`` is replaced by an environment variable.
        tools: Names of the tools to offer, or None for all.
        prefix: Prefix of the tools' names.
        start_timeout: Timeout of the start, seconds.
        timeout: Timeout of one request, seconds.
        max_chars: Maximum length of one result; longer text is truncated.

    Raises:
        UsageError: Both or neither of `command` and `url`, a `type` that contradicts them, or a
            limit that is not above 0.
    """

    type: Kind = ""
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    tools: tuple[str, ...] | None = None
    prefix: str = ""
    start_timeout: float = 60.0
    timeout: float = 30.0
    max_chars: int = 20_000

    def __post_init__(self) -> None:
        """Validate the settings."""
        if bool(self.command) == bool(self.url):
            raise UsageError(
                "an MCP server needs either a command (local) or a url (remote), got "
                f"command={self.command!r}, url={self.url!r}"
            )
        if self.type and (self.type == "stdio") != bool(self.command):
            needed = "a command" if self.type == "stdio" else "a url"
            raise UsageError(f"an MCP server of the type {self.type!r} needs {needed}")
        if not (self.start_timeout > 0 and self.timeout > 0 and self.max_chars >= 1):
            raise UsageError(
                "an MCP server needs start_timeout > 0, timeout > 0 and max_chars >= 1, got "
                f"{self.start_timeout}, {self.timeout}, {self.max_chars}"
            )


class McpServer:
    """An MCP server with one session for all calls of this process, opened by the first call.

    A failed session takes no further calls and is closed after its last call; the next call opens a
    new session, which restarts a local server.

    Args:
        name: Name of the server, for messages.
        settings: Settings of the server.
    """

    def __init__(self, name: str, settings: ServerSettings) -> None:
        self.name, self.settings = name, settings
        self._session: _Session | None = None

    async def request(self, make: Callable[[Client], Awaitable[_T]]) -> _T:
        """Make a request from any event loop.

        Args:
            make: Function that makes the request with the open client.

        Raises:
            ToolUnavailableError: The server cannot be reached, or returned an invalid response.
            MCPError: The server rejected the arguments.
        """
        return await on_tool_loop(self._request(make))

    def close(self) -> None:
        """Close the session, if one is open, and stop a local server."""
        wait_for(self._close())

    def __enter__(self) -> McpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _request(self, make: Callable[[Client], Awaitable[_T]]) -> _T:
        from mcp import MCPError
        from mcp.types import INVALID_PARAMS

        session = self._open()
        with session.used():
            try:
                return await make(await session.client())
            except _failures() as error:
                if isinstance(error, MCPError) and error.code == INVALID_PARAMS:
                    raise
                session.retire()
                line = session.last_stderr_line()
                route = route_to(self.settings.url) if self.settings.url else ""
                raise ToolUnavailableError(
                    f"MCP server {self.name!r}{route}: {describe(error)}"
                    + (f" (stderr: {line})" if line else "")
                ) from error

    def _open(self) -> _Session:
        """Return the session of this process; open a new one if needed."""
        found = self._session
        if found is None or found.retired or found.process != os.getpid():
            found = self._session = _Session(self.settings)
        return found

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.process == os.getpid():
            session.retire()
            await asyncio.wait({session.holder})


class _Session:
    """One session, held by its own task, since it must be closed in the task that opened it."""

    def __init__(self, settings: ServerSettings) -> None:
        self.process, self.retired = os.getpid(), False
        self._timeout = settings.start_timeout
        self._calls = 0
        self._over = asyncio.Event()
        self._errors: IO[str] | None = None
        self._last_line = ""
        self._opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self.holder = asyncio.ensure_future(self._hold(settings))
        self.holder.add_done_callback(self._ended)

    async def client(self) -> Client:
        """Wait for the client to open and return it."""
        waiting: set[asyncio.Future[Any]] = {self._opened, self.holder}
        await asyncio.wait(waiting, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
        if self._opened.done():
            return self._opened.result()
        if self.holder.done():
            raise self.holder.exception() or ConnectionError("the session was closed")
        self.holder.cancel()
        raise TimeoutError(f"no session within {self._timeout:g} s")

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Keep the session open during a call, even if it is retired."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._end_if_done()

    def retire(self) -> None:
        """Close the session after its present calls."""
        self.retired = True
        self._end_if_done()

    def last_stderr_line(self) -> str:
        """Return the last line that a local server wrote to stderr, or ``""``."""
        if self._errors is not None and not self._errors.closed:
            self._errors.seek(0)
            lines = [line.strip() for line in self._errors.read().splitlines()]
            self._last_line = next((line[:300] for line in reversed(lines) if line), "")
        return self._last_line

    def _end_if_done(self) -> None:
        if self.retired and not self._calls:
            self._over.set()

    async def _hold(self, settings: ServerSettings) -> None:
        from mcp import Client

        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as self._errors:
            try:
                async with (
                    _transport(settings, self._errors) as transport,
                    Client(transport) as client,
                ):
                    self._opened.set_result(client)
                    await self._over.wait()
            finally:
                self.last_stderr_line()

    def _ended(self, holder: asyncio.Task[None]) -> None:
        """Mark the session as retired and ignore exceptions of its end."""
        self.retired = True
        if not holder.cancelled():
            holder.exception()


@contextlib.asynccontextmanager
async def _transport(settings: ServerSettings, errors: IO[str]) -> AsyncIterator[Transport]:
    """Yield the transport, not yet opened."""
    if settings.command:
        from mcp import StdioServerParameters, stdio_client

        env = {name: expand_variables(value) for name, value in settings.env.items()}
        parameters = StdioServerParameters(
            command=settings.command, args=list(settings.args), env=env, cwd=settings.cwd or None
        )
        yield stdio_client(parameters, errlog=errors)  # type: ignore[arg-type]
        return
    import httpx2
    from mcp.client.sse import sse_client
    from mcp.client.streamable_http import streamable_http_client

    headers = {name: expand_variables(value) for name, value in settings.headers.items()}

    def connections(
        headers: dict[str, str] | None = headers,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        transport = httpx2.AsyncHTTPTransport(proxy=route_to(settings.url).proxy)
        return httpx2.AsyncClient(
            headers=headers,
            timeout=timeout or httpx2.Timeout(settings.timeout),
            auth=auth,
            transport=transport,
        )

    if settings.type == "sse":
        yield sse_client(
            settings.url, headers, timeout=settings.timeout, httpx_client_factory=connections
        )
        return
    async with connections() as client:
        yield streamable_http_client(settings.url, http_client=client)


def _failures() -> tuple[type[Exception], ...]:
    """Return the exceptions that a request to a server can raise."""
    import anyio
    import httpx2
    from mcp import MCPError

    closed = (anyio.BrokenResourceError, anyio.ClosedResourceError)
    return (MCPError, OSError, RuntimeError, ValueError, ExceptionGroup, httpx2.HTTPError, *closed)
