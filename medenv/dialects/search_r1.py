"""The Search-R1 dialect: the tool's name is the tag that encloses the query.

    <search>ectopia lentis</search>

The enclosed text is the value of the tool's main argument; an enclosed JSON object names all
arguments. For the other parsing rules see `medenv.dialects.tags`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from medenv.dialects.base import PromptStyle, format_results, instructions
from medenv.dialects.hermes import CONTROLS
from medenv.dialects.objects import Call, json_object, write_object
from medenv.dialects.tags import ANSWER, NOTE, TagReader, write_answer, write_thought
from medenv.errors import UnknownNameError, UsageError
from medenv.records import Parsed, ToolResult, ToolSpec

MAIN_ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "ask": "finding",
        "diagnose": "present",
        "lookup": "name",
        "med_search": "query",
        "read": "passage_id",
        "search": "query",
        "visit": "url",
        "web_search": "query",
    }
)
"""Tool name to the argument that its tags enclose."""

_CALL = """\
To call a tool, write what it takes first between tags of its name, e.g.
<{name}>...</{name}>
or a JSON object of several arguments between the same tags."""
_TAG = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_RESERVED = ("answer", "information", "think")
_THOUGHT = "You may think between <think> and </think> first."


class SearchR1:
    """Dialect with calls ``<search>query</search>``.

    Args:
        main_arguments: Tool name to the argument that its tags enclose, for all tools.

    Source:
        B. Jin et al.: Search-R1 (2025).
    """

    name = "search_r1"
    stop = ("<|im_end|>", "<information>")
    note = NOTE

    def __init__(self, main_arguments: Mapping[str, str] = MAIN_ARGUMENTS) -> None:
        self._main = dict(main_arguments)
        form = f"write <tool>...</tool> with a tool's name, or {ANSWER}"
        self._reader = TagReader(tuple(self._main), "information", CONTROLS, form)

    def for_tools(self, tools: Sequence[ToolSpec]) -> SearchR1:
        """Return the dialect with a tag for each tool.

        The main argument of a tool that `MAIN_ARGUMENTS` does not list is its first required
        argument or, if none is required, its first argument.

        Args:
            tools: The available tools.

        Raises:
            UsageError: A tool has no argument, or its name is not a valid tag.
        """
        new = {tool.name: _main_argument(tool) for tool in tools if tool.name not in self._main}
        return SearchR1(self._main | new) if new else self

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message: the tools as JSON lines and the format of a turn.

        Raises:
            UnknownNameError: A tool has no main argument in this dialect.
        """
        for tool in tools:
            self._main_of(tool.name)
        call = _CALL.format(name=tools[0].name if tools else "search")
        return instructions(tools, style, call=call, answer=ANSWER, thought=_THOUGHT)

    def parse(self, text: str) -> Parsed:
        """Parse calls, answer and thought of a policy's text."""
        return self._reader.read(text, self._decode)

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return the results between ``<information>`` tags, with their own tags neutralised."""
        return f"<information>{format_results(results, problems, notice)}</information>"

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write one call; `parse` restores all arguments, including tags and control tokens.

        Raises:
            UnknownNameError: The tool has no main argument in this dialect.
        """
        value = arguments.get(self._main_of(name))
        body = write_object(arguments)
        if len(arguments) == 1 and isinstance(value, str) and _is_plain(value):
            body = value
        return f"{write_thought(thought)}<{name}>{body}</{name}>"

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write the answer with its tags neutralised."""
        return write_answer(text, thought, note)

    def _main_of(self, name: str) -> str:
        if name not in self._main:
            raise UnknownNameError("tool with a tag", name, self._main)
        return self._main[name]

    def _decode(self, tag: str, body: str) -> Call:
        body = body.strip()
        if body.startswith("{"):
            return tag, json_object(body)
        return tag, {self._main[tag]: body}


def _main_argument(tool: ToolSpec) -> str:
    names = [*tool.parameters.get("required", ()), *tool.parameters.get("properties", ())]
    if not names or _TAG.fullmatch(tool.name) is None or tool.name in _RESERVED:
        raise UsageError(
            f"the dialect search_r1 has no tag for the tool {tool.name!r}: expected a name of"
            " letters, digits, - and _ that is not a tag of the dialect, and at least one argument"
        )
    return str(names[0])


def _is_plain(value: str) -> bool:
    """Return whether `parse` restores a text that is written between tags without encoding."""
    return value == value.strip() and not value.startswith("{") and "<" not in value
