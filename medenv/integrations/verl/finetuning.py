"""Fine-tuning a policy with verl on a set of trajectories, validated by playing held-out questions.

outputs/<run>/
lessons.parquet       token ids and exact loss masks
stage-<k>/            one for each stage, see `medenv.integrations.verl.sft`
validation/<k>/       an evaluation before the first stage, and one after each
policy/               what was learned: a Hugging Face folder
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from medenv.build.prepare import ENVIRONMENT
from medenv.build.settings import SftSettings, StageSettings
from medenv.errors import DataError, UsageError
from medenv.evaluation.run import EvaluateSettings
from medenv.integrations.hf.chat_tokens import ChatTokens, open_tokenizer
from medenv.integrations.hydra.config import plain, verl_tree
from medenv.integrations.hydra.identity import FREE_IN_SFT, claim, files_digest, identity
from medenv.integrations.verl.following import Logged, follow
from medenv.integrations.verl.processes import Tree, mark_of
from medenv.integrations.verl.sft import SFTRun, write_examples
from medenv.io import read_json, write_bytes
from medenv.trajectories.exports import Chat, chats_file, read_chats

MATERIAL = "trajectories"
"""The material of a stage that learns from a set."""


def learns_from_trajectories(settings: SftSettings) -> bool:
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


def open_finetuning(
    config: DictConfig, settings: SftSettings, say: Callable[[str], object]
) -> SFTRun:
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
        say("writing the examples")
        options = plain(config.data.apply_chat_template_kwargs)
        chat = ChatTokens(open_tokenizer(start), options)
        kept, long = write_chats_as_examples(
            path, read_chats(Path(source)), chat, config.data.max_length
        )
        say(f"{kept:,} examples; {long:,} left out, longer than {config.data.max_length:,} tokens")
    rows = int(pq.read_metadata(path).num_rows)
    batch = int(config.data.train_batch_size)
    if batch > rows:
        raise UsageError(
            f"data.train_batch_size={batch} is more than the {rows} examples, so that there is no "
            f"step: set it to {rows} at most, or learn from a larger set"
        )
    steps = tuple(_steps(stage, rows, batch) for stage in settings.lessons.stages)
    return SFTRun(folder, settings, start, (path,) * len(steps), steps)


FREE_IN_COURSE = ("graph", "corpus", "retriever", "questions", "env", "tiny", "n")
"""Groups that fine-tuning on trajectories does not use: the set has its own environment."""


def _steps(stage: StageSettings, rows: int, batch: int) -> int:
    """Return the steps of a stage: as it says, or as many as its epochs take."""
    if not stage.epochs:
        return stage.steps
    return max(1, int(stage.epochs * (rows // batch or 1) + 0.5))


def write_chats_as_examples(
    path: Path, chats: Sequence[Chat], chat: ChatTokens, longest: int
) -> tuple[int, int]:
    """Write episodes as token ids with loss masks.

    Args:
        path: The parquet file; its folder is made where it is missing.
        chats: The episodes.
        chat: The policy's tokenizer with its chat template.
        longest: Most tokens of an example.

    Returns:
        How many were written, and how many were too long.

    Raises:
        DataError: None fits.
    """
    made = [chat.stream(one.messages, one.learn, one.part) for one in chats]
    kept = [one for one in made if len(one.input_ids) <= longest and any(one.loss_mask)]
    if not kept:
        raise DataError(path, f"none of {len(chats):,} episodes fits into {longest:,} tokens")
    write_examples(path, kept)
    return len(kept), len(chats) - len(kept)


def validation(run: SFTRun, number: int) -> EvaluateSettings:
    """Return how the policy is validated before a stage, by playing test questions.

    Args:
        run: The run.
        number: Number of the stage; the number of stages is the validation at the end.
    """
    settings = run.settings
    wanted, folder = settings.evaluation, run.folder / "validation"
    environment = settings.environment or f"{settings.lessons.trajectories}/{ENVIRONMENT}"
    return EvaluateSettings(
        root=str(folder),
        run=f"{number}",
        environment=environment,
        policy=msgspec.structs.replace(settings.policy, path=run.policy(number)),
        n=wanted.questions,
        samples=wanted.samples,
        greedy=wanted.greedy,
        seed=settings.seed,
        against=str(folder / "0") if number else "",
    )


def validate(run: SFTRun, number: int) -> Iterator[Logged]:
    """Play held-out questions in a process of its own, unless that is done; yields how far it is.

    With more questions or samples than before, what is missing is played.

    Args:
        run: The run.
        number: Number of the stage that comes next; the number of stages at the end.

    Raises:
        TrainingFailedError: The process failed; its log says why.
    """
    settings = validation(run, number)
    folder, hardware = settings.folder, run.hardware
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
        mark_of(run.folder),
    )
    try:
        yield from follow(tree, progress, log, hardware.patience_seconds)
    finally:
        tree.stop()


def described(run: SFTRun, number: int) -> str:
    """Return what a validation came to, in words.

    Args:
        run: The run.
        number: Number of the stage that comes after it.
    """
    path = run.folder / "validation" / str(number) / "summary.json"
    figures = read_json(path, dict[str, Any], "the figures of a validation")
    parts = [
        f"{name} {found['measures']['accuracy']['mean']:.1%} of {found['questions']:,} questions"
        for name, found in figures.items()
        if found is not None
    ]
    return "held-out accuracy: " + ", ".join(parts)
