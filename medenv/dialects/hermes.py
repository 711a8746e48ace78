"""The Hermes dialect, as Qwen and Hermes models write: JSON between ``<tool_call>`` tags.

Rules of reading, so that only what the policy plainly meant counts:

- A control token (``<|im_end|>`` and its like) ends the text.
- Text inside ``<think>`` is thought: no call or answer in it counts. A ``</think>`` that nothing
  opened (some chat templates open it in the prompt) makes thought of everything before it.
- A ``<tool_response>`` is for tools to write. One that the policy writes ends its text there: what
  follows rests on an invented result and is not read.
- A call may lack ``</tool_call>`` at the end of the text when its JSON is whole (samplers that stop
  at the tag leave it out). An answer must be closed, or it may have been cut short.
- A call and an answer in one turn: well-formed calls are made, the answer is not taken, since it
  was written before their results were seen.
- Several different answers in one turn are no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from medenv.dialects.base import PromptStyle, neutralise, show_results
from medenv.records import Parsed, ToolResult, ToolSpec

_CONTROL = re.compile(r"<\|(?:im_end|im_start|endoftext)\|>")
_TAG = re.compile(r"<(?:think|tool_call|tool_response|answer)>|</think>")
_CLOSING = {"<think>": "</think>", "<tool_call>": "</tool_call>", "<answer>": "</answer>"}
_FORMAT = 'write <tool_call>{"name": ..., "arguments": {...}}</tool_call> or <answer>...</answer>'

_UNOPENED = "</think>"
_FORGED = "<tool_response>"
_FAULT = "fault"
_BARE = ""

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


class _Call(msgspec.Struct):
    name: str
    arguments: dict[str, Any]


_decode_call = msgspec.json.Decoder(_Call).decode


class Hermes:
    """Reads and writes ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``."""

    name = "hermes"
    stop = ("<|im_end|>", "<tool_response>")

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message: the tools as JSON lines and the two forms of a turn."""
        if style == "minimal":
            return ""
        if not tools:
            return _NO_TOOLS
        lines = (
            msgspec.json.encode({"type": "function", "function": tool}).decode() for tool in tools
        )
        return _SYSTEM.format(tools="\n".join(lines))

    def parse(self, text: str) -> Parsed:
        """Read calls, answer and thought out of a policy's text by the rules of this module."""
        plain = _plain(text)
        if plain is not None:
            return plain
        if "<|" in text and (control := _CONTROL.search(text)) is not None:
            text = text[: control.start()]
        thoughts: list[str] = []
        bodies: list[str] = []
        answers: list[str] = []
        problems: list[str] = []
        for tag, body in _segments(text):
            if tag == "<tool_call>":
                bodies.append(body)
            elif tag == "<answer>":
                answers.append(body.strip())
            elif tag == _UNOPENED:
                thoughts += bodies + answers
                bodies, answers = [], []
            elif tag == _BARE or tag == "<think>":
                thoughts.append(body)
            elif not answers or tag != _FORGED:
                problems.append(body)
        calls = tuple(_calls(bodies, problems)) if bodies else ()
        answer = _answer(answers, bool(bodies), problems) if answers else None
        if not calls and answer is None and not problems:
            problems.append(f"no tool call and no answer: {_FORMAT}")
        thought = "".join(thoughts).strip() if thoughts else ""
        return Parsed(thought=thought, calls=calls, answer=answer, problems=tuple(problems))

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return the results as plain text; the chat template puts ``<tool_response>`` around."""
        return show_results(results, problems, notice)

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write one call; any argument survives `parse`, tags and control tokens included."""
        body = msgspec.json.encode({"name": name, "arguments": arguments}).decode()
        body = body.replace("</", "<\\/").replace("<|", "\\u003c|")
        return f"{_think(thought)}<tool_call>{body}</tool_call>"

    def write_answer(self, text: str, thought: str = "") -> str:
        """Write the answer, tags in it made harmless."""
        return f"{_think(thought)}<answer>{neutralise(text)}</answer>"


def _think(thought: str) -> str:
    return f"<think>{neutralise(thought)}</think>\n" if thought else ""


def _plain(text: str) -> Parsed | None:
    """Read a text that is nothing but one closed call or answer, as most are, in one go.

    Everything else, and all that is wrong, is left to the general way, which reads these the same.
    """
    if text.startswith("<tool_call>") and text.find("</tool_call>") == len(text) - 12:
        if "<|" not in text:
            try:
                call = _decode_call(text[11:-12])
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                return None
            return Parsed(calls=((call.name, call.arguments),))
    elif text.startswith("<answer>") and text.find("</answer>") == len(text) - 9:
        answer = text[8:-9].strip()
        if answer and "<|" not in text:
            return Parsed(answer=answer)
    return None


def _segments(text: str) -> Iterator[tuple[str, str]]:
    """Cut the text at its own tags, left to right, into (opening tag, what it encloses).

    Bare text comes with the tag ``""``, what is wrong with `_FORGED` or `_FAULT` and a description.
    """
    position = 0
    while (match := _TAG.search(text, position)) is not None:
        tag, start, inside = match.group(), match.start(), match.end()
        if start > position:
            yield _BARE, text[position:start]
        if tag == _FORGED:
            yield tag, "only tools write <tool_response>: what you wrote from there on was not read"
            return
        if tag == _UNOPENED:
            yield tag, ""
            position = inside
            continue
        closing = _CLOSING[tag]
        end = text.find(closing, inside)
        if end < 0:
            yield from _unclosed(tag, text[inside:])
            return
        yield tag, text[inside:end]
        position = end + len(closing)
    if position < len(text):
        yield _BARE, text[position:]


def _unclosed(tag: str, rest: str) -> Iterator[tuple[str, str]]:
    """Read what follows a tag that is never closed."""
    if tag == "<tool_call>":
        yield tag, rest
        return
    yield _BARE, rest
    yield _FAULT, f"{tag} was not closed with {_CLOSING[tag]}: {_FORMAT}"


def _calls(bodies: list[str], problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Decode the calls, adding to `problems` what cannot be decoded."""
    for number, body in enumerate(bodies, 1):
        try:
            call = _decode_call(body)
        except msgspec.ValidationError as error:
            problems.append(f"tool call {number}: {error}: {_FORMAT}")
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            problems.append(f"tool call {number} is not valid JSON ({error}): {_FORMAT}")
        else:
            yield call.name, call.arguments


def _answer(answers: list[str], called: bool, problems: list[str]) -> str | None:
    """Return the one answer, or None with the reason added to `problems`."""
    if called:
        problems.append(
            "answer and tool call in one turn: the answer was not taken; give it in its own turn"
        )
    elif len(set(answers)) > 1:
        problems.append("several different answers in one turn: write one <answer>...</answer>")
    elif not answers[0]:
        problems.append("the answer is empty: write <answer>...</answer>")
    elif problems:
        problems.append("the answer was not taken: write it once more, and nothing after it")
    else:
        return answers[0]
    return None
