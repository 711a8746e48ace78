"""The warm start: a new tiny policy, taught by verl's SFT trainer on teachers' episodes.

outputs/<run>/
new_policy/           tokenizer and untrained weights
stage-<k>/            one for each stage of teaching
lessons.parquet     token ids and exact loss masks
checkpoints/        verl's own
metrics/            one JSONL file for each attempt, one line a step
tensorboard/        where trainer.logger names tensorboard
train.log           all output
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from transformers import AutoModelForCausalLM, AutoTokenizer

from medenv.build.settings import HardwareSettings
from medenv.errors import DataError, UsageError
from medenv.integrations.verl.checkpoints import EXPORT, Layout, holds_policy, prune, resume
from medenv.integrations.verl.following import Logged, follow, next_metrics, persist
from medenv.integrations.verl.lessons import School, stage_folder
from medenv.integrations.verl.lora import merge_adapter
from medenv.integrations.verl.processes import Tree, mark_of
from medenv.io import whole_folder, write_text

ENOUGH_EPOCHS = 1_000
"""The number of steps ends a stage, never the number of epochs."""


class StageRun(NamedTuple):
    """What the trainer does in one stage.

    Attributes:
        folder: Receives config, log, metrics and checkpoints.
        lessons: The parquet file that is learned from.
        start: The policy that it starts with: a folder or hub name.
        lr: Learning rate.
        steps: Optimiser steps.
    """

    folder: Path
    lessons: Path
    start: str
    lr: float
    steps: int


def teach(
    config: DictConfig, school: School, number: int, say: Callable[[str], object]
) -> Iterator[Logged]:
    """Run verl's SFT trainer on a stage's lessons, unless it has; yields each step as logged.

    Args:
        config: The composed config.
        school: What all stages share.
        number: Number of the stage, from 0; it begins with what the stage before has learned.
        say: Receives what is being done, in words.

    Raises:
        TrainingFailedError: The trainer failed.
    """
    folder, stage = stage_folder(school, number), school.settings.lessons.stages[number]
    first = number == 0
    start = school.folder / "new_policy" if first else taught_policy(school, number - 1)
    run = StageRun(folder, folder / "lessons.parquet", str(start), stage.lr, stage.steps)
    yield from train_stage(config, run, school.settings.hardware, say)


def train_stage(
    config: DictConfig, run: StageRun, hardware: HardwareSettings, say: Callable[[str], object]
) -> Iterator[Logged]:
    """Run verl's SFT trainer to the end of a stage, unless it has; yields each step as logged.

    Args:
        config: The composed config.
        run: What it does.
        hardware: How processes are started.
        say: Receives what training resumes from and the reason of a restart, in words.

    Raises:
        TrainingFailedError: The trainer failed and may not be restarted any more.
        UsageError: The checkpoint was saved by another number of processes.
    """
    saved = run.folder / "checkpoints" / f"global_step_{run.steps}"

    def is_finished() -> bool:
        merge_adapter(saved, config.model)
        return holds_policy(saved / EXPORT)

    if is_finished():
        return
    restarts = hardware.restarts
    yield from persist(lambda: _attempt(config, run, hardware, say), restarts, is_finished, say)
    merge_adapter(saved, config.model)
    prune(saved.parent, Layout.of_sft(config))


def _attempt(
    config: DictConfig, run: StageRun, hardware: HardwareSettings, say: Callable[[str], object]
) -> Iterator[Logged]:
    """Start verl's SFT trainer once, and follow it to its end."""
    folder = run.folder
    folder.mkdir(parents=True, exist_ok=True)
    metrics, log = next_metrics(folder / "metrics"), folder / "train.log"
    if newest := resume(folder / "checkpoints", Layout.of_sft(config)):
        say(f"resuming after step {newest.step}")
    changes = {
        "data": {"train_files": str(run.lessons)},
        "model": {"path": run.start},
        "optim": {"lr": run.lr},
        "trainer": {
            "total_training_steps": run.steps,
            "total_epochs": ENOUGH_EPOCHS,
            # Validation is by playing; without validation files verl has none of its own.
            "test_freq": -1 if config.data.val_files is None else config.trainer.test_freq,
            "default_local_dir": str(folder / "checkpoints"),
        },
    }
    merged = OmegaConf.merge(config, changes)
    write_text(folder / "config.yaml", OmegaConf.to_yaml(merged, resolve=True))
    tree = Tree(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            f"--nproc_per_node={int(config.trainer.n_gpus_per_node)}",
            *("-m", "medenv.integrations.verl.sft_main", str(folder / "config.yaml")),
        ],
        {
            **hardware.environment,
            "VERL_FILE_LOGGER_PATH": str(metrics.absolute()),
            "TENSORBOARD_DIR": str((folder / "tensorboard").absolute()),
            "WANDB_DIR": str(folder.absolute()),
        },
        log,
        mark_of(folder.parent),
    )
    try:
        yield from follow(tree, metrics, log, hardware.patience_seconds)
    finally:
        tree.stop()


def taught_policy(school: School, number: int) -> Path:
    """Return the folder of what a stage has learned.

    Raises:
        UsageError: The stage has not reached its end.
    """
    steps = school.settings.lessons.stages[number].steps
    return checkpoint_of(stage_folder(school, number), steps)


def checkpoint_of(folder: Path, steps: int) -> Path:
    """Return the Hugging Face folder of what a stage has learned.

    Args:
        folder: The stage's folder.
        steps: The steps that it takes.

    Raises:
        UsageError: The stage has not reached its end.
    """
    found = folder / "checkpoints" / f"global_step_{steps}" / EXPORT
    if not holds_policy(found):
        raise UsageError(f"no finished checkpoint in {found}: let {folder.name} finish")
    return found


def export(source: Path, target: Path) -> int:
    """Copy a taught policy, weights in bfloat16.

    Args:
        source: A Hugging Face folder.
        target: The folder to write; replaced where it exists.

    Returns:
        Number of parameters.

    Raises:
        DataError: Weights are missing; they would be random.
    """
    model, found = AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.float32, output_loading_info=True
    )
    if missing := sorted(found["missing_keys"]):
        raise DataError(
            source, f"lacks {len(missing)} of the model's weights, such as {missing[0]}"
        )
    with whole_folder(target, existing="replace") as partial:
        model.to(torch.bfloat16).save_pretrained(partial)
        AutoTokenizer.from_pretrained(source).save_pretrained(partial)
    return sum(parameter.numel() for parameter in model.parameters())
