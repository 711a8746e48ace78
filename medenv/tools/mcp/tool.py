"""Tools of MCP servers, with the same budgets and checks as built-in tools.

Descriptions and schemas of a server are untrusted text: tags and control tokens are neutralised
before they are shown, while arguments are validated against the original schema.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from medenv.dialects.base import neutralise
from medenv.errors import UnknownNameError, UsageError, require
from medenv.records import ToolSpec
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.mcp.server import McpServer, ServerSettings
from medenv.tools.waiting import wait_for

if TYPE_CHECKING:
    import mcp.types
    from mcp import Client

MAX_DESCRIPTION = 2_000
"""Maximum length of a tool's description, characters."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def mcp_tools(servers: Mapping[str, Mapping[str, Any]]) -> tuple[McpTool, ...]:
    """Return the tools of MCP servers, by server in the given order and then by name.

    Args:
        servers: Server name to its `ServerSettings`, like ``mcpServers`` of other clients.

    Raises:
        UsageError: The `mcp` package is missing, the settings are invalid, the program of a local
            server does not exist, or a tool's name or schema is not supported.
        UnknownNameError: A server has no tool with a requested name.
        ToolUnavailableError: A server did not answer.
    """
    require("mcp", "mcp", "tools of MCP servers")
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
    """A tool of an MCP server.

    As the protocol requires, errors reported by the tool are shown to the policy. An unreachable
    server or an invalid response is an infrastructure failure.

    Args:
        server: The server.
        offered: The server's description of the tool.

    Attributes:
        server: The server.

    Raises:
        UsageError: The tool's name or schema is not supported.
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
        """Validate the arguments against the server's schema and return them.

        Raises:
            msgspec.ValidationError: The arguments do not match the schema.
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
    """Convert a result to a `ToolOutput`; the URIs of its resources are the passage ids.

    Args:
        result: The server's result.
        max_chars: Maximum length of the text; longer text is truncated.
    """
    shown: dict[str, None] = {}
    texts = [_block(block, shown) for block in result.content]
    if result.structured_content is not None and not _contains(texts, result.structured_content):
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


def _contains(texts: list[str], structured: Any) -> bool:
    """Return whether texts contain the structured content, as the protocol recommends.

    Servers write it as JSON, as a whole or one item per text, and nest values other than objects
    under ``result``.
    """
    decoded: list[Any] = []
    for text in texts:
        try:
            decoded.append(msgspec.json.decode(text))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            decoded.append(text)
    values = [structured]
    if isinstance(structured, dict) and structured.keys() == {"result"}:
        values.append(structured["result"])
    return any(value in (decoded, texts) or value in [*decoded, *texts] for value in values)


def _block(block: mcp.types.ContentBlock, shown: dict[str, None]) -> str:
    """Return one part of a result as text, and add the URIs of resources to `shown`."""
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
    """Return all tools of a server, from all pages."""
    page = await client.list_tools()
    tools = list(page.tools)
    seen: set[str | None] = {None}
    while page.next_cursor not in seen:
        seen.add(page.next_cursor)
        page = await client.list_tools(cursor=page.next_cursor)
        tools.extend(page.tools)
    return sorted(tools, key=lambda tool: tool.name)


def _chosen(server: McpServer, offered: list[mcp.types.Tool]) -> list[McpTool]:
    """Return the tools selected by the settings."""
    selected, by_name = server.settings.tools, {tool.name: tool for tool in offered}
    for name in selected or ():
        if name not in by_name:
            raise UnknownNameError(f"tool of MCP server {server.name!r}", name, by_name)
    return [McpTool(server, by_name[name]) for name in (by_name if selected is None else selected)]


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return the validator of an object schema without external references."""
    if schema.get("type") != "object":
        raise ValueError(f"expected type 'object', got {schema.get('type')!r}")
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, registry=Registry())  # does not fetch references
    validator.is_valid({})
    return validator


def _harmless(value: Any) -> Any:
    """Neutralise tags and control tokens in all strings of a JSON value.

    Raises:
        UsageError: A key contains one; a policy could not write an argument of that name.
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
