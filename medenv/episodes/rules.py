"""Settings shared by all episodes of an environment: dialect, tools, budget and prompt."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import msgspec

from medenv.dialects.base import Dialect, PromptStyle, json_parameters
from medenv.errors import UsageError
from medenv.io import digest
from medenv.records import Record, ToolSpec

_LAST_TURN = "This is your last turn: answer now."
_FINAL_TURN = "The {} are used up, this is your last turn: answer now."
_NO_CALLS = "No tool calls are left: answer now."

UNLIMITED = sys.maxsize
"""Value of a limit that is not set."""

CHARS_PER_TOKEN = 4
"""Estimated characters per token, used if the number of tokens is unknown."""

FINAL_TURN_TOKENS = 256
"""Token limit of the final turn after an exhausted token budget."""


class Budget(Record, frozen=True, kw_only=True):
    """Limits of one episode; None means no limit.

    Args:
        turns: Maximum number of turns, at least 1.
        calls: Maximum number of tool calls.
        tokens: Maximum number of tokens that the policy writes in all turns; see
            `Episode.tokens_left`.
        seconds: Maximum wall-clock time from start to the last result.
        final_turn: Whether the policy gets a notice and one more turn, for its answer, after the
            tokens or seconds are exhausted; calls in that turn are not made. The end of turns and
            calls is always announced in advance.

    Raises:
        UsageError: A limit below its minimum.
    """

    turns: int = 8
    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    final_turn: bool = False

    def __post_init__(self) -> None:
        """Validate the settings."""
        for name, least in (("turns", 1), ("calls", 0), ("tokens", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"budget {name} must be at least {least}, got {value}")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"budget seconds must be more than 0, got {self.seconds}")


class EpisodeRules:
    """Settings shared by all episodes of one environment.

    Args:
        dialect: Format of the policy's text.
        tools: The available tools.
        budget: Limits of an episode.
        prompt_style: Amount of explanation in the system message.
        env_id: Versioned id of the environment.
        options: Further settings that can change a score, for `config_hash`.
        asks: Instructions of the reward, one sentence each; ``{note}`` is replaced by the dialect's
            place for citations and confidence.

    Attributes:
        system: The system message, or ``""``.
        reminder: The text of `asks` to append to the question if there is no system message, else
            ``""``.
    """

    __slots__ = (
        "budget",
        "clock",
        "config_hash",
        "dialect",
        "env_id",
        "json_parameters",
        "max_calls",
        "max_seconds",
        "max_tokens",
        "max_turns",
        "reminder",
        "system",
        "tools",
    )

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        dialect: Dialect,
        tools: Sequence[ToolSpec],
        budget: Budget | None = None,
        prompt_style: PromptStyle = "full",
        env_id: str = "",
        options: Mapping[str, Any] | None = None,
        asks: Sequence[str] = (),
    ) -> None:
        self.dialect = dialect
        self.tools = tuple(tools)
        self.budget = budget or Budget()
        self.env_id = env_id
        self.clock: Callable[[], float] = time.monotonic
        self.json_parameters: Mapping[str, Mapping[str, bool]] = {
            tool.name: found for tool in self.tools if (found := json_parameters(tool.parameters))
        }
        self.system, self.reminder = dialect.system_prompt(self.tools, prompt_style), ""
        if asks:
            instructions = "\n\n" + " ".join(asks).replace("{note}", dialect.note)
            if self.system:
                self.system += instructions
            else:
                self.reminder = instructions
        self.max_turns, self.max_seconds = self.budget.turns, self.budget.seconds
        self.max_calls = UNLIMITED if self.budget.calls is None else self.budget.calls
        self.max_tokens = UNLIMITED if self.budget.tokens is None else self.budget.tokens
        settings = {
            "budget": self.budget,
            "dialect": dialect.name,
            "env_id": env_id,
            "options": dict(options or {}),
            "prompt": self.system + self.reminder,
            "tools": self.tools,
        }
        self.config_hash = digest(settings, 16)

    def shortened(self, turns: int) -> EpisodeRules:
        """Return these rules with a smaller budget of turns, under a hash of their own.

        Args:
            turns: Maximum number of turns.
        """
        if turns >= self.max_turns:
            return self
        made = copy(self)
        made.budget = msgspec.structs.replace(self.budget, turns=turns)
        made.max_turns = turns
        made.config_hash = digest([self.config_hash, turns], 16)
        return made

    def notice(self, turns: int, calls: int, spent: str | None) -> str:
        """Return the line that announces the end of a budget, or ``""``.

        Args:
            turns: Number of finished turns, including the present one.
            calls: Number of calls made.
            spent: The exhausted budget after which a final turn is granted, or None.
        """
        if spent is not None:
            return _FINAL_TURN.format(spent)
        if turns + 1 >= self.max_turns:
            return _LAST_TURN
        return _NO_CALLS if calls >= self.max_calls else ""
