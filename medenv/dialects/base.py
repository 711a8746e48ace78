"""What a dialect is: how a model family writes calls and answers, and how it is shown results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from medenv.records import Parsed, ToolResult, ToolSpec

PromptStyle = Literal["full", "minimal"]
"""``"full"`` explains tools and format in a system message; ``"minimal"`` has no system message."""

_OPENING = re.compile(r"<(?=[|/｜!]|[^\W\d_])")


class Dialect(Protocol):
    """Reads and writes one model family's way to call tools and to answer."""

    @property
    def name(self) -> str:
        """The name under which it is registered."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """The strings at which sampling of one turn should stop."""
        ...

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message, or ``""`` where there is to be none.

        Args:
            tools: What the policy may call.
            style: How much is explained.
        """
        ...

    def parse(self, text: str) -> Parsed:
        """Read one policy-written text; never raises, takes time linear in its length."""
        ...

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return the content of the one message of role ``tool`` that answers a turn.

        Args:
            results: What the tools gave back, in the order of the calls.
            problems: What was wrong with the turn.
            notice: A line about the budget, or ``""``.
        """
        ...

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write a tool call as a model of this family would."""
        ...

    def write_answer(self, text: str, thought: str = "") -> str:
        """Write a final answer as a model of this family would."""
        ...


def neutralise(text: str) -> str:
    """Return the text with every ``<`` that could open a tag or control token replaced by ``‹``.

    Only a ``<`` before a letter, ``/``, ``!`` or a bar is touched: ``p <0.05`` and ``< 5`` stay.
    """
    return _OPENING.sub("‹", text) if "<" in text else text


def show_results(results: Sequence[ToolResult], problems: Sequence[str], notice: str = "") -> str:
    """Join results, problems and notice into one harmless text, parts apart by an empty line.

    The whole is neutralised at once, so that no tag can form across two parts either.
    """
    if len(results) == 1 and not problems and not notice:
        return neutralise(results[0].text)
    parts = [result.text for result in results]
    parts.extend(f"Error: {problem}" for problem in problems)
    if notice:
        parts.append(notice)
    return neutralise("\n\n".join(parts))
