r"""Native tool calls: the policy's text is the JSON of an assistant message of the chat API.

    {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function",
     "function": {"name": "search", "arguments": "{\"query\": \"ectopia lentis\"}"}}]}

A message without tool calls answers with its content; with them, content is thought. A line of an
answer that holds nothing but citations and a confidence is a note beside it. What ends in
``</think>`` within the content, and `reasoning_content`, is thought too, and never sent back. So
any model behind a chat API plays through its own tool calling: `chat_messages` gives what to send,
`chat_tools` the tools, and the JSON of the message that comes back is the policy's text, as servers
write it: content may be a list of parts, arguments may be an object, empty or null.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from medenv.dialects.base import PromptStyle
from medenv.dialects.objects import DECODE_ERRORS, MalformedCall, json_object, malformed_call
from medenv.dialects.plain_json import write_results
from medenv.dialects.tags import Draft, conclude
from medenv.records import Message, Parsed, ToolResult, ToolSpec
from medenv.text.thoughts import split_thoughts

_FORM = "call a tool, or write the answer as the content of a message without tool calls"
_SYSTEM = """\
You research medical questions with tools. Look things up before you answer, one step at a time.

When you know the answer, write only the name that was asked for."""
_NO_TOOLS = "You answer medical questions. Write only the name that was asked for."
_NOTE = re.compile(
    r"^[ \t]*(?:(?:\[[^\[\]\n]{1,200}\]|<confidence>[^<>\n]{1,20}</confidence>)[ \t,;.]*)+$",
    re.MULTILINE,
)


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    function: _Function


class _ContentPart(msgspec.Struct):
    text: str = ""


class _AssistantMessage(msgspec.Struct):
    content: str | list[_ContentPart] | None = None
    reasoning_content: str | None = None  # as vLLM and SGLang name it; newer vLLM: `reasoning`
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None

    def parts(self) -> tuple[str, str]:
        """Return what was thought and what was said."""
        content = self.content or ""
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        thought, said = split_thoughts(content)
        return (self.reasoning_content or self.reasoning or "") + thought, said.strip()


class _Results(msgspec.Struct):
    results: list[str] = []
    problems: list[str] = []
    notice: str = ""


_decode = msgspec.json.Decoder(_AssistantMessage).decode
_decode_results = msgspec.json.Decoder(_Results).decode


class OpenAITools:
    """Reads and writes assistant messages with ``tool_calls`` as JSON."""

    name = "openai"
    stop: tuple[str, ...] = ()
    note = "on a line of its own above the answer"

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message, without the tools: they go beside the messages."""
        if style == "minimal":
            return ""
        return _SYSTEM if tools else _NO_TOOLS

    def parse(self, text: str) -> Parsed:
        """Read calls, answer and thought out of the JSON of an assistant message."""
        draft = Draft()
        try:
            message = _decode(text)
        except DECODE_ERRORS as error:
            draft.add_problem(f"the message{malformed_call(error)}: {_FORM}")
            return conclude(draft, _FORM)
        draft.called = bool(message.tool_calls)
        for number, call in enumerate(message.tool_calls or (), 1):
            given = call.function.arguments or {}
            try:
                arguments = given if isinstance(given, dict) else json_object(given)
                draft.calls.append((call.function.name, arguments))
            except MalformedCall as error:
                draft.add_problem(f"tool call {number}: what it calls with{error}")
        thought, said = message.parts()
        draft.thoughts.append(thought)
        if draft.called:
            draft.thoughts.append(said)
        elif said:
            draft.notes += (one[0] for one in _NOTE.finditer(said))
            draft.thoughts += draft.notes
            draft.answers.append(_NOTE.sub("", said).strip() if draft.notes else said)
        return conclude(draft, _FORM, "the name alone")

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return results, problems and notice as the JSON that `chat_messages` reads."""
        return write_results(results, problems, notice)

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write an assistant message of one call; any argument survives `parse`."""
        written = msgspec.json.encode(arguments).decode()
        return _written(thought or None, [_tool_call("call_0", name, written)])

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write an assistant message that answers."""
        message = {"role": "assistant", "content": f"{note}\n{text}" if note else text}
        if thought:
            message["reasoning_content"] = thought
        return msgspec.json.encode(message).decode()


def chat_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Return the tools as the chat API takes them.

    Args:
        tools: What the policy may call.
    """
    return [{"type": "function", "function": msgspec.to_builtins(tool)} for tool in tools]


def chat_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a conversation of this dialect as the chat API takes it.

    Each call that was made is followed by its result under its own id; calls that were malformed or
    refused are left out, and what was wrong with them comes as a message of the user.

    Args:
        messages: A conversation as the episode keeps it.
    """
    out: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        if message["role"] == "assistant":
            following = messages[number + 1] if number + 1 < len(messages) else None
            out.extend(_exchange(number, message["content"], following))
        elif message["role"] != "tool":
            out.append({"role": message["role"], "content": message["content"]})
    return out


def _exchange(number: int, text: str, following: Message | None) -> list[dict[str, Any]]:
    """Return an assistant message and the messages that answer it."""
    parsed = OpenAITools().parse(text)
    shown = _Results() if following is None else _decode_results(following["content"])
    made = parsed.calls[: len(shown.results)]
    ids = [f"call_{number}_{place}" for place in range(len(made))]
    assistant: dict[str, Any] = {"role": "assistant", "content": _said(text)}
    if made:
        assistant["tool_calls"] = [
            _tool_call(call_id, name, msgspec.json.encode(arguments).decode())
            for call_id, (name, arguments) in zip(ids, made, strict=True)
        ]
    out = [assistant]
    for call_id, result in zip(ids, shown.results, strict=True):
        out.append({"role": "tool", "tool_call_id": call_id, "content": result})
    told = [f"Error: {problem}" for problem in shown.problems]
    if shown.notice:
        told.append(shown.notice)
    if told:
        out.append({"role": "user", "content": "\n".join(told)})
    return out


def _said(text: str) -> str:
    """Return what an assistant message said aloud; ``""`` where it cannot be read."""
    try:
        return _decode(text).parts()[1]
    except DECODE_ERRORS:
        return ""


def _tool_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _written(content: str | None, calls: list[dict[str, Any]]) -> str:
    message = {"role": "assistant", "content": content, "tool_calls": calls}
    return msgspec.json.encode(message).decode()
