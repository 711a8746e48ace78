"""Parser shared by all dialects with tags.

Parsing rules:

- A control token of the model family (such as ``<|im_end|>``) ends the text.
- Text inside ``<think>`` is thought: calls and answers in it are ignored. After a ``</think>``
  without an opening tag, everything before it is thought; see `medenv.text.thoughts`.
- Only tools may write the result tag. If the policy writes it, the text after it relies on an
  invented result and is ignored.
- At the end of the text a complete call may lack its closing tag, since samplers that stop at the
  tag omit it. An answer must be closed, since it may be truncated otherwise.
- A closing tag inside a string of a call's JSON object does not close the call.
- In a turn with calls and an answer, well-formed calls are executed and the answer is ignored,
  since it was written before their results were known.
- Several different answers in one turn count as none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from medenv.dialects.base import neutralise
from medenv.dialects.objects import Call, MalformedCall, split_objects
from medenv.records import Parsed
from medenv.text.thoughts import visible_start

MAX_PROBLEMS = 8
"""Number of reported problems per turn; further problems are only counted."""

_PROBLEM_CHARS = 1_000

ANSWER = "<answer>...</answer>"
"""Format of an answer, for messages."""

NOTE = "before <answer>"
"""Place of citations and confidence, for the prompt."""
_OBJECT = re.compile(r'\s*+\{(?:[^"<\\]++|"(?:[^"\\]++|\\.)*+"(?=\s*+[],:}]))*+', re.DOTALL)
"""A JSON object and the text after it up to the next tag outside its strings.

Outside its strings an object contains neither tags nor backslashes, and a punctuation mark follows
each string. Of two objects that overlap, at most one extends beyond the next tag; so matching takes
linear time for any number of objects.
"""

_BARE = ""
_FAULT = "fault"
_THINK = "<think>"
_UNOPENED = "</think>"
_ANSWER = "<answer>"


@dataclass
class Draft:
    """The parts of a text before the rules for calls and answers are applied.

    Args:
        thoughts: Pieces of thought in order, including notes.
        notes: Pieces of `thoughts` that are not private.
        calls: Well-formed calls in order.
        answers: Answers in order, stripped.
        problems: Descriptions of errors.
        called: Whether the text has any call, including malformed ones.
        more: Number of problems beyond `MAX_PROBLEMS`.
    """

    thoughts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    called: bool = False
    more: int = 0

    def add_problem(self, problem: str) -> None:
        """Add a problem, up to `MAX_PROBLEMS`.

        Args:
            problem: Description of the error.
        """
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem[:_PROBLEM_CHARS])
        else:
            self.more += 1


def write_thought(thought: str) -> str:
    """Write a thought between its tags; an empty thought gives ``""``."""
    return f"<think>{neutralise(thought)}</think>\n" if thought else ""


def write_answer(text: str, thought: str, note: str) -> str:
    """Write an answer between its tags, after an optional thought and note.

    Args:
        text: The answer; its tags are neutralised.
        thought: A private thought.
        note: Citations and confidence; written unchanged.
    """
    before = f"{note}\n" if note else ""
    return f"{write_thought(thought)}{before}<answer>{neutralise(text)}</answer>"


class TagReader:
    """Parser that splits a text into thoughts, calls and answers by the rules of this module.

    Args:
        call_tags: Names of the tags around calls, e.g. ``("tool_call",)``.
        result_tag: Name of the tag around results.
        controls: Control tokens of the model family.
        form: Format of calls and answers, for messages.
        bare_calls: Whether JSON objects outside all tags are calls; their tag name is ``""``.
    """

    def __init__(
        self,
        call_tags: Sequence[str],
        result_tag: str,
        controls: Sequence[str],
        form: str,
        *,
        bare_calls: bool = False,
    ) -> None:
        self.form, self._bare_calls = form, bare_calls
        self._calls = frozenset(f"<{name}>" for name in call_tags)
        self._result = f"<{result_tag}>"
        self._control = re.compile("|".join(map(re.escape, controls)))
        opening = "|".join(map(re.escape, ("think", "answer", result_tag, *call_tags)))
        self._tag = re.compile(f"<(?:{opening})>|</think>")

    def read(self, text: str, decode: Callable[[str, str], Call]) -> Parsed:
        """Parse a text.

        Args:
            text: Text of the policy.
            decode: Function from tag name and enclosed text to a call; raises `MalformedCall`.
        """
        if "<|" in text and (control := self._control.search(text)) is not None:
            text = text[: control.start()]
        draft = Draft()
        bodies: list[tuple[str, str]] = []
        if "</think>" in text and (start := visible_start(text)):
            draft.thoughts.append(text[:start].removesuffix("</think>"))
            text = text[start:]
        for tag, body in self._segments(text):
            if tag in self._calls:
                bodies.append((tag[1:-1], body))
            elif tag == _ANSWER:
                draft.answers.append(body.strip())
            elif tag == _UNOPENED:
                draft.thoughts += [body for _, body in bodies] + draft.answers
                bodies, draft.answers, draft.notes = [], [], []
            elif tag == _BARE:
                _scan(body, draft, bodies, objects=self._bare_calls)
            elif tag == _THINK:
                draft.thoughts.append(body)
            elif not draft.answers or tag != self._result:
                draft.add_problem(body)
        self._decode_calls(bodies, decode, draft)
        return conclude(draft, self.form)

    def _decode_calls(
        self, bodies: Sequence[tuple[str, str]], decode: Callable[[str, str], Call], draft: Draft
    ) -> None:
        """Add the decoded calls and the decoding problems to the draft."""
        draft.called = bool(bodies)
        for number, (tag, body) in enumerate(bodies, 1):
            try:
                draft.calls.append(decode(tag, body))
            except MalformedCall as error:
                draft.add_problem(f"tool call {number}{error}: {self.form}")

    def _segments(self, text: str) -> Iterator[tuple[str, str]]:
        """Split the text at its tags into pairs (opening tag, enclosed text) from left to right.

        Text outside all tags has the tag ``""``. A problem has the result tag or `_FAULT`, and a
        description in place of the text.
        """
        position = 0
        while (match := self._tag.search(text, position)) is not None:
            tag, start, inside = match.group(), match.start(), match.end()
            if start > position:
                yield _BARE, text[position:start]
            if tag == self._result:
                yield tag, f"only tools write {tag}: what you wrote from there on was not read"
                return
            if tag == _UNOPENED:
                yield tag, ""
                position = inside
                continue
            closing = f"</{tag[1:]}"
            end = text.find(closing, inside)
            if end < 0:
                yield tag if tag in self._calls else _BARE, text[inside:]
                if tag not in self._calls:
                    yield _FAULT, f"{tag} was not closed with {closing}: {self.form}"
                return
            if tag in self._calls and text.find(closing, end + 1) >= 0:  # may be inside a string
                quoting = _OBJECT.match(text, inside)
                if quoting is not None and text.startswith(closing, quoting.end()):
                    end = quoting.end()
            yield tag, text[inside:end]
            position = end + len(closing)
        if position < len(text):
            yield _BARE, text[position:]


def _scan(text: str, draft: Draft, bodies: list[tuple[str, str]], *, objects: bool) -> None:
    """Sort the text outside all tags into notes and, if `objects` is set, JSON objects."""
    for piece, is_object in split_objects(text) if objects else ((text, False),):
        if is_object:
            bodies.append(("", piece))
        elif piece.strip("; \n"):
            draft.thoughts.append(piece)
            draft.notes.append(piece)


def conclude(draft: Draft, form: str, answer_form: str = ANSWER) -> Parsed:
    """Apply the rules for calls and answers to the parts of a text.

    Args:
        draft: The parts.
        form: Format of calls and answers, for messages.
        answer_form: Format of an answer, for messages.
    """
    answers, problems = draft.answers, list(draft.problems)
    answer = None
    if draft.more:
        problems.append(f"and {draft.more} more problems")
    if answers and draft.called:
        problems.append(
            "answer and tool call in one turn: the answer was not taken; give it in its own turn"
        )
    elif len(set(answers)) > 1:
        problems.append(f"several different answers in one turn: write one {answer_form}")
    elif answers and not answers[0]:
        problems.append(f"the answer is empty: write {answer_form}")
    elif answers and problems:
        problems.append("the answer was not taken: write it once more, and nothing after it")
    elif answers:
        answer = answers[0]
    elif not draft.calls and not problems:
        problems.append(f"no tool call and no answer: {form}")
    thought = "".join(draft.thoughts).strip()
    return Parsed(
        thought=thought,
        calls=tuple(draft.calls),
        answer=answer,
        problems=tuple(problems),
        notes="\n".join(draft.notes).strip(),
    )
