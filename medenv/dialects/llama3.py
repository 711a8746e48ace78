"""The Llama 3 dialect: a call is a JSON object with name and parameters, outside all tags.

    {"name": "search", "parameters": {"query": "ectopia lentis"}}

Several calls follow one another, with or without ``;`` between them. A brace that begins no JSON
object is reported as a problem, since it may be a truncated call. For the other parsing rules see
`medenv.dialects.tags`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medenv.dialects.base import PromptStyle, format_results, instructions
from medenv.dialects.objects import Call, named_parameters, write_object
from medenv.dialects.tags import ANSWER, NOTE, TagReader, write_answer, write_thought
from medenv.records import Parsed, ToolResult, ToolSpec

CONTROLS = (
    "<|eot_id|>",
    "<|eom_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
)
"""Control tokens of the Llama 3 family; the first one ends a policy's text."""

_CODE = "<|python_tag|>"
_OBJECT = '{"name": "...", "parameters": {...}}'
_CALL = f"To call a tool, write its name and parameters as one JSON object:\n{_OBJECT}"
_THOUGHT = "You may think between <think> and </think> first."
_READER = TagReader(
    (),
    "tool_response",
    CONTROLS,
    f"write {_OBJECT} or {ANSWER}".replace('"..."', "..."),
    bare_calls=True,
)


class Llama3:
    """Dialect with calls ``{"name": ..., "parameters": {...}}``."""

    name = "llama3"
    stop = ("<|eot_id|>", "<|eom_id|>")
    note = NOTE

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message: the tools as JSON lines and the format of a turn."""
        return instructions(tools, style, call=_CALL, answer=ANSWER, thought=_THOUGHT)

    def parse(self, text: str) -> Parsed:
        """Parse calls, answer and thought of a policy's text."""
        return _READER.read(text.replace(_CODE, ""), _decode)

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return the results as plain text; the chat template writes an ``ipython`` turn."""
        return format_results(results, problems, notice)

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write one call; `parse` restores all arguments, including tags and control tokens."""
        return write_thought(thought) + write_object({"name": name, "parameters": arguments})

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write the answer with its tags neutralised."""
        return write_answer(text, thought, note)


def _decode(_: str, body: str) -> Call:
    return named_parameters(body)
