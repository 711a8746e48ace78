r"""The dialect of native tool calls: the text is the JSON of a chat API assistant message.

    {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function",
     "function": {"name": "search", "arguments": "{\"query\": \"ectopia lentis\"}"}}]}

The content of a message without tool calls is the answer; with tool calls, the content is thought.
A line of an answer that contains only citations and a confidence is a note. Content up to
``</think>`` and `reasoning_content` are thought, and are never sent back. Any model behind a chat
API can thus use its own tool calling: `chat_messages` returns the messages to send, `chat_tools`
the tools, and the JSON of the reply is the policy's text. As with real servers, content may be a
list of parts, and arguments may be an object, empty or null.
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
    reasoning_content: str | None = None  # vLLM and SGLang; newer vLLM: `reasoning`
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None

    def parts(self) -> tuple[str, str]:
        """Return the thought and the visible text."""
        content = self.content or ""
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        thought, visible = split_thoughts(content)
        return (self.reasoning_content or self.reasoning or "") + thought, visible.strip()


class _Results(msgspec.Struct):
    results: list[str] = []
    problems: list[str] = []
    notice: str = ""


_decode = msgspec.json.Decoder(_AssistantMessage).decode
_decode_results = msgspec.json.Decoder(_Results).decode


class OpenAITools:
    """Dialect of JSON assistant messages with ``tool_calls``."""

    name = "openai"
    stop: tuple[str, ...] = ()
    note = "on a line of its own above the answer"

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message; the tools are sent separately."""
        if style == "minimal":
            return ""
        return _SYSTEM if tools else _NO_TOOLS

    def parse(self, text: str) -> Parsed:
        """Parse calls, answer and thought of a JSON assistant message."""
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
        thought, visible = message.parts()
        draft.thoughts.append(thought)
        if draft.called:
            draft.thoughts.append(visible)
        elif visible:
            draft.notes += (match[0] for match in _NOTE.finditer(visible))
            draft.thoughts += draft.notes
            draft.answers.append(_NOTE.sub("", visible).strip() if draft.notes else visible)
        return conclude(draft, _FORM, "the name alone")

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return results, problems and notice as JSON for `chat_messages`."""
        return write_results(results, problems, notice)

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write an assistant message with one call; `parse` restores all arguments."""
        encoded = msgspec.json.encode(arguments).decode()
        calls = [_tool_call("call_0", name, encoded)]
        message = {"role": "assistant", "content": thought or None, "tool_calls": calls}
        return msgspec.json.encode(message).decode()

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write an assistant message that answers."""
        message = {"role": "assistant", "content": f"{note}\n{text}" if note else text}
        if thought:
            message["reasoning_content"] = thought
        return msgspec.json.encode(message).decode()


def chat_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Return the tools in the format of the chat API.

    Args:
        tools: The available tools.
    """
    return [{"type": "function", "function": msgspec.to_builtins(tool)} for tool in tools]


def chat_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Convert a conversation of this dialect to chat API messages.

    Each executed call is followed by its result with the same id. Malformed and rejected calls are
    left out; a user message lists their problems.

    Args:
        messages: The messages of an episode.
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
    reply = _Results() if following is None else _decode_results(following["content"])
    executed = parsed.calls[: len(reply.results)]
    ids = [f"call_{number}_{index}" for index in range(len(executed))]
    try:
        visible = _decode(text).parts()[1]
    except DECODE_ERRORS:
        visible = ""
    assistant: dict[str, Any] = {"role": "assistant", "content": visible}
    if executed:
        assistant["tool_calls"] = [
            _tool_call(call_id, name, msgspec.json.encode(arguments).decode())
            for call_id, (name, arguments) in zip(ids, executed, strict=True)
        ]
    out = [assistant]
    for call_id, result in zip(ids, reply.results, strict=True):
        out.append({"role": "tool", "tool_call_id": call_id, "content": result})
    lines = [f"Error: {problem}" for problem in reply.problems]
    if reply.notice:
        lines.append(reply.notice)
    if lines:
        out.append({"role": "user", "content": "\n".join(lines)})
    return out


def _tool_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
