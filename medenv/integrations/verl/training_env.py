"""The environment as trainers use it: one per process, made from the config's `medenv` subtree."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from medenv.build.environment import Parts, make_parts
from medenv.build.scoring import Scoring, read_scoring
from medenv.build.workspace import Workspace
from medenv.episodes.episode import Episode, EpisodeRules
from medenv.errors import UsageError
from medenv.records import Question
from medenv.rollouts.driver import RetryPolicy, Rollouts
from medenv.tools import ToolBox


class TrainingEnv(NamedTuple):
    """What plays and scores the episodes of one run.

    Attributes:
        rules: Starts episodes.
        toolbox: Makes calls.
        scoring: Scores trajectories.
        turn_tokens: Most tokens that the policy may write in one turn.
        patience: Time limits and tries of tool calls and of the policy's texts.
    """

    rules: EpisodeRules
    toolbox: ToolBox
    scoring: Scoring
    turn_tokens: int
    patience: RetryPolicy = RetryPolicy()

    def episode(self, question: Question, seed: int) -> Episode:
        """Return a new episode of the question."""
        return Episode(question, self.rules, seed)

    def driver(self, step: int) -> Rollouts:
        """Return what plays the episodes of a training step.

        Args:
            step: Training step, from 1; 0 is the validation before them.
        """
        reward = self.scoring.reward_at(step)
        return Rollouts(
            self.rules, self.toolbox, reward, self.patience, threads=self.scoring.threads
        )


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
    env = section["env"]
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
        scoring=read_scoring(section["scoring"]),
        verdicts=str(Path(section["root"]) / "verdicts"),
    )


def patience_of(section: Mapping[str, Any]) -> RetryPolicy:
    """Return the time limits that the `patience` section describes.

    Args:
        section: The config's `medenv.patience` as plain data.

    Raises:
        UsageError: A value out of range.
    """
    try:
        return msgspec.convert(dict(section), RetryPolicy)
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
    turn_tokens, patience = int(section["env"]["turn_tokens"]), patience_of(section["patience"])
    gc.freeze()  # what is loaded stays; looking through it for garbage halts all episodes for 0.1 s
    return TrainingEnv(parts.rules, parts.toolbox, parts.scoring, turn_tokens, patience)
