"""Tools that a policy can call."""

from medenv.tools.base import FunctionTool, Tool, ToolBox, ToolOutput
from medenv.tools.read import Read
from medenv.tools.search import Search

__all__ = ["FunctionTool", "Read", "Search", "Tool", "ToolBox", "ToolOutput"]
