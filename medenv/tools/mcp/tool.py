"""A tool of an MCP server, under the same budgets and checks as one of our own.

What a server says of its tools is foreign text: it is shown with tags and control tokens made
harmless, while arguments are checked against the schema as the server gave it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from medenv.dialects.base import neutralise
from medenv.errors import UnknownNameError, UsageError
from medenv.records import ToolSpec
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.mcp.server import McpServer, ServerSettings
from medenv.tools.waiting import wait_for

if TYPE_CHECKING:
    import mcp.types
    from mcp import Client

MAX_DESCRIPTION = 2_000
"""Longest description that is shown of a tool, characters."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def mcp_tools(servers: Mapping[str, Mapping[str, Any]]) -> tuple[McpTool, ...]:
    """Return the tools of MCP servers, by server in the order given and then by name.

    Args:
        servers: Names of servers to their `ServerSettings`, as the ``mcpServers`` of other clients.

    Raises:
        UsageError: No `mcp` package, settings of another shape, a local server whose program is not
            there, or a tool of which name or schema cannot be used.
        UnknownNameError: A server has no tool of a name that was asked for.
        ToolUnavailableError: A server did not answer.
    """
    if find_spec("mcp") is None:
        raise UsageError("tools of MCP servers need the extra `mcp`: pip install medenv[mcp]")
    tools: list[McpTool] = []
    for name, settings in servers.items():
        try:
            chosen = msgspec.convert(dict(settings), ServerSettings)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise UsageError(f"MCP server {name!r}: {error}") from error
        path = chosen.env.get("PATH")
        if chosen.command and shutil.which(chosen.command, path=path) is None:
            raise UsageError(f"MCP server {name!r}: there is no program {chosen.command!r}")
        server = McpServer(name, chosen)
        tools.extend(_chosen(server, wait_for(server.request(_listed))))
    return tuple(tools)


class McpTool(Tool):
    """A tool that an MCP server offers.

    What the tool itself calls an error is shown to the policy, as the protocol wants it; a server
    that cannot be reached or answers otherwise than agreed is a failure of the infrastructure.

    Args:
        server: The server.
        offered: What it says of the tool.

    Attributes:
        server: The server.

    Raises:
        UsageError: Its name or its schema cannot be used.
    """

    local = False
    is_async = True

    def __init__(self, server: McpServer, offered: mcp.types.Tool) -> None:
        self.server, self._offered = server, offered.name
        self.name = f"{server.settings.prefix}{offered.name}"
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"MCP server {server.name!r}: the tool name {self.name[:80]!r} is not 1 to 64 "
                "letters, digits, '_', '-' and '.'"
            )
        try:
            self._validator = _validator(offered.input_schema)
        except (SchemaError, Unresolvable, RecursionError, ValueError) as error:
            message = getattr(error, "message", str(error))[:300]
            raise UsageError(
                f"MCP server {server.name!r}: the schema of tool {self.name!r} cannot be used: "
                f"{message}"
            ) from error
        description = neutralise(" ".join((offered.description or offered.title or "").split()))
        if len(description) > MAX_DESCRIPTION:
            description = description[: MAX_DESCRIPTION - 1] + "…"
        parameters = {"properties": {}, **_harmless(offered.input_schema)}
        self.spec = ToolSpec(name=self.name, description=description, parameters=parameters)

    def bind(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
        """Return the arguments, checked against the server's schema.

        Raises:
            msgspec.ValidationError: They do not fit.
        """
        try:
            error = best_match(self._validator.iter_errors(arguments))
        except RecursionError:
            raise msgspec.ValidationError("the arguments are nested too deeply") from None
        if error is not None:
            where = "".join(f" at `{part}`" for part in error.absolute_path)
            raise msgspec.ValidationError(f"{error.message[:300]}{where}")
        return (arguments,)

    async def call(self, arguments: dict[str, Any]) -> ToolOutput:
        """Call the tool on its server."""
        from mcp import MCPError

        settings = self.server.settings

        async def make(client: Client) -> mcp.types.CallToolResult:
            return await client.call_tool(
                self._offered, arguments, read_timeout_seconds=settings.timeout
            )

        try:
            result = await self.server.request(make)
        except MCPError as error:
            return ToolOutput(text=error.message[: settings.max_chars], status="bad_call")
        return read_result(result, settings.max_chars)


def read_result(result: mcp.types.CallToolResult, max_chars: int) -> ToolOutput:
    """Return what a policy is shown of a result; its resources count as passages, by address.

    Args:
        result: What the server gave back.
        max_chars: Longest text; what is more is cut.
    """
    shown: dict[str, None] = {}
    texts = [_block(block, shown) for block in result.content]
    if result.structured_content is not None and not _says(texts, result.structured_content):
        texts.append(msgspec.json.encode(result.structured_content).decode())
    text = "\n".join(texts)
    text = text.encode("utf-8", "replace").decode()
    if len(text) > max_chars:
        text = f"{text[:max_chars]}\n… (cut after {max_chars} of {len(text)} characters)"
    if result.is_error:
        return ToolOutput(text=text or "The tool failed and did not say why.", status="bad_call")
    if not text.strip():
        return ToolOutput(text="The tool gave nothing back.", status="empty")
    return ToolOutput(text=text, passages=tuple(shown), numbered=False)


def _says(texts: list[str], structured: Any) -> bool:
    """Return whether texts say the structured content already, as the protocol recommends.

    Servers write it as JSON, whole or an item a text, and put what is no object below ``result``.
    """
    said: list[Any] = []
    for text in texts:
        try:
            said.append(msgspec.json.decode(text))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            said.append(text)
    values = [structured]
    if isinstance(structured, dict) and structured.keys() == {"result"}:
        values.append(structured["result"])
    return any(value in (said, texts) or value in [*said, *texts] for value in values)


def _block(block: mcp.types.ContentBlock, shown: dict[str, None]) -> str:
    """Write one part of a result as text, noting the addresses of resources."""
    from mcp import types

    if isinstance(block, types.TextContent):
        return block.text
    if isinstance(block, types.ResourceLink):
        shown[str(block.uri)] = None
        return f"{block.title or block.name} ({block.uri})"
    if isinstance(block, types.EmbeddedResource):
        shown[str(block.resource.uri)] = None
        if isinstance(block.resource, types.TextResourceContents):
            return f"{block.resource.uri}: {block.resource.text}"
        return f"{block.resource.uri}: (not text, not shown)"
    return f"({block.mime_type}, not shown)"


async def _listed(client: Client) -> list[mcp.types.Tool]:
    """Return all tools of a server, page by page."""
    page = await client.list_tools()
    tools = list(page.tools)
    seen: set[str | None] = {None}
    while page.next_cursor not in seen:
        seen.add(page.next_cursor)
        page = await client.list_tools(cursor=page.next_cursor)
        tools.extend(page.tools)
    return sorted(tools, key=lambda tool: tool.name)


def _chosen(server: McpServer, offered: list[mcp.types.Tool]) -> list[McpTool]:
    """Return the tools that the settings ask for."""
    wanted, by_name = server.settings.tools, {tool.name: tool for tool in offered}
    for name in wanted or ():
        if name not in by_name:
            raise UnknownNameError(f"tool of MCP server {server.name!r}", name, by_name)
    return [McpTool(server, by_name[name]) for name in (by_name if wanted is None else wanted)]


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return the validator of a schema that describes an object and refers to itself alone."""
    if schema.get("type") != "object":
        raise ValueError(f"expected type 'object', got {schema.get('type')!r}")
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, registry=Registry())  # which fetches nothing
    validator.is_valid({})
    return validator


def _harmless(value: Any) -> Any:
    """Return a JSON value with tags and control tokens made harmless in all texts, keys included.

    Raises:
        UsageError: A key holds one, since an argument of that name could not be written.
    """
    if isinstance(value, str):
        return neutralise(value)
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    if isinstance(value, dict):
        for key in value:
            if neutralise(key) != key:
                raise UsageError(f"an MCP server's schema has markup in the name {key!r}")
        return {key: _harmless(item) for key, item in value.items()}
    return value
