"""Decorators that make a local object usable by name, without an entry point.

    from medenv.plugins import retriever, reward, source, tool

    @tool
    def dose(drug: str) -> str:
        '''Look up the usual dose of a drug.'''
        return f"no dose of {drug} on file"

    medenv.make(tools=("search", "dose"))

A name holds in the process that ran the decorator. A trainer's workers are other processes: name
an object there as ``package.module:object``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from medenv.build.plugins import RETRIEVERS, REWARDS, TOOLS
from medenv.kg import Graph
from medenv.kg.sources import KG_SOURCES
from medenv.records import Retriever
from medenv.tools import FunctionTool, ToolOutput

__all__ = ["retriever", "reward", "source", "tool"]

_Retriever = TypeVar("_Retriever", bound=Callable[..., Retriever])
_Reward = TypeVar("_Reward", bound=Callable[..., Any])
_Source = TypeVar("_Source", bound=Callable[..., Graph])


def tool(function: Callable[..., str | ToolOutput | Awaitable[str | ToolOutput]]) -> FunctionTool:
    """Make a tool of a documented function, and register it under the function's name.

    Args:
        function: Plain or ``async``; returns the text that the policy sees, or a `ToolOutput`.

    Raises:
        UsageError: The name is taken, or a parameter has no type.
    """
    made = FunctionTool(function)
    TOOLS.register(made.name, made)
    return made


def reward(scorer: _Reward) -> _Reward:
    """Register a reward under its name: a function of a trajectory, or a class of such objects.

    Args:
        scorer: Takes a `Trajectory` and returns a `Score`; a class is made without arguments.

    Raises:
        UsageError: The name is taken.
    """
    factory = scorer if isinstance(scorer, type) else lambda: scorer
    REWARDS.register(_name(scorer), scorer, factory)
    return scorer


def retriever(opener: _Retriever) -> _Retriever:
    """Register a retriever under its name: a class, or a function that opens a corpus.

    Args:
        opener: Takes the path of the corpus, and options by keyword; returns a `Retriever`.

    Raises:
        UsageError: The name is taken.
    """
    RETRIEVERS.register(_name(opener), opener)
    return opener


def source(reader: _Source) -> _Source:
    """Register a graph source under its name: a function that reads a graph.

    Args:
        reader: Takes a path where it needs one, and options by keyword; returns a `Graph`.

    Raises:
        UsageError: The name is taken.
    """
    KG_SOURCES.register(_name(reader), reader)
    return reader


def _name(part: Any) -> str:
    found: str = getattr(part, "__name__", type(part).__name__)
    return found
