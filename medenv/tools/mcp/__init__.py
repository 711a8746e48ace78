"""Tools of MCP servers, local (stdio) or remote (streamable HTTP), as tools of an environment."""

from medenv.tools.mcp.server import McpServer, ServerSettings
from medenv.tools.mcp.tool import McpTool, mcp_tools

__all__ = ["McpServer", "McpTool", "ServerSettings", "mcp_tools"]
