"""What all dialects with tags share: how a policy's text is cut at its own tags, and what counts.

Rules of reading, so that only what the policy plainly meant counts:

- A control token of the model family (``<|im_end|>`` and its like) ends the text.
- Text inside ``<think>`` is thought: no call or answer in it counts. A ``</think>`` that nothing
  opened makes thought of everything before it; see `medenv.text.thoughts`.
- The tag around results is for tools to write. One that the policy writes ends its text there: what
  follows rests on an invented result and is not read.
- A call may lack its closing tag at the end of the text when it is whole otherwise (samplers that
  stop at the tag leave it out). An answer must be closed, or it may have been cut short.
- A closing tag that is quoted in a text of a call's JSON object closes nothing.
- A call and an answer in one turn: well-formed calls are made, the answer is not taken, since it
  was written before their results were seen.
- Several different answers in one turn are no answer.
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
"""Problems of one turn that are told; of further ones only their number is."""

_PROBLEM_CHARS = 1_000

ANSWER = "<answer>...</answer>"
"""How an answer is written, for messages."""

NOTE = "before <answer>"
"""Where citations and confidence are written, for the prompt."""
_OBJECT = re.compile(r'\s*+\{(?:[^"<\\]++|"(?:[^"\\]++|\\.)*+"(?=\s*+[],:}]))*+', re.DOTALL)
"""A JSON object with what stands behind it up to a tag, which no text in it can be.

Outside its texts an object holds neither tag nor backslash, and behind a text stands a mark. So of
two objects of which one begins within the other at most one goes on beyond the next tag, and
however many are begun, all are read in linear time.
"""

_BARE = ""
_FAULT = "fault"
_THINK = "<think>"
_UNOPENED = "</think>"
_ANSWER = "<answer>"


@dataclass
class Draft:
    """The parts of a text, before it is decided what of them counts.

    Args:
        thoughts: Pieces of thought in order, notes included.
        notes: Pieces of it that are no private thought.
        calls: Well-formed calls in order.
        answers: Answers in order, without spaces around.
        problems: What was wrong.
        called: Whether there was any call, malformed ones included.
        more: How many problems were left out of `problems`.
    """

    thoughts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    called: bool = False
    more: int = 0

    def add_problem(self, problem: str) -> None:
        """Note what was wrong, within bounds however long the text is.

        Args:
            problem: What was wrong.
        """
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem[:_PROBLEM_CHARS])
        else:
            self.more += 1


def write_thought(thought: str) -> str:
    """Write a thought between its tags, or nothing where there is none."""
    return f"<think>{neutralise(thought)}</think>\n" if thought else ""


def write_answer(text: str, thought: str, note: str) -> str:
    """Write an answer between its tags, after a thought and a note where there are any.

    Args:
        text: The answer, in which tags are made harmless.
        thought: A private thought.
        note: Citations and confidence, written as it is.
    """
    before = f"{note}\n" if note else ""
    return f"{write_thought(thought)}{before}<answer>{neutralise(text)}</answer>"


class TagReader:
    """Cuts a text into thoughts, calls and answers by the rules of this module.

    Args:
        call_tags: Names of the tags around calls, e.g. ``("tool_call",)``.
        result_tag: Name of the tag that only tools write.
        controls: Control tokens of the model family.
        form: How calls and answers are written, for messages.
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
        """Read a text.

        Args:
            text: What the policy wrote.
            decode: Makes a call of tag name and what the tag encloses, or raises `MalformedCall`.
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
        self._decode(bodies, decode, draft)
        return conclude(draft, self.form)

    def _decode(
        self, bodies: Sequence[tuple[str, str]], decode: Callable[[str, str], Call], draft: Draft
    ) -> None:
        """Decode the calls into the draft, with what cannot be decoded."""
        draft.called = bool(bodies)
        for number, (tag, body) in enumerate(bodies, 1):
            try:
                draft.calls.append(decode(tag, body))
            except MalformedCall as error:
                draft.add_problem(f"tool call {number}{error}: {self.form}")

    def _segments(self, text: str) -> Iterator[tuple[str, str]]:
        """Cut the text at its own tags, left to right, into (opening tag, what it encloses).

        Bare text comes with the tag ``""``; what is wrong with the tag of results or `_FAULT` and a
        description.
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
                yield from self._unclosed(tag, closing, text[inside:])
                return
            if tag in self._calls and text.find(closing, end + 1) >= 0:  # else it is this one
                quoting = _OBJECT.match(text, inside)
                if quoting is not None and text.startswith(closing, quoting.end()):
                    end = quoting.end()
            yield tag, text[inside:end]
            position = end + len(closing)
        if position < len(text):
            yield _BARE, text[position:]

    def _unclosed(self, tag: str, closing: str, rest: str) -> Iterator[tuple[str, str]]:
        """Read what follows a tag that is never closed."""
        if tag in self._calls:
            yield tag, rest
            return
        yield _BARE, rest
        yield _FAULT, f"{tag} was not closed with {closing}: {self.form}"


def _scan(text: str, draft: Draft, bodies: list[tuple[str, str]], *, objects: bool) -> None:
    """Sort the pieces of a text outside all tags into notes and, if asked for, JSON objects."""
    for piece, is_object in split_objects(text) if objects else ((text, False),):
        if is_object:
            bodies.append(("", piece))
        elif piece.strip("; \n"):
            draft.thoughts.append(piece)
            draft.notes.append(piece)


def conclude(draft: Draft, form: str, answer_form: str = ANSWER) -> Parsed:
    """Decide what of a text's parts counts.

    Args:
        draft: The parts.
        form: How calls and answers are written, for messages.
        answer_form: How an answer is written, for messages.
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
