"""What can be known to fail before anything is started, told in one line each."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import psutil
from omegaconf import DictConfig, OmegaConf

from medenv.errors import UsageError

GB = 1_000_000_000


def check(config: DictConfig) -> None:
    """Refuse a run that cannot succeed on this machine.

    Args:
        config: The composed config.

    Raises:
        UsageError: Too little memory or disk, a port that is taken, a policy without tokenizer.
    """
    hardware = config.medenv.hardware
    _memory(float(hardware.memory_gb))
    _disk(Path(config.medenv.root), float(hardware.disk_gb))
    for name, port in _ports(config).items():
        _free(name, port)
    check_policy(str(config.medenv.policy))


def _memory(wanted: float) -> None:
    free = psutil.virtual_memory().available / GB
    if free < wanted:
        raise UsageError(
            f"the hardware preset needs {wanted:g} GB of memory, {free:.1f} GB are free: close "
            "other programs, or set medenv.hardware.memory_gb lower at your own risk"
        )


def _disk(root: Path, wanted: float) -> None:
    existing = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / GB
    if free < wanted:
        raise UsageError(
            f"the hardware preset needs {wanted:g} GB on the disk of {root}, {free:.1f} GB are "
            "free: make room, or put the runs elsewhere with medenv.root=/a/folder"
        )


def _ports(config: DictConfig) -> dict[str, int]:
    """Ports that the config asks for by number; all others are chosen free at run time."""
    asked = {
        f"ray_kwargs.ray_init.{name}": value
        for name, value in config.ray_kwargs.ray_init.items()
        if str(name).endswith("port") and isinstance(value, int) and value > 0
    }
    prometheus = OmegaConf.select(config, "actor_rollout_ref.rollout.prometheus")
    if prometheus is not None and prometheus.enable:
        asked["actor_rollout_ref.rollout.prometheus.port"] = int(prometheus.port)
    return asked


def _free(name: str, port: int) -> None:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"port {port} ({name}) is in use: choose another one, or end what listens there"
            ) from error


def check_policy(policy: str) -> None:
    """Refuse a local folder that does not hold a model; a hub's name is left to the hub.

    Args:
        policy: A folder or a hub's owner/name.

    Raises:
        UsageError: No such folder, or it lacks the model's shape or tokenizer.
    """
    folder = Path(policy)
    if not folder.exists():
        if policy.startswith((".", "/", "~", "models/", "outputs/")) or policy.count("/") != 1:
            raise UsageError(
                f"medenv.policy names no folder: {policy!r}; expected a model folder or a hub's "
                "owner/name"
            )
        return
    try:
        json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"expected a model with config.json in {policy}: {error}") from error
    if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model")):
        raise UsageError(
            f"the model in {policy} has no tokenizer (tokenizer.json or tokenizer.model): save it "
            "beside the weights"
        )
