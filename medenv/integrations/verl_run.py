"""One training run: its folder, its data, its processes, its progress.

outputs/<run>/
config.yaml       the composed config that the trainer was started with
settings.json     what the run is about; another run must not continue in its folder
data/             the rows that verl reads
metrics/          one JSONL file for each attempt, one line a step
rollouts/         every episode: train/, val-sampled/, val-greedy/, a file a step
checkpoints/      verl's own
train.log         all output of all processes
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf

from medenv.errors import UsageError
from medenv.integrations.config import plain
from medenv.integrations.following import Logged, follow
from medenv.integrations.preflight import check_policy
from medenv.integrations.processes import Tree
from medenv.integrations.verl_algorithm import check_algorithm
from medenv.integrations.verl_rows import count_rows, rows, write_rows
from medenv.integrations.world import make_world_parts, schedule_of
from medenv.kg import read_questions
from medenv.workspace import Step, Workspace, WorkspaceSettings, open_workspace


@dataclass(frozen=True)
class Run:
    """A run's folder and what it was prepared with.

    Args:
        folder: Where everything of it lies.
        config: The composed config, complete.
        workspace: Graph, corpus and questions.
    """

    folder: Path
    config: DictConfig
    workspace: Workspace

    @property
    def steps(self) -> int:
        """Number of training steps, as the config asks or as the data gives."""
        trainer, batch = self.config.trainer, int(self.config.data.train_batch_size)
        if trainer.total_training_steps is not None:
            return int(trainer.total_training_steps)
        return int(trainer.total_epochs) * (count_rows(Path(self.config.data.train_files)) // batch)

    @property
    def log(self) -> Path:
        """All output of all processes."""
        return self.folder / "train.log"

    def metrics(self) -> dict[int, dict[str, float]]:
        """Return what verl logged, by step; a step logged twice counts as logged last."""
        merged: dict[int, dict[str, float]] = {}
        for path in sorted((self.folder / "metrics").glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # cut by a stop in the middle of a line; the step is logged again
                merged.setdefault(int(entry["step"]), {}).update(entry["data"])
        return dict(sorted(merged.items()))

    def is_finished(self) -> bool:
        """Whether the last step is trained and, where asked for, validated."""
        final = self.metrics().get(self.steps, {})
        validated = int(self.config.trainer.test_freq) <= 0 or any(
            name.startswith("val-") for name in final
        )
        return bool(final) and validated


def prepare(config: DictConfig, step: Step) -> Run:
    """Build what the run needs, or find it built.

    Args:
        config: The composed config; `medenv.workspace` is set here.
        step: Is told of each step.

    Raises:
        UsageError: The folder holds a run with other settings, settings contradict each other, or a
            prompt is too long.
    """
    section = plain(config.medenv)
    check_algorithm(config)
    check_policy(section["policy"])
    schedule_of(section["scoring"])
    root = Path(section["root"])
    settings = msgspec.convert(section["world"], WorkspaceSettings)
    workspace = open_workspace(settings, root / "workspaces", step)
    folder = root / section["run"]
    config.medenv.workspace = str(workspace.folder)
    run = Run(folder, config, workspace)
    _write_rows(run, step)  # may refuse the prompts, and then the folder is not taken
    _claim(folder, config)
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    return run


def train(run: Run) -> Iterator[Logged]:
    """Train, or go on where the last attempt stopped; yields each step as it is logged.

    Whatever ends the iteration, no process of the run is left behind.

    Args:
        run: A prepared run.

    Yields:
        Step (0 is the validation before training) and what verl logged for it.

    Raises:
        TrainingFailedError: The trainer failed, or did nothing for as long as the preset's
            patience.
    """
    metrics = _attempt(run.folder / "metrics")
    hardware = run.config.medenv.hardware
    trainer = [sys.executable, "-m", "medenv.integrations.verl_main"]
    tree = Tree(
        [*hardware.launch, *trainer, str(run.folder / "config.yaml")],
        {
            **hardware.environment,
            "VERL_FILE_LOGGER_PATH": str(metrics.absolute()),
            "WANDB_DIR": str(run.folder.absolute()),
        },
        run.log,
    )
    try:
        yield from follow(tree, metrics, run.log, float(hardware.patience_seconds))
    finally:
        tree.stop()


def _attempt(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{len(list(folder.glob('*.jsonl'))):04d}.jsonl"


def _claim(folder: Path, config: DictConfig) -> None:
    """Take the folder for this run, unless a run about something else is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    about = plain(config)
    section = about["medenv"]
    identity = {
        "medenv": {name: section[name] for name in ("world", "env", "scoring", "policy", "seed")},
        "algorithm": about["algorithm"],
        "actor": about["actor_rollout_ref"]["actor"]["optim"],
        "data": about["data"]["train_batch_size"],
        "n": about["actor_rollout_ref"]["rollout"]["n"],
    }
    text = json.dumps(identity, indent=1, sort_keys=True, default=str)
    path = folder / "settings.json"
    if path.exists() and path.read_text() != text:
        raise UsageError(
            f"{folder} holds a run with other settings (compare {path}): give this one another "
            f"name with run=..., or remove the folder; new settings are "
            f"{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        )
    path.write_text(text)


def _write_rows(run: Run, step: Step) -> None:
    data = run.config.data
    train_file, val_file = Path(data.train_files), Path(data.val_files)
    if train_file.exists() and val_file.exists():
        return
    step("writing the trainer's rows")
    train = read_questions(run.workspace.questions("train"))
    test = read_questions(run.workspace.questions("test"))
    section: dict[str, Any] = plain(run.config.medenv)
    rules = make_world_parts(section, test, None, None).rules
    evaluation = section["evaluation"]
    test = test[: evaluation["questions"]]
    held_out = rows(test, rules, "sampled", evaluation["samples"])
    if evaluation["greedy"]:
        held_out += rows(test, rules, "greedy", 1)
    tables = {train_file: rows(train, rules, "sampled"), val_file: held_out}
    write_rows(run.config, tables, step)
