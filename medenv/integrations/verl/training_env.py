"""The environment as trainers use it: one per process, made from the config's `medenv` subtree."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from medenv.build.environment import Parts, make_parts
from medenv.build.workspace import Workspace
from medenv.episodes.episode import Episode, EpisodeRules
from medenv.errors import UnknownNameError, UsageError
from medenv.records import Question, RewardFn
from medenv.reward import PRESETS, Composition, Ramp, Reward, Schedule
from medenv.rollouts.driver import RolloutRetryPolicy, Rollouts
from medenv.tools import ToolBox


class TrainingEnv(NamedTuple):
    """What plays and scores the episodes of one run.

    Attributes:
        rules: Starts episodes.
        toolbox: Makes calls.
        reward: Scores trajectories.
        turn_tokens: Most tokens that the policy may write in one turn.
        schedule: How the reward's weights change over training, where they do.
        patience: Time limits and tries of tool calls and of the policy's texts.
    """

    rules: EpisodeRules
    toolbox: ToolBox
    reward: RewardFn
    turn_tokens: int
    schedule: Schedule | None = None
    patience: RolloutRetryPolicy = RolloutRetryPolicy()

    def reward_at(self, step: int) -> RewardFn:
        """Return what scores the trajectories of a training step.

        Args:
            step: Training step, from 1; 0 is the validation before them.
        """
        if self.schedule is None or not isinstance(self.reward, Reward):
            return self.reward
        return Reward(self.schedule.at(step), self.reward.knowledge)

    def episode(self, question: Question, seed: int) -> Episode:
        """Return a new episode of the question."""
        return Episode(question, self.rules, seed)

    def driver(self, step: int) -> Rollouts:
        """Return what plays the episodes of a training step.

        Args:
            step: Training step, from 1; 0 is the validation before them.
        """
        return Rollouts(self.rules, self.toolbox, self.reward_at(step), self.patience)


def make_training_parts(
    section: Mapping[str, Any], questions: Any, corpus: Any, graph: Any
) -> Parts:
    """Make the parts that the `env` and `scoring` sections describe.

    Args:
        section: The config's `medenv` subtree as plain data.
        questions: Questions or their file.
        corpus: A retriever or the path of an index.
        graph: A saved graph, whose names tell near misses from other entities.
    """
    env, scoring = section["env"], section["scoring"]
    return make_parts(
        questions=questions,
        corpus=corpus,
        graph=graph,
        retriever=env["retriever"],
        dialect=env["dialect"],
        tools={name: options or {} for name, options in env["tools"].items()},
        budget={name: value for name, value in env["budget"].items() if value is not None},
        prompt_style=env["prompt_style"],
        env_id=env["env_id"],
        scoring=_scoring(scoring),
    )


def _scoring(section: Mapping[str, Any]) -> str | Composition:
    """Return the preset's name, or the composition where weights are given."""
    preset = str(section["preset"])
    if preset not in PRESETS:
        raise UnknownNameError("reward preset", preset, PRESETS)
    if not section["weights"]:
        return preset
    return Composition(
        weights=dict(section["weights"]),
        gates=dict(section["gates"]),
        vetoes=tuple(section["vetoes"]),
    )


def schedule_of(section: Mapping[str, Any]) -> Schedule | None:
    """Return the schedule that the `scoring` section describes, or None where weights stay.

    Args:
        section: The config's `medenv.scoring` as plain data.

    Raises:
        UnknownNameError: A ramp of a component that has no weight, or of an unknown preset.
        UsageError: A ramp that is none.
    """
    if not section["ramps"]:
        return None
    scoring = _scoring(section)
    if isinstance(scoring, str):
        scoring = PRESETS[scoring]
    try:
        ramps = msgspec.convert(dict(section["ramps"]), dict[str, Ramp])
    except msgspec.ValidationError as error:
        raise UsageError(
            f"medenv.scoring.ramps: {error}; a ramp is written"
            " efficiency: {begin: 0, end: 100, first: 0.0, last: 0.2}"
        ) from error
    return Schedule(composition=scoring, ramps=ramps)


def patience_of(section: Mapping[str, Any]) -> RolloutRetryPolicy:
    """Return the time limits that the `patience` section describes.

    Args:
        section: The config's `medenv.patience` as plain data.

    Raises:
        UsageError: A value out of range.
    """
    try:
        return msgspec.convert(dict(section), RolloutRetryPolicy)
    except msgspec.ValidationError as error:
        raise UsageError(f"medenv.patience: {error}") from error


def load_training_env(section: Mapping[str, Any]) -> TrainingEnv:
    """Return the world of a config, the same object for the same config in one process.

    Args:
        section: The config's `medenv` subtree as plain data; `workspace` names a finished one.

    Raises:
        UsageError: No workspace is named, or a name or setting is unknown.
    """
    return _load(msgspec.json.encode(section, order="sorted"))


@lru_cache(maxsize=4)
def _load(encoded: bytes) -> TrainingEnv:
    section = msgspec.json.decode(encoded)
    if not section["workspace"]:
        raise UsageError("medenv.workspace is not set: the recipe sets it when it has built one")
    workspace = Workspace.open(section["workspace"])
    parts = make_training_parts(
        section, workspace.questions("test"), workspace.corpus, workspace.graph
    )
    turn_tokens, schedule = int(section["env"]["turn_tokens"]), schedule_of(section["scoring"])
    patience = patience_of(section["patience"])
    gc.freeze()  # what is loaded stays; looking through it for garbage halts all episodes for 0.1 s
    return TrainingEnv(parts.rules, parts.toolbox, parts.reward, turn_tokens, schedule, patience)
