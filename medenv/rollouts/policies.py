"""Policies that follow a script, and the interface of what makes policies: teachers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Protocol, TypeVar

from medenv.records import Message, Policy, Question
from medenv.rollouts.driver import AsyncPolicy

Script = Generator[str, str, None]
"""Yields the policy's texts and is sent the observations."""


P_co = TypeVar("P_co", bound=Policy | AsyncPolicy, covariant=True)


class Teacher(Protocol[P_co]):
    """Makes a policy for each episode."""

    def begin(self, question: Question, i: int = 0) -> P_co:
        """Return the policy for one episode.

        Args:
            question: What will be asked.
            i: Number of the episode, which with the teacher's seed decides every choice.
        """
        ...


class ScriptedPolicy:
    """A policy that follows a script, and repeats its last text when the script is over.

    Args:
        script: Yields texts and is sent observations.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._begun = False
        self._last = ""

    def act(self, messages: Sequence[Message]) -> str:
        """Return the script's next text."""
        try:
            if self._begun:
                self._last = self._script.send(messages[-1]["content"])
            else:
                self._begun, self._last = True, next(self._script)
        except StopIteration:
            pass
        return self._last


class Texts:
    """A teacher whose policies write given texts, whatever is asked.

    Args:
        texts: What to write, turn by turn.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = tuple(texts)

    def begin(self, question: Question, i: int = 0) -> Policy:  # noqa: ARG002 - as `Teacher` has it
        """Return a policy that writes the texts."""
        return ScriptedPolicy(given(self._texts))


def given(texts: Iterable[str]) -> Script:
    """Yield given texts, whatever is observed.

    Args:
        texts: What to write, turn by turn.
    """
    for text in texts:
        _ = yield text  # what is observed changes nothing
