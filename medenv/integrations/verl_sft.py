"""The warm start: a new tiny policy, taught by verl's SFT trainer on teachers' episodes.

outputs/<run>/
new_policy/           tokenizer and untrained weights
stage-<k>/            one for each stage of teaching
lessons.parquet     token ids and exact loss masks
checkpoints/        verl's own
metrics.jsonl       one line a step
train.log           all output
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from transformers import AutoModelForCausalLM, AutoTokenizer

from medenv.errors import UsageError
from medenv.integrations.following import Logged, follow
from medenv.integrations.lessons import School, stage_folder
from medenv.integrations.processes import Tree


def teach(config: DictConfig, school: School, number: int) -> Iterator[Logged]:
    """Run verl's SFT trainer on a stage's lessons, unless it has; yields each step as logged.

    Args:
        config: The composed config.
        school: What all stages share.
        number: Number of the stage, from 0; it begins with what the stage before has learned.

    Raises:
        TrainingFailedError: The trainer failed.
    """
    folder, stage = stage_folder(school, number), school.section["lessons"]["stages"][number]
    if (_finished(school, number) / "model.safetensors").exists():
        return
    start = school.folder / "new_policy" if number == 0 else taught_policy(school, number - 1)
    metrics, log = folder / "metrics.jsonl", folder / "train.log"
    changes = {
        "data": {"train_files": str(folder / "lessons.parquet")},
        "model": {"path": str(start)},
        "optim": {"lr": stage["lr"]},
        "trainer": {
            "total_training_steps": stage["steps"],
            "default_local_dir": str(folder / "checkpoints"),
        },
    }
    OmegaConf.save(OmegaConf.merge(config, changes), folder / "config.yaml", resolve=True)
    tree = Tree(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            f"--nproc_per_node={int(config.trainer.n_gpus_per_node)}",
            *("-m", "medenv.integrations.verl_sft_main", str(folder / "config.yaml")),
        ],
        {
            **school.section["hardware"]["environment"],
            "VERL_FILE_LOGGER_PATH": str(metrics.absolute()),
        },
        log,
    )
    try:
        yield from follow(tree, metrics, log, school.section["hardware"]["patience_seconds"])
    finally:
        tree.stop()


def taught_policy(school: School, number: int) -> Path:
    """Return the folder of what a stage has learned.

    Raises:
        UsageError: The stage has not reached its end.
    """
    found = _finished(school, number)
    if not (found / "model.safetensors").exists():
        raise UsageError(f"no finished checkpoint in {found}: let stage {number} finish")
    return found


def _finished(school: School, number: int) -> Path:
    steps = school.section["lessons"]["stages"][number]["steps"]
    return stage_folder(school, number) / "checkpoints" / f"global_step_{steps}" / "huggingface"


def export(source: Path, target: Path) -> int:
    """Copy a taught policy, weights in bfloat16.

    Args:
        source: A Hugging Face folder.
        target: The folder to write; replaced where it exists.

    Returns:
        Number of parameters.
    """
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    partial = target.with_name(f".{target.name}.part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(partial)
    AutoTokenizer.from_pretrained(source).save_pretrained(partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return sum(parameter.numel() for parameter in model.parameters())
