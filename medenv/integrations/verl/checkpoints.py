"""Find the checkpoints of a run that are whole, and remove those that are not to be kept.

verl writes a checkpoint piece by piece: model, optimizer and further state of each process, the
same for the critic, the position in the data, and last the file that names the newest step. A kill
in between leaves a folder that cannot be loaded, or names a step that is gone. So the folders
themselves are examined before each start, and verl is pointed at the newest one that is whole.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from medenv.errors import UsageError

EXPORT = "huggingface"
"""Folder in a model's checkpoint that holds it for `from_pretrained`."""

LATEST = "latest_checkpointed_iteration.txt"
"""verl's file that names the step to go on from."""

KINDS = {"model": "model", "optimizer": "optim", "extra": "extra_state"}
"""What `save_contents` lists, and how the files of it begin."""

_STEP = re.compile(r"global_step_(\d+)")


class Layout(NamedTuple):
    """How a trainer lays out its checkpoints.

    Attributes:
        models: Folder of each model within a checkpoint, and its `save_contents`.
        others: Files of the whole checkpoint, written last, given the number of processes.
        processes: Number of training processes, each of which has files of its own.
        keep: How many checkpoints are kept; None for all.
        is_fsdp: Whether it is the layout of verl's FSDP engines; others are left to verl.
    """

    models: dict[str, tuple[str, ...]]
    others: Callable[[int], tuple[str, ...]]
    processes: int
    keep: int | None
    is_fsdp: bool

    @classmethod
    def of(cls, config: DictConfig) -> Layout:
        """Return the layout of a reinforcement-learning run.

        Args:
            config: The composed config.
        """
        actor, critic, trainer = config.actor_rollout_ref.actor, config.critic, config.trainer
        models = {"actor": tuple(actor.checkpoint.save_contents)}
        gae = config.algorithm.adv_estimator == "gae"  # verl trains a critic then, unless told
        if gae if critic.enable is None else critic.enable:
            models["critic"] = tuple(critic.checkpoint.save_contents)
        queue = () if trainer.v1.trainer_mode == "sync" else ("transfer_queue/metadata.json",)
        kept = [trainer.max_actor_ckpt_to_keep, trainer.max_critic_ckpt_to_keep][: len(models)]
        return cls(
            models=models,
            others=lambda _: ("data.pt", *queue),
            processes=int(trainer.nnodes) * int(trainer.n_gpus_per_node),
            keep=None if None in kept else max(kept),
            is_fsdp=actor.strategy in ("fsdp", "fsdp2"),
        )

    @classmethod
    def of_sft(cls, config: DictConfig) -> Layout:
        """Return the layout of a supervised run.

        Args:
            config: The composed config.
        """
        trainer, split = config.trainer, int(config.engine.ulysses_sequence_parallel_size)
        return cls(
            models={".": tuple(config.checkpoint.save_contents)},
            others=lambda size: tuple(f"data_{rank}.pt" for rank in range(size // split)),
            processes=int(trainer.n_gpus_per_node),
            keep=trainer.max_ckpt_to_keep,
            is_fsdp=config.engine.strategy in ("fsdp", "fsdp2"),
        )


class Checkpoint(NamedTuple):
    """A whole checkpoint.

    Attributes:
        step: The training step that it was saved after.
        folder: Its folder.
        processes: How many processes saved it, and have to load it.
    """

    step: int
    folder: Path
    processes: int


def whole(folder: Path, layout: Layout) -> list[Checkpoint]:
    """Return the checkpoints that can be loaded, the oldest first.

    Args:
        folder: The folder of all checkpoints.
        layout: How they are laid out.
    """
    found = [
        Checkpoint(step, path, processes)
        for step, path in _steps(folder)
        if (processes := _processes(path, layout))
    ]
    return sorted(found)


def prune(folder: Path, layout: Layout) -> None:
    """Remove checkpoints that are not whole, and the oldest beyond the number to keep.

    One that was thinned by hand to its exported policy is left alone.

    Args:
        folder: The folder of all checkpoints.
        layout: How they are laid out.
    """
    if not layout.is_fsdp:
        return
    kept = {one.folder for one in whole(folder, layout)[-layout.keep if layout.keep else 0 :]}
    for _, path in list(_steps(folder)):
        if path not in kept and not _is_policy_alone(path, layout):
            shutil.rmtree(path, ignore_errors=True)


def resume(folder: Path, layout: Layout) -> Checkpoint | None:
    """Point verl at the newest whole checkpoint, and remove what is not to be kept.

    Args:
        folder: The folder of all checkpoints.
        layout: How they are laid out.

    Returns:
        The checkpoint that training resumes from, or None to start from scratch.

    Raises:
        UsageError: It was saved by another number of processes than will load it, or only the
            exported policy of a newer one is left.
    """
    if not layout.is_fsdp or not folder.exists():
        return None
    newest = max(whole(folder, layout), default=None)
    alone = max((one for one in _steps(folder) if _is_policy_alone(one[1], layout)), default=None)
    if alone is not None and (newest is None or newest.step < alone[0]):
        raise UsageError(
            f"{alone[1]} holds the exported policy alone, without the state that resuming needs: "
            f"{_from_weights(alone[1], layout)}"
        )
    if newest is not None and newest.processes != layout.processes:
        raise UsageError(
            f"{newest.folder} was saved by {newest.processes} processes, with files for each, and "
            f"{layout.processes} would load it: set trainer.nnodes and "
            f"trainer.n_gpus_per_node to {newest.processes} in all, or "
            f"{_from_weights(newest.folder, layout)}"
        )
    prune(folder, layout)
    latest = folder / LATEST
    if newest is None:
        latest.unlink(missing_ok=True)
        return None
    partial = latest.with_name(f"{LATEST}.part")
    partial.write_text(str(newest.step))
    partial.replace(latest)
    return newest


def holds_policy(folder: Path) -> bool:
    """Return whether a folder holds all weights of a policy, none of them cut short.

    Args:
        folder: A Hugging Face folder.
    """
    try:
        index = folder / "model.safetensors.index.json"
        if index.exists():
            names = set(json.loads(index.read_bytes())["weight_map"].values())
        else:
            names = {"model.safetensors"}
        return bool(names) and all(tensor_names(folder / name) for name in names)
    except (OSError, ValueError, KeyError):
        return False


def tensor_names(path: Path) -> list[str]:
    """Return the names of the tensors in a safetensors file.

    Args:
        path: The file.

    Raises:
        ValueError: The file is no such file, or not as long as its own header says.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(size, path.stat().st_size)))
    ends = {name: one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"}
    if path.stat().st_size != 8 + size + max(ends.values(), default=0):
        raise ValueError(f"{path} is cut short")
    return list(ends)


def _steps(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in sorted(folder.glob("global_step_*")):
        if match := _STEP.fullmatch(path.name):
            yield int(match[1]), path


def _processes(checkpoint: Path, layout: Layout) -> int:
    """Return how many processes saved a checkpoint; 0 where it is not whole."""
    sizes = set()
    for name, contents in layout.models.items():
        try:
            saved = json.loads((checkpoint / name / "fsdp_config.json").read_bytes())
            size = int(saved["world_size"])
        except (OSError, ValueError, KeyError):
            return 0
        for kind in (KINDS[one] for one in contents if one in KINDS):
            files = (f"{kind}_world_size_{size}_rank_{rank}.pt" for rank in range(size))
            if not all(_is_whole(checkpoint / name / file) for file in files):
                return 0
        sizes.add(size)
    if len(sizes) != 1:
        return 0
    size = sizes.pop()
    return size if all(_is_whole(checkpoint / name) for name in layout.others(size)) else 0


def _is_whole(path: Path) -> bool:
    """Whether a file is there; what `torch.save` writes is a zip archive, its table at the end."""
    return zipfile.is_zipfile(path) if path.suffix == ".pt" else path.exists()


def _export(checkpoint: Path, layout: Layout) -> Path:
    """The folder of the policy, which is the first of the models."""
    return checkpoint / next(iter(layout.models)) / EXPORT


def _is_policy_alone(checkpoint: Path, layout: Layout) -> bool:
    """Whether all but the policy was removed; verl writes the policy after the model's shards."""
    export = _export(checkpoint, layout)
    return holds_policy(export) and not any(export.parent.glob("model_world_size_*"))


def _from_weights(checkpoint: Path, layout: Layout) -> str:
    return (
        "start another run from its weights (with a new optimizer and order of the data): run=NAME "
        f"policy={_export(checkpoint, layout)}"
    )
