"""Fine-tuning a policy with verl on a set of trajectories, validated by playing held-out questions.

outputs/<run>/
stage-<k>/            one for each stage
lessons.parquet     token ids and exact loss masks
checkpoints/        verl's own
metrics/            one JSONL file for each attempt, one line a step
train.log           all output
validation/<name>/  an evaluation before the first stage, and one after each
policy/             what was learned: a Hugging Face folder
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from medenv.build.prepare import ENVIRONMENT
from medenv.build.settings import HardwareSettings, SftSettings, StageSettings
from medenv.errors import DataError, UsageError
from medenv.evaluation.run import EvaluateSettings
from medenv.integrations.hf.chat_tokens import ChatTokens, open_tokenizer
from medenv.integrations.hydra.config import plain, verl_tree
from medenv.integrations.hydra.identity import FREE_IN_SFT, claim, files_digest, identity
from medenv.integrations.verl.following import Logged, follow
from medenv.integrations.verl.processes import Tree, mark_of
from medenv.integrations.verl.sft import StageRun, checkpoint_of
from medenv.io import read_json, whole_path, write_bytes
from medenv.trajectories.exports import Chat, chats_file, read_chats
from medenv.trajectories.sft import SFTExample

MATERIAL = "trajectories"
"""The material of a stage that is taught from a set."""


class Course(NamedTuple):
    """What all stages share.

    Attributes:
        folder: The run's folder.
        settings: The run's settings.
        start: The policy that is fine-tuned: a folder or hub name.
        lessons: Number of lessons.
        steps: Optimiser steps of each stage.
    """

    folder: Path
    settings: SftSettings
    start: str
    lessons: int
    steps: tuple[int, ...]

    @property
    def hardware(self) -> HardwareSettings:
        """How processes are started."""
        return self.settings.hardware

    def policy(self, number: int) -> str:
        """Return the policy that a stage starts with.

        Args:
            number: Number of the stage, from 0; the number of stages gives what was learned last.
        """
        if number == 0:
            return self.start
        return str(checkpoint_of(self.stage(number - 1), self.steps[number - 1]))

    def stage(self, number: int) -> Path:
        """Return the folder of a stage."""
        return self.folder / f"stage-{number}"

    def run(self, number: int) -> StageRun:
        """Return what verl is to do in a stage.

        Args:
            number: Number of the stage, from 0.
        """
        return StageRun(
            folder=self.stage(number),
            lessons=self.folder / "lessons.parquet",
            start=self.policy(number),
            lr=self.settings.lessons.stages[number].lr,
            steps=self.steps[number],
        )


def is_course(settings: SftSettings) -> bool:
    """Return whether a policy is fine-tuned on trajectories, and nothing else.

    Args:
        settings: The run's settings.

    Raises:
        UsageError: Some stages are of trajectories and some are not.
    """
    materials = {stage.material for stage in settings.lessons.stages}
    if MATERIAL in materials and len(materials) > 1:
        raise UsageError(f"stages of {MATERIAL} stand alone, got {', '.join(sorted(materials))}")
    return materials == {MATERIAL}


def without_other_trainers(config: DictConfig) -> DictConfig:
    """Return a config without the keys that presets set for reinforcement learning alone.

    Presets of policies and hardware serve both trainers. A key that neither knows is left in, for
    `check_config` to refuse.

    Args:
        config: The composed config.
    """
    mine, other = verl_tree("sft_trainer_engine"), verl_tree("ppo_trainer")
    kept = OmegaConf.create(OmegaConf.to_container(config))
    OmegaConf.set_struct(kept, False)
    _prune(kept, mine, other)
    if not isinstance(kept, DictConfig):
        raise UsageError("expected a mapping as config")
    return kept


_ADDED = ("ray_kwargs",)
"""Subtrees of the other trainer in which presets add keys of their own."""


def _prune(node: Any, mine: Any, other: Any) -> None:
    for name in list(node):
        key = str(name)
        if mine is not None and key in mine:
            inner = node._get_node(name)
            if isinstance(inner, DictConfig) and isinstance(mine._get_node(key), DictConfig):
                below = other._get_node(key) if other is not None and key in other else None
                if isinstance(below, DictConfig):
                    _prune(inner, mine._get_node(key), below)
        elif key in _ADDED or (other is not None and key in other):
            del node[name]


def open_course(config: DictConfig, settings: SftSettings, say: Callable[[str], object]) -> Course:
    """Write the lessons, unless they are there, and count the steps.

    Args:
        config: The composed config, without other trainers' keys.
        settings: What of it is ours.
        say: Receives a description of each step.

    Raises:
        OtherSettingsError: The folder holds a run with other settings.
        UsageError: No policy or no set is named, or a batch is larger than the set.
        DataError: The set holds no episode that fits.
    """
    folder = Path(settings.root) / settings.run
    source, start = settings.lessons.trajectories, settings.policy.path
    if not source:
        raise UsageError("name the set that is learned from: lessons.trajectories=...")
    if not start or Path(start) == folder / "policy":
        raise UsageError("name the policy that is fine-tuned: policy=tiny, or policy=FOLDER")
    about = {
        **identity(config, (*FREE_IN_SFT, *FREE_IN_COURSE)),
        "policy.path (its files)": files_digest(start),
        "lessons.trajectories (its files)": files_digest(str(chats_file(Path(source)))),
    }
    logged = any(file.stat().st_size for file in folder.glob("stage-*/metrics/*.jsonl"))
    begun = logged or any(folder.glob("stage-*/checkpoints/global_step_*"))
    known, path = claim(folder, about, begun), folder / "lessons.parquet"
    if not known or not path.exists():
        say("writing the lessons")
        options = plain(config.data.apply_chat_template_kwargs)
        chat = ChatTokens(open_tokenizer(start), options)
        kept, long = write_lessons(path, read_chats(Path(source)), chat, config.data.max_length)
        say(f"{kept:,} lessons; {long:,} left out, longer than {config.data.max_length:,} tokens")
    rows = int(pq.read_metadata(path).num_rows)
    batch = int(config.data.train_batch_size)
    if batch > rows:
        raise UsageError(
            f"data.train_batch_size={batch} is more than the {rows} lessons, so that there is no "
            f"step: set it to {rows} at most, or learn from a larger set"
        )
    steps = tuple(_steps(stage, rows, batch) for stage in settings.lessons.stages)
    return Course(folder, settings, start, rows, steps)


FREE_IN_COURSE = ("graph", "corpus", "retriever", "questions", "env", "tiny", "n")
"""Groups that fine-tuning on trajectories does not use: the set has its own environment."""


def _steps(stage: StageSettings, rows: int, batch: int) -> int:
    """Return the steps of a stage: as it says, or as many as its epochs take."""
    if not stage.epochs:
        return stage.steps
    return max(1, int(stage.epochs * (rows // batch or 1) + 0.5))


def write_lessons(
    path: Path, chats: Sequence[Chat], chat: ChatTokens, longest: int
) -> tuple[int, int]:
    """Write episodes as token ids with loss masks, in the columns of `verl_sft_data.SFTDataset`.

    Args:
        path: The parquet file; its folder is made where it is missing.
        chats: The episodes.
        chat: The policy's tokenizer with its chat template.
        longest: Most tokens of a lesson.

    Returns:
        How many were written, and how many were too long.

    Raises:
        DataError: None fits.
    """
    made = [(one, chat.stream(one.messages, one.learn)) for one in chats]
    kept = [
        msgspec.structs.replace(lesson, teacher=one.part)
        for one, lesson in made
        if len(lesson.input_ids) <= longest and any(lesson.loss_mask)
    ]
    if not kept:
        raise DataError(path, f"none of {len(chats):,} episodes fits into {longest:,} tokens")
    columns = {name: [getattr(one, name) for one in kept] for name in SFTExample.__struct_fields__}
    with whole_path(path) as partial:
        pq.write_table(pa.table(columns), partial)
    return len(kept), len(chats) - len(kept)


def validation(course: Course, number: int) -> EvaluateSettings:
    """Return how the policy is validated before a stage, by playing test questions.

    Args:
        course: What all stages share.
        number: Number of the stage; the number of stages is the validation at the end.
    """
    settings = course.settings
    wanted, folder = settings.evaluation, course.folder / "validation"
    environment = settings.environment or f"{settings.lessons.trajectories}/{ENVIRONMENT}"
    return EvaluateSettings(
        root=str(folder),
        run=f"{number}",
        environment=environment,
        policy=msgspec.structs.replace(settings.policy, path=course.policy(number)),
        n=wanted.questions,
        samples=wanted.samples,
        greedy=wanted.greedy,
        seed=settings.seed,
        against=str(folder / "0") if number else "",
    )


def validate(course: Course, number: int) -> Iterator[Logged]:
    """Play held-out questions in a process of its own, unless that is done; yields how far it is.

    With more questions or samples than before, what is missing is played.

    Args:
        course: What all stages share.
        number: Number of the stage that comes next; the number of stages at the end.

    Raises:
        TrainingFailedError: The process failed; its log says why.
    """
    settings = validation(course, number)
    folder, hardware = settings.folder, course.hardware
    wanted, asked = msgspec.json.encode(settings), folder / "settings.json"
    if (folder / "summary.json").exists() and asked.exists() and asked.read_bytes() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(asked, wanted)
    progress, log = folder / "progress.jsonl", folder / "log"
    progress.unlink(missing_ok=True)
    tree = Tree(
        [sys.executable, "-m", "medenv.evaluation.__main__", str(folder)],
        hardware.environment,
        log,
        mark_of(course.folder),
    )
    try:
        yield from follow(tree, progress, log, hardware.patience_seconds)
    finally:
        tree.stop()


def described(course: Course, number: int) -> str:
    """Return what a validation came to, in words.

    Args:
        course: What all stages share.
        number: Number of the stage that comes after it.
    """
    path = course.folder / "validation" / str(number) / "summary.json"
    figures = read_json(path, dict[str, Any], "the figures of a validation")
    parts = [
        f"{name} {found['measures']['accuracy']['mean']:.1%} of {found['questions']:,} questions"
        for name, found in figures.items()
        if found is not None
    ]
    return "held-out accuracy: " + ", ".join(parts)
