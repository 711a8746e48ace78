"""What a dialect is: how a model family writes calls and answers, and how it is shown results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

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

    @property
    def note(self) -> str:
        """Where citations and confidence are written, for the prompt: ``"before <answer>"``."""
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

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write a final answer as a model of this family would.

        Args:
            text: The answer.
            thought: A private thought before it.
            note: Citations and confidence; written as it is.
        """
        ...


@runtime_checkable
class ToolSpecificDialect(Protocol):
    """A dialect whose markup depends on the tools that there are."""

    def for_tools(self, tools: Sequence[ToolSpec]) -> Dialect:
        """Return the dialect for these tools."""
        ...


def neutralise(text: str) -> str:
    """Return the text with every ``<`` that could open a tag or control token replaced by ``‹``.

    Only a ``<`` before a letter, ``/``, ``!`` or a bar is touched: ``p <0.05`` and ``< 5`` stay.
    """
    return _OPENING.sub("‹", text) if "<" in text else text


def tool_lines(tools: Sequence[ToolSpec]) -> str:
    """Return the tools as JSON, one a line, as chat templates list them."""
    lines = (msgspec.json.encode({"type": "function", "function": tool}).decode() for tool in tools)
    return "\n".join(lines)


def instructions(
    tools: Sequence[ToolSpec], style: PromptStyle, *, call: str, answer: str, thought: str = ""
) -> str:
    """Return the system message of a dialect.

    Args:
        tools: What the policy may call.
        style: ``"minimal"`` gives no message.
        call: How to write a call, said after the list of tools.
        answer: How to write an answer.
        thought: How to think, or ``""``.
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
    """Return whether a parameter of this JSON schema can be a text.

    Args:
        schema: Schema of one parameter; JSON Schema has True and False among them.
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
    """Return whether a parameter of this JSON schema can be a list.

    Args:
        schema: Schema of one parameter.
    """
    if "anyOf" in schema:
        return any(isinstance(one, dict) and accepts_list(one) for one in schema["anyOf"])
    kinds = schema.get("type", ())
    return "array" in ([kinds] if isinstance(kinds, str) else kinds)


def json_parameters(parameters: Mapping[str, Any]) -> dict[str, bool]:
    """Return the parameters whose value may come as the text of its JSON.

    Args:
        parameters: JSON schema of all arguments of a tool.

    Returns:
        Name to whether the parameter takes plain text, too: then only a list is read.
    """
    found = {}
    for name, schema in parameters.get("properties", {}).items():
        if isinstance(schema, dict):  # JSON Schema has True and False, too
            text = accepts_text(schema)
            if not text or accepts_list(schema):
                found[name] = text
    return found


def typed(arguments: dict[str, Any], parameters: Mapping[str, bool]) -> dict[str, Any]:
    """Return arguments, those that came as the text of their JSON as what it says.

    Some dialects know nothing but texts, and models write numbers and lists as texts in others.
    What is no JSON stays as it is, for the tool to refuse.

    Args:
        arguments: As the policy wrote them.
        parameters: See `json_parameters`.
    """
    for name, value in arguments.items():
        if type(value) is str and name in parameters:
            text = parameters[name]
            if not text or value[:1] in "[ \n\t":  # else it is a plain text, as nearly all are
                read = _read(value, text)
                if read is not value:
                    arguments = {**arguments, name: read}
    return arguments


def _read(value: str, text: bool) -> Any:
    """Return what the JSON in a text says, or the text where it is none that counts."""
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return value
    if not text:
        return decoded
    is_list = type(decoded) is list and decoded and all(type(one) is str for one in decoded)
    return decoded if is_list else value


def format_results(results: Sequence[ToolResult], problems: Sequence[str], notice: str = "") -> str:
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
