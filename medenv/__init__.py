"""medenv: environments in which language models learn to do medical research.

Importing it registers its environments with Gymnasium and imports nothing heavier than that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from medenv.envs.registration import register_all

if TYPE_CHECKING:
    from medenv.build.environment import make_env, make_parts
    from medenv.dialects import Hermes
    from medenv.envs.env import MedResearchEnv
    from medenv.episodes.episode import Budget, Episode, EpisodeRules
    from medenv.errors import DataError, InfraError, MedEnvError, UnknownNameError, UsageError
    from medenv.records import Passage, Question, Score, Scored, ToolCall, ToolResult, Trajectory
    from medenv.rollouts.driver import Rollouts
    from medenv.tools import Tool, ToolBox, ToolOutput, tool

__version__ = "0.1.0"

_HOMES = {
    "medenv.dialects": ("Hermes",),
    "medenv.envs.env": ("MedResearchEnv",),
    "medenv.episodes.episode": ("Budget", "Episode", "EpisodeRules"),
    "medenv.errors": ("DataError", "InfraError", "MedEnvError", "UnknownNameError", "UsageError"),
    "medenv.records": (
        "Passage",
        "Question",
        "Score",
        "Scored",
        "ToolCall",
        "ToolResult",
        "Trajectory",
    ),
    "medenv.build.environment": ("make_env", "make_parts"),
    "medenv.rollouts.driver": ("Rollouts",),
    "medenv.tools": ("Tool", "ToolBox", "ToolOutput", "tool"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Budget",
    "DataError",
    "Episode",
    "EpisodeRules",
    "Hermes",
    "InfraError",
    "MedEnvError",
    "MedResearchEnv",
    "Passage",
    "Question",
    "Rollouts",
    "Score",
    "Scored",
    "Tool",
    "ToolBox",
    "ToolCall",
    "ToolOutput",
    "ToolResult",
    "Trajectory",
    "UnknownNameError",
    "UsageError",
    "make_env",
    "make_parts",
    "tool",
]

register_all()


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'medenv' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
