"""What all episodes of an environment share: dialect, tools, budget and prompt."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medenv.dialects.base import Dialect, PromptStyle, json_parameters
from medenv.errors import UsageError
from medenv.io import digest
from medenv.records import Record, ToolSpec

_LAST_TURN = "This is your last turn: answer now."
_LAST_WORD = "The {} are used up, this is your last turn: answer now."
_NO_CALLS = "No tool calls are left: answer now."

UNLIMITED = sys.maxsize
"""The limit where there is none."""

CHARS_PER_TOKEN = 4
"""Characters per token, the estimate where no token count is known."""

FINAL_TURN_TOKENS = 256
"""Tokens of the one text that a policy may write after its budget of tokens ran out."""


class Budget(Record, frozen=True, kw_only=True):
    """What one episode may use up; None is no limit.

    Args:
        turns: Texts that the policy may write, at least 1.
        calls: Tool calls that are made.
        tokens: Tokens that the policy may write in all turns together; `Episode.tokens_left` says
            how many the next turn may have.
        seconds: Wall-clock time from start to the last result.
        final_turn: Whether a policy whose tokens or seconds ran out is told so and may write one
            more text, its answer; its calls are not made any more. Turns and calls are always
            announced before they run out.

    Raises:
        UsageError: A limit below its least value.
    """

    turns: int = 8
    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    final_turn: bool = False

    def __post_init__(self) -> None:
        """Check the limits."""
        for name, least in (("turns", 1), ("calls", 0), ("tokens", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"budget {name} must be at least {least}, got {value}")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"budget seconds must be more than 0, got {self.seconds}")


class EpisodeRules:
    """What all episodes of one environment share.

    Args:
        dialect: How the policy writes.
        tools: What it may call.
        budget: What it may use up.
        prompt_style: How much the system message explains.
        env_id: Versioned id of the environment.
        options: Further settings that can change a score, for the settings' hash.
        asks: What the reward asks of the policy's writing, a sentence each, with ``{note}`` where
            the dialect's place for citations and confidence is to be named.

    Attributes:
        system: The system message, or ``""`` where there is none.
        reminder: What is appended to the question: the line of `asks` where there is no system
            message to say it.
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
            asked = "\n\n" + " ".join(asks).replace("{note}", dialect.note)
            if self.system:
                self.system += asked
            else:
                self.reminder = asked
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

    def notice(self, turns: int, calls: int, spent: str | None) -> str:
        """Return the line that warns of the budget's end, where it is near.

        Args:
            turns: Turns finished, the present one included.
            calls: Calls made.
            spent: The budget that ran out already, where a last word is granted.
        """
        if spent is not None:
            return _LAST_WORD.format(spent)
        if turns + 1 >= self.max_turns:
            return _LAST_TURN
        return _NO_CALLS if calls >= self.max_calls else ""
