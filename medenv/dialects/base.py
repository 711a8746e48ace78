"""The dialect interface: the format of a model family's calls, answers and tool results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from medenv.records import Parsed, ToolResult, ToolSpec

PromptStyle = Literal["full", "minimal"]
"""``"full"``: the system message explains tools and format; ``"minimal"``: no system message."""

_OPENING = re.compile(r"<(?=[|/｜!]|[^\W\d_])")


class Dialect(Protocol):
    """Parser and writer of one model family's format for tool calls and answers."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """The stop strings for sampling one turn."""
        ...

    @property
    def note(self) -> str:
        """The place of citations and confidence, for the prompt: ``"before <answer>"``."""
        ...

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message, or ``""`` for none.

        Args:
            tools: The available tools.
            style: The amount of explanation.
        """
        ...

    def parse(self, text: str) -> Parsed:
        """Parse one text of the policy; never raises, runs in linear time."""
        ...

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return the content of the ``tool`` message that answers a turn.

        Args:
            results: The results, in the order of the calls.
            problems: Descriptions of the turn's errors.
            notice: A line about the budget, or ``""``.
        """
        ...

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write a tool call in this format."""
        ...

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write a final answer in this format.

        Args:
            text: The answer.
            thought: A private thought before it.
            note: Citations and confidence; written unchanged.
        """
        ...


@runtime_checkable
class ToolSpecificDialect(Protocol):
    """A dialect whose markup depends on the available tools."""

    def for_tools(self, tools: Sequence[ToolSpec]) -> Dialect:
        """Return the dialect for these tools."""
        ...


def neutralise(text: str) -> str:
    """Replace every ``<`` that could open a tag or control token by ``‹``.

    Only a ``<`` before a letter, ``/``, ``!`` or a bar is replaced: ``p <0.05`` and ``< 5`` stay.
    """
    return _OPENING.sub("‹", text) if "<" in text else text


def tool_lines(tools: Sequence[ToolSpec]) -> str:
    """Return the tools as JSON lines, as chat templates list them."""
    lines = (msgspec.json.encode({"type": "function", "function": tool}).decode() for tool in tools)
    return "\n".join(lines)


def instructions(
    tools: Sequence[ToolSpec], style: PromptStyle, *, call: str, answer: str, thought: str = ""
) -> str:
    """Return the system message of a dialect.

    Args:
        tools: The available tools.
        style: ``"minimal"`` gives no message.
        call: Instructions for calls, placed after the list of tools.
        answer: Format of an answer.
        thought: Instructions for thoughts, or ``""``.
    """
    if style == "minimal":
        return ""
    end = f"write only the name that was asked for:\n{answer}"
    if not tools:
        parts = ["You answer medical questions.", thought, f"{end[0].upper()}{end[1:]}"]
        return "\n\n".join(part for part in parts if part)
    return (
        "You research medical questions with tools. Look things up before you answer, one step at "
        f"a time.\n\n# Tools\n\n{tool_lines(tools)}\n\n{call}\nThen stop: its result comes in the "
        f"next message. {thought}".rstrip()
        + f"\n\nWhen you know the answer, {end}"
    )


def accepts_text(schema: Mapping[str, Any] | bool) -> bool:
    """Return whether a JSON schema accepts a string.

    Args:
        schema: Schema of one parameter; True and False are valid schemas.
    """
    if isinstance(schema, bool):
        return schema
    if "anyOf" in schema:
        return any(accepts_text(option) for option in schema["anyOf"])
    if "enum" in schema:
        return any(isinstance(value, str) for value in schema["enum"])
    kinds = schema.get("type", () if "$ref" in schema else "string")
    return "string" in ([kinds] if isinstance(kinds, str) else kinds)


def accepts_list(schema: Mapping[str, Any]) -> bool:
    """Return whether a JSON schema accepts a list.

    Args:
        schema: Schema of one parameter.
    """
    if "anyOf" in schema:
        return any(isinstance(option, dict) and accepts_list(option) for option in schema["anyOf"])
    kinds = schema.get("type", ())
    return "array" in ([kinds] if isinstance(kinds, str) else kinds)


def json_parameters(parameters: Mapping[str, Any]) -> dict[str, bool]:
    """Return the parameters whose value may be a string of JSON.

    Args:
        parameters: JSON schema of all arguments of a tool.

    Returns:
        Parameter name to whether it also accepts plain text; if so, only a list is decoded.
    """
    found = {}
    for name, schema in parameters.get("properties", {}).items():
        if isinstance(schema, dict):  # True and False are valid schemas
            text = accepts_text(schema)
            if not text or accepts_list(schema):
                found[name] = text
    return found


def decode_arguments(arguments: dict[str, Any], parameters: Mapping[str, bool]) -> dict[str, Any]:
    """Decode the arguments that are strings of JSON.

    Some dialects have only string values, and models write numbers and lists as strings in others.
    A string that is not JSON is kept, and the tool rejects it.

    Args:
        arguments: The arguments as parsed.
        parameters: See `json_parameters`.
    """
    for name, value in arguments.items():
        if type(value) is str and name in parameters:
            text = parameters[name]
            if not text or value[:1] in "[ \n\t":  # most values are plain text
                decoded = _decode_value(value, text)
                if decoded is not value:
                    arguments = {**arguments, name: decoded}
    return arguments


def _decode_value(value: str, text: bool) -> Any:
    """Decode a string of JSON; return it unchanged if it is not JSON, or plain text is accepted."""
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return value
    if not text:
        return decoded
    is_list = type(decoded) is list and decoded and all(type(item) is str for item in decoded)
    return decoded if is_list else value


def format_results(results: Sequence[ToolResult], problems: Sequence[str], notice: str = "") -> str:
    """Join results, problems and notice with empty lines and neutralise the text.

    The joined text is neutralised as a whole, so that no tag can form across two parts.
    """
    if len(results) == 1 and not problems and not notice:
        return neutralise(results[0].text)
    parts = [result.text for result in results]
    parts.extend(f"Error: {problem}" for problem in problems)
    if notice:
        parts.append(notice)
    return neutralise("\n\n".join(parts))
