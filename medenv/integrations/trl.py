"""An environment for TRL: `GRPOTrainer(environment_factory=medenv_environment(...))`.

TRL calls the public methods of an environment as tools, with what their docstrings say, and asks it
for its reward when a completion is over. Here each tool of a medenv environment is such a method,
and `answer` ends the episode; the reward is the score's total, paid for what the policy wrote.
TRL itself is not imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from medenv.build.environment import Parts, registered_parts
from medenv.errors import InfraError, UsageError
from medenv.integrations.episode_tools import ENDED, INSTRUCTIONS, ToolEpisode
from medenv.kg.questions.benchmarks import refuse_benchmarks
from medenv.tools import Tool

__all__ = ["ENDED", "medenv_environment", "rows"]

_RESERVED = ("reset", "get_reward", "answer")


def medenv_environment(env_id: str = "medenv/Research-v0", **settings: Any) -> type[Any]:
    """Return a class whose instances are environments in TRL's form.

    A row of the training data may name its question in the column ``question``, by id or number;
    else every episode draws one. `rows` makes such a data set.

    Args:
        env_id: Id of an environment of medenv.
        settings: Fields of `medenv.build.environment.MakeSettings`, such as ``questions``.

    Raises:
        UsageError: The settings make no environment.
    """
    parts = registered_parts(env_id, **settings)
    tools = parts.toolbox.tools
    methods = {name: _method(tool) for name, tool in tools.items() if name not in _RESERVED}
    body = {"_parts": parts, "__doc__": f"{env_id} in TRL's form.", **methods}
    return type("MedEnv", (_Environment,), body)


def rows(
    split: str = "train", env_id: str = "medenv/Research-v0", **settings: Any
) -> list[dict[str, Any]]:
    """Return a row for each question of a split, for `datasets.Dataset.from_list`.

    Args:
        split: The split.
        env_id: Id of an environment of medenv.
        settings: As of `medenv_environment`.

    Returns:
        Rows with ``prompt``, the system message and an empty turn of the user to which `reset` adds
        the question, and ``question``, its id.

    Raises:
        UsageError: A question is of a published benchmark, which is never trained on.
    """
    parts = registered_parts(env_id, **settings)
    prompt = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": ""}]
    chosen = [one for one in parts.questions if one.split == split]
    refuse_benchmarks(chosen)
    return [{"prompt": prompt, "question": one.id} for one in chosen]


class _Environment:
    """Base class; the tools are methods of the subclass."""

    _parts: Parts

    def __init__(self) -> None:
        self._episode: ToolEpisode | None = None
        self._begun = 0

    def reset(self, question: str | int | None = None, **_: Any) -> str:
        """Begin an episode; return the question."""
        self._episode = ToolEpisode(self._parts, question=question, seed=self._begun)
        self._begun += 1
        return self._episode.question

    def get_reward(self) -> float | None:
        """Return what the episode has earned; 0 without an answer, None if it has no score.

        TRL leaves an episode without a reward out of its group.
        """
        try:
            return self._running.reward or 0.0
        except InfraError:
            return None

    def answer(self, text: str) -> str:
        """Answer the question, once and for all.

        Args:
            text: The answer, a short name.
        """
        return self._running.answer(text)

    @property
    def _running(self) -> ToolEpisode:
        """The episode that `reset` began."""
        if self._episode is None:
            raise UsageError("there is no episode yet: call reset first")
        return self._episode


def _method(tool: Tool) -> Callable[..., str]:
    """Return a tool as a method with the tool's own name, arguments, types and docstring."""

    def call(self: _Environment, *given: Any, **named: Any) -> str:
        bound = signature.bind(*given, **named)
        return self._running.call(tool.name, bound.arguments)

    signature = inspect.signature(tool.call)
    hints = get_type_hints(tool.call)
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    call.__name__ = call.__qualname__ = tool.name
    call.__doc__ = inspect.getdoc(tool.call)
    own = [one.replace(annotation=hints[one.name]) for one in signature.parameters.values()]
    call.__signature__ = inspect.Signature([first, *own], return_annotation=str)  # type: ignore[attr-defined]  # what inspect reads
    call.__annotations__ = {one.name: hints[one.name] for one in own} | {"return": str}
    return call
