"""Environments for SkyRL: a `BaseTextEnv` of skyrl-gym 0.4, registered under an id.

    register("medenv", "medenv/Research-v0", questions="FOLDER")
    env = skyrl_gym.make("medenv", extras={"question": "test:4"})

`rows` makes the training data. The reward of the last step is the score's total, paid for what the
policy wrote; every other step pays 0.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import skyrl_gym
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from medenv.build.environment import Parts, registered_parts
from medenv.kg.questions.benchmarks import refuse_benchmarks
from medenv.records import Score


class MedEnvTextEnv(BaseTextEnv):  # type: ignore[misc]  # skyrl-gym is not checked
    """One episode of medenv in skyrl-gym's form.

    Args:
        parts: The parts of the environment.
        env_config: Not used: the settings are those of `register`.
        extras: The row of the training data; ``question`` is the id or number of its question;
            without it, ``seed`` draws one.
    """

    def __init__(
        self,
        parts: Parts,
        env_config: Any = None,  # noqa: ARG002 - skyrl-gym's interface
        extras: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._env = parts.env()
        self._extras = extras or {}
        self._score: Score | None = None
        self.max_turns = self._env.rules.max_turns

    def init(self, prompt: Any = None) -> tuple[list[dict[str, str]], dict[str, Any]]:  # noqa: ARG002
        """Begin the episode.

        Args:
            prompt: Not used: the prompt is the environment's own.

        Returns:
            The prompt as chat messages, and the question's id.

        Raises:
            UsageError: The question is unknown.
        """
        question = self._extras.get("question")
        options = None if question is None else {"question": question}
        info = self._env.reset(seed=self._extras.get("seed"), options=options)[1]
        self.turns, self._score = 0, None
        return [dict(one) for one in info["messages"]], {"question_id": info["question_id"]}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Process the policy's next turn.

        Args:
            action: The text of the turn.

        Returns:
            Observations, as a message of the user; reward; whether the episode ended; problems and
            passages, at the end also how it ended.

        Raises:
            InfraError: An external failure, which is no reward of 0; repeat the step.
        """
        shown, reward, ended, cut, info = self._env.step(action)
        self.turns += 1
        metadata = {name: info[name] for name in ("problems", "passages", "ending") if name in info}
        self._score = info.get("score")
        done = ended or cut
        return BaseTextEnvStepOutput(
            observations=[] if done else [{"role": "user", "content": shown}],
            reward=float(reward),
            done=done,
            metadata=metadata,
        )

    def get_metrics(self) -> dict[str, Any]:
        """Return the components of the score, before weights and gates; none before the end."""
        score = self._score
        return {} if score is None else {name: part.raw for name, part in score.parts.items()}


def register(name: str = "medenv", env_id: str = "medenv/Research-v0", **settings: Any) -> None:
    """Register an environment with skyrl-gym, in the process that makes the episodes.

    Args:
        name: Id in skyrl-gym, the ``env_class`` of rows.
        env_id: Id of an environment of medenv.
        settings: Fields of `medenv.build.environment.MakeSettings`, such as ``questions``.

    Raises:
        UsageError: The settings make no environment.
    """
    parts = registered_parts(env_id, **settings)
    skyrl_gym.register(id=name, entry_point=partial(MedEnvTextEnv, parts))


def rows(
    split: str = "train",
    name: str = "medenv",
    env_id: str = "medenv/Research-v0",
    **settings: Any,
) -> list[dict[str, Any]]:
    """Return a row of SkyRL's training data for each question of a split.

    Args:
        split: The split.
        name: Id under which the environment is registered.
        env_id: Id of an environment of medenv.
        settings: As of `register`.

    Returns:
        Rows with ``prompt``, ``env_class`` and ``question``.

    Raises:
        UsageError: A question is of a published benchmark, which is never trained on.
    """
    parts = registered_parts(env_id, **settings)
    chosen = [one for one in parts.questions if one.split == split]
    refuse_benchmarks(chosen)
    env, found = parts.env(), []
    for one in chosen:
        messages = env.reset(options={"question": one.id})[1]["messages"]
        prompt = [dict(message) for message in messages]
        found.append({"prompt": prompt, "env_class": name, "question": one.id})
    return found
