"""An episode that is played by calls of tools, for libraries whose agents call functions.

TRL, LangGraph and smolagents ask a model for calls and make them. Each call is a turn of the
episode here, written in the environment's dialect, so that the trajectory, the budget and the
score are those of `MedResearchEnv`. None of these libraries is imported.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any, Self

import msgspec

from medenv.build.environment import Parts, registered_parts
from medenv.errors import InfraError, UsageError, describe
from medenv.io import RetryPolicy, Waits, retrying
from medenv.records import Scored, ToolCall, ToolSpec
from medenv.tools import FunctionTool, ToolBox, ToolOutput

ANSWERED = "The answer was taken. The episode has ended."
ENDED = "The episode has ended: nothing more can be looked up or answered."
INSTRUCTIONS = (
    "Research the question with the tools, then call the tool answer with a short answer. "
    "Nothing but that call counts."
)
"""System message for a policy."""


@FunctionTool
def answer(text: str) -> ToolOutput:
    """Answer the question, once and for all.

    Args:
        text: The answer, a short name.
    """
    if not text.strip():
        return ToolOutput(text="answer: expected a name, got an empty text", status="bad_call")
    return ToolOutput(text=text)


_ANSWERS = ToolBox([answer])
"""Validates the arguments of an answer as those of any tool."""


class ToolEpisode:
    """One episode, played by calls of tools; safe to use from several threads.

    Calls that are made at the same time are turns one after another. A failure of the
    infrastructure is tried again; if it persists, the episode ends without a score, since the
    library may have shown the failure to its model: the call raises it, and so does whatever is
    asked of the episode afterwards.

    Args:
        parts: The parts of the environment.
        question: Id or number of the question; None draws one.
        seed: Seed of the draw.
        retries: How often a call is tried if the infrastructure fails.

    Attributes:
        question: The text of the question.

    Raises:
        UsageError: The question is unknown.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        question: str | int | None = None,
        seed: int | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._env = parts.env()
        self._env.reset(seed=seed, options=None if question is None else {"question": question})
        self.question = self._env.episode.question.text
        self._retries = retries or RetryPolicy()
        self._lock = threading.Lock()
        self._scored: Scored | None = None
        self._failure: Exception | None = None

    @classmethod
    def begin(
        cls,
        env_id: str = "medenv/Research-v0",
        *,
        question: str | int | None = None,
        seed: int | None = None,
        **settings: Any,
    ) -> Self:
        """Begin an episode of a registered environment.

        For many episodes of one environment, make its parts once, with
        `medenv.build.environment.registered_parts`, and an episode of them for each.

        Args:
            env_id: Id of an environment of medenv.
            question: Id or number of the question; None draws one.
            seed: Seed of the draw.
            settings: Fields of `medenv.build.environment.MakeSettings`, such as ``questions``.

        Raises:
            UsageError: The settings make no environment, or the question is unknown.
        """
        return cls(registered_parts(env_id, **settings), question=question, seed=seed)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The environment's tools and `answer`, as a policy sees them.

        Raises:
            UsageError: The environment has a tool of the name ``answer``.
        """
        if answer.name in self._env.toolbox.tools:
            raise UsageError(
                f"expected tools of other names than {answer.name!r}, which ends an episode: "
                "rename yours"
            )
        return (*self._env.toolbox.specs, answer.spec)

    @property
    def ended(self) -> bool:
        """Whether the episode is over."""
        return self._scored is not None or self._failure is not None

    @property
    def scored(self) -> Scored | None:
        """Trajectory and score; None before the end.

        Raises:
            InfraError: The infrastructure failed, and there is no score.
        """
        self._check()
        return self._scored

    @property
    def reward(self) -> float | None:
        """The score's total; None before the end.

        Raises:
            InfraError: The infrastructure failed, and there is no score.
        """
        scored = self.scored
        return None if scored is None else scored.score.total

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Make a call as a turn of the episode; a call of `answer` ends it.

        Args:
            name: Name of the tool.
            arguments: Its arguments, as the policy gave them.

        Returns:
            The observation, which describes wrong arguments; after the end, a line that says so.

        Raises:
            InfraError: The infrastructure failed, now or before.
        """
        if name == answer.name:
            return self._answer(arguments)
        dialect = self._env.rules.dialect
        try:
            turn = dialect.write_call(name, _as_json(arguments))
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            return f"{name}: expected arguments that JSON can hold ({describe(error)})"
        return self._take(turn)

    def answer(self, text: Any) -> str:
        """Answer the question, which ends the episode.

        Args:
            text: The answer; a number is taken as its digits.

        Returns:
            `ANSWERED`, else a line that says why the answer was not taken.

        Raises:
            InfraError: The infrastructure failed, now or before.
        """
        return self._answer({"text": text})

    def _answer(self, arguments: Mapping[str, Any]) -> str:
        """Answer with the arguments of a call, which may be wrong."""
        given = {
            name: str(value) if isinstance(value, str | float) or type(value) is int else value
            for name, value in arguments.items()
        }
        read = _ANSWERS.run(ToolCall(id=answer.name, name=answer.name, arguments=given))
        if read.status != "ok":
            return read.text
        return self._take(self._env.rules.dialect.write_answer(read.text))

    def _take(self, turn: str) -> str:
        """Take a turn and return what came back."""
        with self._lock:
            self._check()
            if self._scored is not None:
                return ENDED
            try:
                shown, _, ended, cut, info = retrying(
                    partial(self._env.step, turn), Waits(self._retries), InfraError
                )
            except Exception as error:
                self._failure = error
                raise
            if not (ended or cut):
                return str(shown)
            self._scored = Scored(trajectory=info["trajectory"], score=info["score"])
            return ANSWERED if ended else "; ".join((*info["problems"], ENDED))

    def _check(self) -> None:
        """Refuse to go on after a failure."""
        if self._failure is not None:
            raise InfraError(f"the episode has no score: {self._failure}") from self._failure


def _as_json(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON holds them: subclasses of `str` as texts, tuples as lists."""
    decoded: dict[str, Any] = json.loads(json.dumps(dict(arguments), allow_nan=False))
    return decoded
