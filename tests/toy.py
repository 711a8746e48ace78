"""Settings of runs on the toy graph, which are ready at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from medenv.build.prepare import Steps
from medenv.build.settings import (
    EnvSettings,
    GraphSettings,
    QuestionsSettings,
    RunSettings,
    SftSettings,
    TrainSettings,
)
from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, expanded

if TYPE_CHECKING:
    from medenv.integrations.verl.run import Run

TOY = GraphSettings(source="toy")


def preset(group: str, name: str) -> dict[str, Any]:
    """A choice of a config group as plain data, with the choice that it begins with."""
    config = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))
    assert isinstance(config, dict)
    own = {str(key): value for key, value in config.items() if key != "defaults"}
    first = [base for base in config.get("defaults", []) if base != "_self_"]
    return {**(preset(group, first[0]) if first else {}), **own}


def toy_questions_settings(**changes: Any) -> QuestionsSettings:
    """The questions of `questions=toy`."""
    return msgspec.convert(preset("questions", "toy") | changes, QuestionsSettings)


def tiny_env(**changes: Any) -> EnvSettings:
    """The environment of `env=tiny`."""
    return msgspec.convert(preset("env", "tiny") | changes, EnvSettings)


def toy_run(root: Path | str, **changes: Any) -> dict[str, Any]:
    """The fields of a run on the toy graph, for any recipe's settings."""
    fields = {
        "root": str(root),
        "graph": TOY,
        "questions": toy_questions_settings(),
        "env": tiny_env(),
    }
    return fields | changes


def toy_settings(root: Path | str, **changes: Any) -> RunSettings:
    """A run on the toy graph."""
    return RunSettings(**toy_run(root, **changes))


def train_config(*overrides: str) -> DictConfig:
    """The composed config of recipes/train.py."""
    register_schema("train", TrainSettings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=expanded(overrides))


def sft_config(*overrides: str) -> DictConfig:
    """The composed config of recipes/sft.py."""
    register_schema("sft", SftSettings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("sft", overrides=expanded(overrides))


def opened(config: DictConfig, say: Callable[[str], object] = print) -> AbstractContextManager[Run]:
    """Open the run of a composed config, as the recipe does."""
    from medenv.integrations.verl.run import open_run  # imports torch

    return open_run(config, settings_of(config, TrainSettings), Steps(say))
