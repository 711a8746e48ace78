"""The ReAct dialect: labelled lines of plain text.

    Thought: I look up the sign.
    Action: search
    Action Input: {"query": "ectopia lentis"}

and in the end

    Note: [1]
    Final Answer: FBN1

Parsing rules:

- Text between ``<think>`` and ``</think>``, or before a ``</think>``, is thought.
- A label counts only at the beginning of a line; its content extends to the next label.
- Text after ``Note:`` or before the first label is a note, not a private thought: citations in it
  count.
- A control token ends the text. So does ``Observation:``, which only tools may write: the text
  after it relies on an invented result and is ignored.
- In a turn with calls and an answer, the calls are executed and the answer is ignored. Several
  different answers count as none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from medenv.dialects.base import PromptStyle, format_results, instructions, neutralise
from medenv.dialects.objects import MalformedCall, json_object, write_object
from medenv.dialects.tags import Draft, conclude
from medenv.records import Parsed, ToolResult, ToolSpec
from medenv.text.thoughts import split_thoughts

_LABELS = "Thought|Note|Action Input|Action|Observation|Final Answer"
_LABEL = re.compile(rf"^[ \t]*({_LABELS}):", re.MULTILINE)
_SHOWN_LABEL = re.compile(rf"^([ \t]*)(?=(?:{_LABELS}):)", re.MULTILINE)
_CONTROL = re.compile(r"<\|\w+\|>")
_ANSWER = "Final Answer: ..."
_CALL = """\
To call a tool, write its name and its arguments as a JSON object on lines of their own:
Action: name
Action Input: {"argument": "value"}"""
_THOUGHT = "You may think on a line that begins with Thought: first."
_FORM = f"write Action: and Action Input: with a JSON object on lines of their own, or {_ANSWER}"
_FORGED = "only tools write Observation: what you wrote from there on was not read"


class ReAct:
    """Dialect with calls ``Action: name`` and ``Action Input: {...}``.

    Source:
        S. Yao et al.: ReAct: Synergizing Reasoning and Acting in Language Models (2023).
    """

    name = "react"
    stop = ("\nObservation:",)
    note = 'on a line that begins with "Note:" before the final answer'

    def system_prompt(self, tools: Sequence[ToolSpec], style: PromptStyle) -> str:
        """Return the system message: the tools as JSON lines and the format of a turn."""
        return instructions(tools, style, call=_CALL, answer=_ANSWER, thought=_THOUGHT)

    def parse(self, text: str) -> Parsed:
        """Parse calls, answer and thought of a policy's text."""
        if "<|" in text and (control := _CONTROL.search(text)) is not None:
            text = text[: control.start()]
        thought, text = split_thoughts(text)
        bare, *pieces = _LABEL.split(text)
        draft = Draft(thoughts=[thought, bare], notes=[bare])
        actions: list[tuple[str, str | None]] = []
        for label, body in zip(pieces[::2], pieces[1::2], strict=True):
            if label == "Observation":
                if not draft.answers:
                    draft.add_problem(_FORGED)
                break
            if label == "Action":
                actions.append((body.strip(), None))
            elif label == "Final Answer":
                draft.answers.append(body.strip())
            elif label in ("Thought", "Note"):
                draft.thoughts.append(body)
                if label == "Note":
                    draft.notes.append(body)
            elif actions and actions[-1][1] is None:
                actions[-1] = actions[-1][0], body
            else:
                draft.add_problem(f"Action Input: without an Action: before it: {_FORM}")
        draft.called = bool(actions)
        _decode(actions, draft)
        return conclude(draft, _FORM, _ANSWER)

    def observation(
        self, results: Sequence[ToolResult], problems: Sequence[str], notice: str = ""
    ) -> str:
        """Return the results after ``Observation:``; labels in them are prefixed with ``›``."""
        shown = format_results(results, problems, notice)
        return "Observation: " + _SHOWN_LABEL.sub(r"\1› ", shown)

    def write_call(self, name: str, arguments: Mapping[str, Any], thought: str = "") -> str:
        """Write one call; `parse` restores all arguments."""
        return f"{_thought_line(thought)}Action: {name}\nAction Input: {write_object(arguments)}"

    def write_answer(self, text: str, thought: str = "", note: str = "") -> str:
        """Write the answer on one line, after a line with the note."""
        before = f"Note: {note}\n" if note else ""
        return f"{_thought_line(thought)}{before}Final Answer: {' '.join(neutralise(text).split())}"


def _thought_line(thought: str) -> str:
    return f"Thought: {' '.join(neutralise(thought).split())}\n" if thought else ""


def _decode(actions: Sequence[tuple[str, str | None]], draft: Draft) -> None:
    """Add the decoded calls and the decoding problems to the draft."""
    for number, (name, body) in enumerate(actions, 1):
        try:
            if body is None:
                raise MalformedCall(" has no Action Input:")
            draft.calls.append((name, json_object(body)))
        except MalformedCall as error:
            draft.add_problem(f"tool call {number}{error}: {_FORM}")
