"""Tools for LangGraph: the tools of an episode as LangChain's `StructuredTool`.

    episode = Episode.begin("medenv/Research-v0", question="test:4")
    tools = episode.tools()                       # for ToolNode, create_agent, bind_tools
    ...                                           # the agent is asked episode.question
    episode.reward                                # None until the agent has called `answer`

Importing this module needs the extra ``langgraph``.
"""

from __future__ import annotations

from typing import Any

from medenv.errors import require
from medenv.integrations.episode_tools import INSTRUCTIONS, ToolEpisode
from medenv.records import ToolSpec
from medenv.tools.waiting import in_thread

require("langchain_core", "langgraph", "tools for LangGraph")

from langchain_core.tools import StructuredTool  # noqa: E402 - named in one line where it is missing

__all__ = ["INSTRUCTIONS", "Episode"]


class Episode(ToolEpisode):
    """An episode whose tools a LangGraph agent calls, one after another or several at once.

    Args:
        parts: The parts of the environment.
        question: Id or number of the question; None draws one.
        seed: Seed of the draw.
        retries: How often a call is tried if the infrastructure fails.
    """

    def tools(self) -> list[StructuredTool]:
        """Return the environment's tools, and `answer`, which ends the episode.

        Wrong arguments are observations; an infrastructure failure is raised out of the graph.

        Raises:
            UsageError: The environment has a tool of the name ``answer``.
        """
        return [self._tool(spec) for spec in self.specs]

    def _tool(self, spec: ToolSpec) -> StructuredTool:
        """Return a tool with the name, description and schema that the policy sees anywhere."""

        def call(arguments: dict[str, Any]) -> str:
            return self.call(spec.name, arguments)

        async def acall(arguments: dict[str, Any]) -> str:
            return await in_thread(call, arguments)

        return _EpisodeTool(
            name=spec.name,
            description=spec.description,
            args_schema=spec.parameters,
            func=call,
            coroutine=acall,
        )


class _EpisodeTool(StructuredTool):  # type: ignore[misc]  # LangChain is not checked
    """A tool that passes on all arguments as the model wrote them, whatever their names."""

    def _run(self, /, **arguments: Any) -> str:
        return str(self.func(arguments))

    async def _arun(self, /, **arguments: Any) -> str:
        return str(await self.coroutine(arguments))
