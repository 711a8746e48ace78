"""The Qwen3-Coder dialect: calls are nested tags, and every argument is text.

    <tool_call>
    <function=search>
    <parameter=query>
    ectopia lentis
    </parameter>
    </function>
    </tool_call>

All values are parsed as text; for a parameter that accepts no text they are decoded as JSON. For
the other parsing rules see `medenv.dialects.tags`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from medenv.dialects.base import PromptStyle, format_results, instructions, neutralise
from medenv.dialects.hermes import CONTROLS
from medenv.dialects.objects import Call, MalformedCall
from medenv.dialects.tags import ANSWER, NOTE, TagReader, write_answer, write_thought
from medenv.records import Parsed, ToolResult, ToolSpec

_CALL = """\
To call a tool, write its name and each argument between tags of their own:
<tool_call>
<function=name>
<parameter=argument>
value
</parameter>
</function>
</tool_call>"""
_THOUGHT = "You may think between <think> and </think> first."
_FORM = (
    "write <tool_call><function=name><parameter=argument>value</parameter></function></tool_call> "
    f"or {ANSWER}"
)
_READER = TagReader(("tool_call",), "tool_response", CONTROLS, _FORM)


class QwenXml:
    """Dialect with calls ``<function=name><parameter=argument>value</parameter></function>``."""

    name = "qwen_xml"
    stop = ("<|im_end|>", "<tool_response>")
    note = NOTE

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message: the tools as JSON lines and the format of a turn."""
        return instructions(tools, style, call=_CALL, answer=ANSWER, thought=_THOUGHT)

    def parse(self, text: str) -> Parsed:
        """Parse calls, answer and thought of a policy's text."""
        return _READER.read(text, _decode)

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return the results as plain text; the chat template adds ``<tool_response>`` tags."""
        return format_results(results, problems, notice)

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write one call; tags in values are neutralised, other types than text become JSON."""
        lines = []
        for argument, value in arguments.items():
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            lines.append(f"<parameter={argument}>\n{neutralise(text)}\n</parameter>\n")
        body = f"<function={name}>\n{''.join(lines)}</function>"
        return f"{write_thought(thought)}<tool_call>\n{body}\n</tool_call>"

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write the answer with its tags neutralised."""
        return write_answer(text, thought, note)


def _decode(_: str, body: str) -> Call:
    """Decode a function and its parameters."""
    body = body.strip()
    name, opened, rest = body.removeprefix("<function=").partition(">")
    if not (body.startswith("<function=") and opened and rest.endswith("</function>")):
        raise MalformedCall(" has no <function=name>...</function>")
    rest = rest.removesuffix("</function>")
    arguments: dict[str, Any] = {}
    position = 0
    while (start := rest.find("<parameter=", position)) >= 0:
        named = rest.find(">", start)
        end = rest.find("</parameter>", named)
        if rest[position:start].strip() or named < 0 or end < 0:
            break
        argument = rest[start + 11 : named].strip()
        if argument in arguments:
            raise MalformedCall(f" gives the parameter {argument[:80]!r} twice")
        arguments[argument] = rest[named + 1 : end].removeprefix("\n").removesuffix("\n")
        position = end + 12
    if rest[position:].strip():
        raise MalformedCall(" has more in its function than whole <parameter=...>...</parameter>")
    return name.strip(), arguments
