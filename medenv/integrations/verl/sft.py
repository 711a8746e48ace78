"""Supervised fine-tuning with verl's SFT trainer, in stages.

    outputs/<run>/
      stage-<k>/            one for each stage
        checkpoints/        verl's own
        metrics/            one JSONL file for each attempt, one line a step
        tensorboard/        where trainer.logger names tensorboard
        config.yaml         what the trainer was started with
        train.log           all output

What is learned from comes from `medenv.integrations.verl.warm_start` (teachers' episodes for a new
policy) or `medenv.integrations.verl.finetuning` (a set of trajectories).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from omegaconf import DictConfig, OmegaConf
from transformers import AutoModelForCausalLM, AutoTokenizer

from medenv.build.settings import HardwareSettings, SftSettings, StageSettings
from medenv.errors import DataError, UsageError
from medenv.integrations.verl.checkpoints import EXPORT, Layout, holds_policy, prune, resume
from medenv.integrations.verl.following import Logged, follow, next_metrics, persist
from medenv.integrations.verl.lora import merge_adapter
from medenv.integrations.verl.processes import Tree, mark_of
from medenv.io import atomic_folder, atomic_path, write_text
from medenv.trajectories.sft import SFTExample

ENOUGH_EPOCHS = 1_000
"""The number of steps ends a stage, never the number of epochs."""


class SFTRun(NamedTuple):
    """Supervised fine-tuning in stages; each begins with what the one before has learned.

    Attributes:
        folder: The run's folder.
        settings: The run's settings.
        start: The policy before the first stage: a folder or hub name.
        examples: The parquet file of each stage.
        steps: Optimiser steps of each stage.
    """

    folder: Path
    settings: SftSettings
    start: str
    examples: tuple[Path, ...]
    steps: tuple[int, ...]

    @property
    def hardware(self) -> HardwareSettings:
        """How processes are started."""
        return self.settings.hardware

    @property
    def stages(self) -> tuple[StageSettings, ...]:
        """The settings of each stage."""
        return self.settings.lessons.stages

    def stage(self, number: int) -> Path:
        """Return the folder of a stage."""
        return self.folder / f"stage-{number}"

    def policy(self, number: int) -> str:
        """Return the policy that a stage begins with.

        Args:
            number: Number of the stage, from 0; the number of stages gives what was learned last.

        Raises:
            UsageError: The stage before has not reached its end.
        """
        if number == 0:
            return self.start
        before = number - 1
        saved = self.stage(before) / "checkpoints" / f"global_step_{self.steps[before]}" / EXPORT
        if not holds_policy(saved):
            raise UsageError(f"no finished checkpoint in {saved}: let stage-{before} finish")
        return str(saved)


def write_examples(path: Path, examples: Sequence[SFTExample]) -> None:
    """Write examples as the parquet file that `medenv.integrations.verl.sft_data.SFTDataset` reads.

    Args:
        path: The file; its folder is made where it is missing.
        examples: The examples.
    """
    names = SFTExample.__struct_fields__
    columns = {name: [getattr(one, name) for one in examples] for name in names}
    with atomic_path(path) as partial:
        pq.write_table(pa.table(columns), partial)


def train_stage(
    config: DictConfig, run: SFTRun, number: int, say: Callable[[str], object]
) -> Iterator[Logged]:
    """Run verl's SFT trainer to the end of a stage, unless it has; yields each step as logged.

    Args:
        config: The composed config.
        run: The run.
        number: Number of the stage, from 0.
        say: Receives what training resumes from and the reason of a restart, in words.

    Raises:
        TrainingFailedError: The trainer failed and may not be restarted any more.
        UsageError: The checkpoint was saved by another number of processes.
    """
    saved = run.stage(number) / "checkpoints" / f"global_step_{run.steps[number]}"

    def is_finished() -> bool:
        merge_adapter(saved, config.model)
        return holds_policy(saved / EXPORT)

    if is_finished():
        return
    restarts = run.hardware.restarts
    yield from persist(lambda: _attempt(config, run, number, say), restarts, is_finished, say)
    merge_adapter(saved, config.model)
    prune(saved.parent, Layout.of_sft(config))


def _attempt(
    config: DictConfig, run: SFTRun, number: int, say: Callable[[str], object]
) -> Iterator[Logged]:
    """Start verl's SFT trainer once, and follow it to its end."""
    folder, hardware = run.stage(number), run.hardware
    folder.mkdir(parents=True, exist_ok=True)
    metrics, log = next_metrics(folder / "metrics"), folder / "train.log"
    if newest := resume(folder / "checkpoints", Layout.of_sft(config)):
        say(f"resuming after step {newest.step}")
    changes = {
        "data": {"train_files": str(run.examples[number])},
        "model": {"path": run.policy(number)},
        "optim": {"lr": run.stages[number].lr},
        "trainer": {
            "total_training_steps": run.steps[number],
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
        mark_of(run.folder),
    )
    try:
        yield from follow(tree, metrics, log, hardware.patience_seconds)
    finally:
        tree.stop()


def export(source: Path, target: Path) -> int:
    """Copy a fine-tuned policy, weights in bfloat16.

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
    with atomic_folder(target, existing="replace") as partial:
        model.to(torch.bfloat16).save_pretrained(partial)
        AutoTokenizer.from_pretrained(source).save_pretrained(partial)
    return sum(parameter.numel() for parameter in model.parameters())
