"""The Hermes dialect of Qwen and Hermes models: JSON between ``<tool_call>`` tags.

For the parsing rules see `medenv.dialects.tags`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from medenv.dialects.base import PromptStyle, format_results, tool_lines
from medenv.dialects.objects import Call, NamedArguments, named_arguments
from medenv.dialects.tags import NOTE, TagReader, write_answer, write_thought
from medenv.records import Parsed, ToolResult, ToolSpec

_FORMAT = 'write <tool_call>{"name": ..., "arguments": {...}}</tool_call> or <answer>...</answer>'
CONTROLS = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")
"""Control tokens of the ChatML family."""

_NO_TOOLS = """\
You answer medical questions. You may think between <think> and </think> first.

Write only the name that was asked for:
<answer>...</answer>"""

_SYSTEM = """\
You research medical questions with tools. Look things up before you answer, one step at a time.

# Tools

<tools>
{tools}
</tools>

To call a tool, write its name and arguments as one JSON object:
<tool_call>{{"name": "...", "arguments": {{...}}}}</tool_call>
Then stop: its result comes in the next message. You may think between <think> and </think> first.

When you know the answer, write only the name that was asked for:
<answer>...</answer>"""


_decode_call = msgspec.json.Decoder(NamedArguments).decode
_READER = TagReader(("tool_call",), "tool_response", CONTROLS, _FORMAT)


class Hermes:
    """Dialect with calls ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``."""

    name = "hermes"
    stop = ("<|im_end|>", "<tool_response>")
    note = NOTE

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message: the tools as JSON lines and the format of a turn."""
        if style == "minimal":
            return ""
        if not tools:
            return _NO_TOOLS
        return _SYSTEM.format(tools=tool_lines(tools))

    def parse(self, text: str) -> Parsed:
        """Parse calls, answer and thought of a policy's text.

        A text of exactly one closed call or answer, the most frequent case, takes a fast path with
        the same result as the general parser.
        """
        if "<|" in text or "</think>" in text:
            return _READER.read(text, _decode)
        if text.startswith("<tool_call>") and text.find("</tool_call>") == len(text) - 12:
            try:
                call = _decode_call(text[11:-12])
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                return _READER.read(text, _decode)
            if type(call.arguments) is not dict:
                return _READER.read(text, _decode)
            return Parsed(calls=((call.name, call.arguments),), notes="")
        if text.startswith("<answer>") and text.find("</answer>") == len(text) - 9:
            answer = text[8:-9].strip()
            if answer:
                return Parsed(answer=answer, notes="")
        return _READER.read(text, _decode)

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return the results as plain text; the chat template adds ``<tool_response>`` tags."""
        return format_results(results, problems, notice)

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write one call; `parse` restores all arguments, including tags and control tokens."""
        body = msgspec.json.encode({"name": name, "arguments": arguments}).decode()
        body = body.replace("</", "<\\/").replace("<|", "\\u003c|")
        return f"{write_thought(thought)}<tool_call>{body}</tool_call>"

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write the answer with its tags neutralised."""
        return write_answer(text, thought, note)


def _decode(_: str, body: str) -> Call:
    return named_arguments(body)
