"""Access, start and shutdown of all servers of medenv.

A server listens on the loopback address unless it has tokens. Without tokens only requests that
name this machine are answered, and none that a web page of another origin sends, so that a page in
the user's browser cannot reach it.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from medenv.errors import DataError, UsageError
from medenv.io import numbered_lines
from medenv.io.network import TOKEN_VARIABLE

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Loop = Literal["auto", "asyncio", "uvloop"]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CLIENT = "medenv.client"
"""Key of a scope: name of the client that the token belongs to, ``""`` without tokens."""

_SILENCE = 60
"""Time for which a client may neither take data nor answer a ping, seconds."""

_MIN_TOKEN = 16


class Tokens:
    """Access tokens; only their hashes are kept.

    Args:
        named: Name of a client to its token, at least 16 characters.

    Raises:
        UsageError: A token is too short or belongs to two clients.
    """

    def __init__(self, named: Mapping[str, str]) -> None:
        self._names: dict[bytes, str] = {}
        for name, token in named.items():
            if len(token) < _MIN_TOKEN or not token.isascii() or not token.isprintable():
                raise UsageError(
                    f"the token of {name!r} needs at least {_MIN_TOKEN} ASCII characters, got "
                    f"{len(token)}"
                )
            if self._names.setdefault(_digest(token.encode()), name) != name:
                raise UsageError(f"the token of {name!r} belongs to another client as well")

    def __len__(self) -> int:
        return len(self._names)

    def client(self, header: bytes) -> str | None:
        """Return the client of an ``Authorization`` header, or None.

        Args:
            header: Value of the header.
        """
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        return self._names.get(_digest(token.strip()))  # of a hash: timing says nothing of a token

    @classmethod
    def read(cls, path: Path | None) -> Tokens:
        """Read tokens from a file and from the environment variable ``MEDENV_TOKEN``.

        Args:
            path: A file with one ``NAME TOKEN`` per line, or None.

        Raises:
            DataError: The file cannot be read, or a line has another form.
            UsageError: A token is too short or belongs to two clients.
        """
        named: dict[str, str] = {}
        if alone := os.environ.get(TOKEN_VARIABLE):
            named["default"] = alone
        if path is not None:
            for number, line in numbered_lines(path):
                words = line.split()
                if not words or words[0].startswith("#"):
                    continue
                if len(words) != 2:
                    raise DataError(path, "expected NAME TOKEN", number)
                named[words[0]] = words[1]
        return cls(named)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def check_address(host: str, tokens: Tokens) -> None:
    """Check that a server may listen on an address.

    Args:
        host: Name or address.
        tokens: The server's tokens.

    Raises:
        UsageError: The address can be reached from other machines, and there is no token.
    """
    if not is_loopback(host) and not len(tokens):
        raise UsageError(
            f"{host} can be reached from other machines, which needs a token: set "
            f"{TOKEN_VARIABLE}, pass --tokens FILE, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only be reached from this machine.

    Args:
        host: ``"localhost"`` or an address.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Middleware that lets in only those who may call the server.

    Args:
        app: The guarded application.
        tokens: Who may call; without tokens, programs on this machine.
    """

    def __init__(self, app: App, tokens: Tokens) -> None:
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or answer it with 401 or 403."""
        if scope["type"] != "lifespan":
            refused = self._refused(scope)
            if refused is not None:
                await refuse(scope, send, *refused)
                return
        await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin.decode("latin-1")).netloc != host:
            return 403, "requests of web pages of another origin are not answered"
        if not len(self._tokens):
            if not is_loopback(_host_name(host)):
                return 403, "without a token, only requests to localhost are answered"
            scope[CLIENT] = ""
            return None
        client = self._tokens.client(headers.get(b"authorization", b""))
        if client is None and scope["path"] != "/health":
            return 401, "send the header Authorization: Bearer TOKEN"
        scope[CLIENT] = client or ""
        return None


def _host_name(header: str) -> str:
    """Return a ``Host`` header without its port."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0]


async def refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    """Answer a request, or the handshake of a WebSocket, with an error.

    Args:
        scope: The request.
        send: Sends the answer.
        status: HTTP status.
        message: What was wrong.
    """
    body = msgspec.json.encode({"detail": message, "error": message})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


async def read_body(receive: Receive, max_bytes: int) -> bytes | None:
    """Return the whole body of a request, or None if it is too long.

    Args:
        receive: Receives the request.
        max_bytes: Maximum length.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > max_bytes:
            return None
    return b"".join(parts)


class _WebSocket(WebSocketsSansIOProtocol):
    """Closes handshakes that cannot be read, and stops reading only if a message is waiting."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = True
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        paused = self.read_paused
        self.read_paused = paused or self.queue.empty()  # stopping costs two system calls
        super().send_receive_event_to_app()
        if not paused and self.queue.qsize() == 1:
            self.read_paused = False


class WebServer(uvicorn.Server):
    """A uvicorn server that lets the application finish before connections are closed.

    Args:
        config: What is served, and how.
        drain: Called after the listening sockets are closed; returns when the application has
            answered what it had begun.
    """

    def __init__(
        self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, drain the application, close what is open."""
        for server in self.servers:
            server.close()
        if self._drain is not None:
            await self._drain()
        await super().shutdown(sockets)


def web_config(  # noqa: PLR0913 - each is a setting of its own
    app: App,
    host: str,
    port: int,
    *,
    tokens: Tokens,
    max_message: int = 1 << 20,
    max_connections: int = 2048,
    loop: Loop = "auto",
) -> uvicorn.Config:
    """Return how uvicorn serves an application of medenv.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        tokens: Who may call.
        max_message: Maximum length of a WebSocket message, bytes.
        max_connections: Open connections; further ones are answered with 503.
        loop: Event loop; uvloop's by default, where it is installed.

    Raises:
        UsageError: The address can be reached from other machines, and there is no token.
    """
    check_address(host, tokens)
    if not 0 <= port <= 65535:
        raise UsageError(f"expected a port from 0 to 65535, got {port}")
    return uvicorn.Config(
        Guard(app, tokens),
        host=host,
        port=port,
        loop=loop,
        ws=_WebSocket,
        ws_max_size=max_message,
        ws_ping_timeout=_SILENCE,
        ws_per_message_deflate=False,  # costs more time than it saves on this machine's network
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=max_connections,
        timeout_graceful_shutdown=10,
    )


def serve(
    config: uvicorn.Config,
    *,
    drain: Callable[[], Awaitable[None]] | None = None,
    say: Callable[[str], object] | None = None,
) -> None:
    """Serve until the process receives SIGINT or SIGTERM.

    Args:
        config: A result of `web_config`.
        drain: See `WebServer`.
        say: Receives the address once the server listens.

    Raises:
        UsageError: The address cannot be listened on.
    """
    listening = listen(config.host, config.port)
    _allow_files((config.limit_concurrency or 0) + 128)
    server = WebServer(config, drain)

    async def run() -> None:
        serving = asyncio.ensure_future(server.serve([listening]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if say is not None and server.started:
            host, port = listening.getsockname()[:2]
            say(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await serving

    # uvicorn raises the signal again after a clean stop, here as a KeyboardInterrupt
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(run())
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        listening.close()


def _allow_files(count: int) -> None:
    """Raise the number of files that this process may open, each connection being one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < count:
        _log.warning("%d connections need %d open files, and only %d are allowed (ulimit -n)",
                     count - 128, count, allowed)  # fmt: skip


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.

    Raises:
        UsageError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":  # drops the connection of a client that reads nothing
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE * 1000)
        found.bind((host.strip("[]"), port))
        found.listen(2048)
    except (OSError, UnicodeError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {host}, port {port}: {reason}; choose another --port"
        ) from error
    return found
