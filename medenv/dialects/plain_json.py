"""The plain JSON dialect: a turn is one JSON object, for models without a format of their own.

    {"thought": "I look up the sign.", "calls": [{"name": "search", "arguments": {"query": "..."}}]}

or ``{"note": "[1]", "answer": "FBN1"}``. The parser reads from the first brace to the last, so a
fence of backticks or words around the object are allowed. Text up to ``</think>`` is thought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from medenv.dialects.base import PromptStyle, instructions, neutralise
from medenv.dialects.objects import (
    DECODE_ERRORS,
    MalformedCall,
    NamedArguments,
    arguments_of,
    malformed_call,
    write_object,
)
from medenv.dialects.tags import Draft, conclude
from medenv.records import Parsed, ToolResult, ToolSpec
from medenv.text.thoughts import split_thoughts

_CALLS = '{"calls": [{"name": ..., "arguments": {...}}]}'
_ANSWER = '{"answer": "..."}'
_FORM = f"write {_CALLS} or {_ANSWER}"
_CALL = f"To call tools, write one JSON object and nothing else:\n{_CALLS}"
_THOUGHT = 'You may think in a key "thought" that comes first.'


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    thought: str = ""
    note: str = ""
    calls: list[NamedArguments] = []
    answer: str | None = None


_decode = msgspec.json.Decoder(_Turn).decode


class PlainJson:
    """Dialect in which a turn is one JSON object."""

    name = "json"
    stop: tuple[str, ...] = ()
    note = 'in a key "note" before the answer'

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message: the tools as JSON lines and the format of a turn."""
        return instructions(tools, style, call=_CALL, answer=_ANSWER, thought=_THOUGHT)

    def parse(self, text: str) -> Parsed:
        """Parse calls, answer and thought of a policy's text."""
        thought, text = split_thoughts(text)
        start, end = text.find("{"), text.rfind("}") + 1
        if start < 0:
            return conclude(Draft(thoughts=[thought, text]), _FORM)
        before = text[:start].strip().removesuffix("json").rstrip("`\n ")
        draft = Draft(thoughts=[thought, before], notes=[before])
        try:
            turn = _decode(text[start : max(start, end)])
        except DECODE_ERRORS as error:
            draft.add_problem(f"your turn{malformed_call(error)}: {_FORM}")
            return conclude(draft, _FORM)
        draft.thoughts += (turn.thought, turn.note)
        draft.notes.append(turn.note)
        draft.called = bool(turn.calls)
        for number, call in enumerate(turn.calls, 1):
            try:
                draft.calls.append((call.name, arguments_of(call.arguments)))
            except MalformedCall as error:
                draft.add_problem(f"tool call {number}{error}: {_FORM}")
        if turn.answer is not None:
            draft.answers.append(turn.answer.strip())
        return conclude(draft, _FORM, _ANSWER)

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return results, problems and notice as one JSON object of strings."""
        return write_results(results, problems, notice)

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write one call; `parse` restores all arguments."""
        call = {"name": name, "arguments": arguments}
        return write_object({**_thought(thought), "calls": [call]})

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write the answer."""
        noted = {"note": note} if note else {}
        return write_object({**_thought(thought), **noted, "answer": text})


def _thought(thought: str) -> dict[str, str]:
    return {"thought": thought} if thought else {}


def write_results(results: Sequence[ToolResult], problems: Sequence[str], notice: str = "") -> str:
    """Return an observation as JSON, ``{"results": [...], "problems": [...], "notice": ...}``.

    All strings are neutralised, and empty parts are left out.

    Args:
        results: The results, in the order of the calls.
        problems: Descriptions of the turn's errors.
        notice: A line about the budget, or ``""``.
    """
    parts: dict[str, Any] = {
        "results": [neutralise(result.text) for result in results],
        "problems": [neutralise(problem) for problem in problems],
        "notice": notice,
    }
    return msgspec.json.encode({name: value for name, value in parts.items() if value}).decode()
