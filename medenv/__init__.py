"""medenv: environments in which language models learn to do medical research.

Importing it registers its environments with Gymnasium and imports nothing heavier than that. The
decorators that make a local tool, reward, retriever or graph source usable by name are in
`medenv.plugins`, since `medenv.reward` is a package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from medenv.envs.registration import make, register, register_all

if TYPE_CHECKING:
    from medenv.build.plugins import list_rewards, list_tools
    from medenv.dialects.base import Dialect
    from medenv.envs.env import MedResearchEnv
    from medenv.episodes.episode import Budget
    from medenv.errors import DataError, InfraError, MedEnvError, UnknownNameError, UsageError
    from medenv.records import (
        Part,
        Passage,
        Policy,
        Question,
        Retriever,
        RewardFn,
        Score,
        Scored,
        ToolCall,
        ToolResult,
        Trajectory,
    )
    from medenv.tools import Tool, ToolOutput

__version__ = "0.1.0"

_HOMES = {
    "medenv.build.plugins": (
        "list_rewards",
        "list_tools",
    ),
    "medenv.dialects.base": ("Dialect",),
    "medenv.envs.env": ("MedResearchEnv",),
    "medenv.episodes.episode": ("Budget",),
    "medenv.errors": (
        "DataError",
        "InfraError",
        "MedEnvError",
        "UnknownNameError",
        "UsageError",
    ),
    "medenv.records": (
        "Part",
        "Passage",
        "Policy",
        "Question",
        "Retriever",
        "RewardFn",
        "Score",
        "Scored",
        "ToolCall",
        "ToolResult",
        "Trajectory",
    ),
    "medenv.tools": (
        "Tool",
        "ToolOutput",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Budget",
    "DataError",
    "Dialect",
    "InfraError",
    "MedEnvError",
    "MedResearchEnv",
    "Part",
    "Passage",
    "Policy",
    "Question",
    "Retriever",
    "RewardFn",
    "Score",
    "Scored",
    "Tool",
    "ToolCall",
    "ToolOutput",
    "ToolResult",
    "Trajectory",
    "UnknownNameError",
    "UsageError",
    "list_rewards",
    "list_tools",
    "make",
    "register",
]

register_all()


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'medenv' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
