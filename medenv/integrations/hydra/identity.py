"""Record the settings that a run's result depends on, and refuse others in its folder.

Every setting counts except those that are known not to matter: paths, durations and frequencies,
and settings of the machine. A run that ran out of memory resumes with smaller micro-batches; it
does not resume with another reward.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig

from medenv.errors import UsageError
from medenv.integrations.hydra.config import plain
from medenv.io import write_json
from medenv.records import Record

FILE = "identity.json"

FREE = (
    # Paths, names and prices.
    *("run", "root", "environment", "data.train_files", "data.val_files"),
    *("trainer.default_local_dir", "trainer.default_hdfs_dir", "trainer.project_name"),
    *("trainer.experiment_name", "trainer.logger", "trainer.rollout_data_dir"),
    *("trainer.validation_data_dir", "trainer.v1.sampler.sampler_kwargs.rollout_dir"),
    "actor_rollout_ref.rollout.agent.agent_loop_config_path",
    *("scoring.judge.url", "scoring.judge.cache"),
    *("scoring.judge.key_variable", "scoring.judge.concurrency"),
    *("scoring.judge.attempts", "scoring.judge.timeout"),
    *("policy.key_variable", "policy.attempts", "policy.timeout"),
    *("policy.input_price", "policy.output_price", "policy.currency"),
    # Durations, frequencies, and how many checkpoints are kept.
    *("trainer.total_training_steps", "trainer.total_epochs", "trainer.save_freq"),
    *("trainer.test_freq", "trainer.val_before_train", "trainer.log_val_generations"),
    *("trainer.resume_mode", "trainer.resume_from_path", "trainer.del_local_ckpt_after_load"),
    *("trainer.esi_redundant_time", "trainer.max_actor_ckpt_to_keep"),
    *("trainer.max_critic_ckpt_to_keep", "trainer.max_ckpt_to_keep"),
    *("trainer.checkpoint_callback_class", "trainer.remove_previous_ckpt_in_save"),
    "alarms",
    # The machine.
    *("hardware", "ray_kwargs", "transfer_queue", "global_profiler", "profiler"),
    *("trainer.device", "trainer.nnodes", "trainer.n_gpus_per_node", "trainer.balance_batch"),
    *("trainer.profile_interval", "trainer.ray_wait_register_center_timeout"),
    "actor_rollout_ref.nccl_timeout",
)
"""Keys and subtrees that do not change a result."""

FREE_IN_SFT = ("evaluation", "scoring")
"""Subtrees that do not change a supervised run; each validation has an identity of its own."""

_EMPTY_IS_ABSENT = ("env.only", "questions.sets")
"""Keys of which an empty list says what runs begun before there were any say by their absence."""

_MACHINE = re.compile(
    r"""(.*\.)? (?:
    (?: checkpoint | checkpoint_engine | profiler | trace | prometheus | wrap_policy ) (?: \..* )?
    | \w*micro_batch_size\w* | \w*max_token_len_per_gpu | \w*use_dynamic_bsz | \w*_offload
    | offload_policy | \w*parallel_size | \w*num_workers | nnodes | n_gpus_per_node | device | batch
    | use_torch_compile | enable_gradient_checkpointing | entropy_checkpointing
    | reshard_after_forward | forward_prefetch | fsdp_size | use_shm | enforce_eager
    | gpu_memory_utilization | max_num_seqs | max_num_batched_tokens | cudagraph_capture_sizes
    | free_cache_engine | enable_sleep_mode | multi_stage_wake_up | layered_summon
    | enable_chunked_prefill | enable_prefix_caching | disable_log_stats
    | distributed_executor_backend | swap_space | cpu_offload_gb )""",
    re.VERBOSE,
)
"""Keys at any depth that distribute a computation over memory, devices and time."""


class Identity(Record, frozen=True, kw_only=True):
    """The settings of a run that change its result.

    Args:
        settings: Dotted key to value.
    """

    settings: dict[str, Any]


class OtherSettingsError(UsageError):
    """A folder holds something that was made with other settings.

    Args:
        folder: The folder.
        changed: Dotted key to the value there and the value asked for, `ABSENT` for none.
    """

    def __init__(self, folder: Path, changed: Mapping[str, tuple[Any, Any]]) -> None:
        self.folder, self.changed = folder, dict(changed)
        shown = [
            f"{key} is {_shown(there)} there and {_shown(here)} here"
            for key, (there, here) in list(self.changed.items())[:_MOST_SHOWN]
        ]
        left = len(self.changed) - len(shown)
        super().__init__(
            f"{folder} holds a run with other settings: {'; '.join(shown)}"
            + (f"; and {left} more" if left else "")
            + ": give this one another name with run=..., or set them back"
        )

    def __reduce__(self) -> tuple[type[OtherSettingsError], tuple[Path, dict[str, Any]]]:
        """Pickle by the constructor's own arguments, so the error crosses process borders."""
        return type(self), (self.folder, self.changed)


ABSENT = "(not set)"
_MOST_SHOWN = 5


def identity(config: DictConfig, free: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings of a composed config that change a result.

    Args:
        config: The composed config.
        free: Further keys and subtrees to leave out.

    Returns:
        Dotted key to value.
    """
    return significant(plain(config), free)


def significant(settings: Mapping[str, Any], free: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings that change a result.

    Args:
        settings: Nested settings as plain data.
        free: Further keys and subtrees to leave out.

    Returns:
        Dotted key to value.
    """
    unimportant = (*FREE, *free)
    return {
        key: value
        for key, value in _leaves(settings)
        if not _MACHINE.fullmatch(key)
        and (value or key not in _EMPTY_IS_ABSENT)
        and not any(key == one or key.startswith(f"{one}.") for one in unimportant)
    }


def claim(folder: Path, settings: Mapping[str, Any], begun: bool) -> bool:
    """Claim a folder for a run with these settings.

    Settings may change until the folder holds results.

    Args:
        folder: The folder; made where it is missing.
        settings: The run's identity: dotted key to value.
        begun: Whether the folder holds results already.

    Returns:
        Whether it was claimed with the same settings before; prepared data can be reused then.

    Raises:
        OtherSettingsError: The folder holds results of other settings.
        UsageError: An earlier version of medenv began the run and recorded fewer settings.
    """
    mine: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(settings)))
    try:
        theirs = msgspec.json.decode((folder / FILE).read_bytes(), type=Identity).settings
    except (OSError, msgspec.MsgspecError):
        theirs = {}
    if begun and not theirs:
        raise UsageError(
            f"{folder} holds a run of an earlier version of medenv, which recorded too few of its "
            "settings to resume it: give this one another name with run=..."
        )
    changed = {
        key: (theirs.get(key, ABSENT), mine.get(key, ABSENT))
        for key in sorted(theirs.keys() | mine.keys())
        if theirs.get(key, ABSENT) != mine.get(key, ABSENT)
    }
    if changed and begun:
        raise OtherSettingsError(folder, changed)
    if changed:
        write_json(folder / FILE, Identity(settings=mine))
    return not changed


def files_digest(path: str) -> str:
    """Return a hash of a file, or of the files in a folder, by names, sizes, beginnings and ends.

    Trained weights differ everywhere, so that it is enough to read a sample of large files.

    Args:
        path: The file or folder.

    Returns:
        Hexadecimal digits; empty where there is no such path, as for a hub's name.
    """
    place = Path(path)
    if not path or not place.exists():
        return ""
    found = hashlib.sha256()
    for file in sorted(place.iterdir()) if place.is_dir() else [place]:
        if file.is_file():
            size = file.stat().st_size
            with file.open("rb") as opened:
                first = opened.read(_SAMPLE)
                opened.seek(max(size - _SAMPLE, 0))
                found.update(f"{file.name} {size} ".encode() + first + opened.read(_SAMPLE))
    return found.hexdigest()[:16]


_SAMPLE = 1 << 20


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping) or not node:
        yield prefix, node
        return
    for name, value in node.items():
        yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
