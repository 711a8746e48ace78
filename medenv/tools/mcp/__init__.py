"""Tools of local (stdio) or remote (streamable HTTP) MCP servers."""

from medenv.tools.mcp.server import McpServer, ServerSettings
from medenv.tools.mcp.tool import McpTool, mcp_tools

__all__ = ["McpServer", "McpTool", "ServerSettings", "mcp_tools"]
