"""What can be known to fail before anything is started, told in one line each."""

from __future__ import annotations

import importlib.util
import json
import math
import netrc
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from omegaconf import DictConfig, OmegaConf

from medenv.errors import UnknownNameError, UsageError
from medenv.integrations.hf.shapes import is_known
from medenv.integrations.verl.plan import GIB, plan_of

GB = 1_000_000_000

LOGGERS = {
    "console": "",
    "file": "",
    "wandb": "wandb",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "swanlab": "swanlab",
    "trackio": "trackio",
    "clearml": "clearml",
    "vemlp_wandb": "volcengine_ml_platform",
    "rl_insight": "rl_insight",
}
"""What `trainer.logger` may name, and the package that each needs."""


def check(config: DictConfig, questions: int) -> None:
    """Refuse a run that cannot succeed on this machine.

    Args:
        config: The composed config.
        questions: Number of training questions.

    Raises:
        UsageError: A batch larger than the questions, a logger without login, checkpoints of which
            none would be whole while one is written, too little memory or disk, a port that is
            taken, an address at which no cluster runs, a policy without tokenizer.
    """
    _batch(config, questions)
    check_loggers(config)
    _kept(config)
    memory, disk = _needs(config)
    _memory(memory)
    saved = Path(config.trainer.default_local_dir)
    taken = sum(path.stat().st_size for path in saved.rglob("*") if path.is_file()) / GB
    _disk(Path(config.root), disk - taken)
    for name, port in _ports(config).items():
        _free(name, port)
    _cluster(OmegaConf.select(config, "ray_kwargs.ray_init.address"))
    check_policy(str(config.policy.path))


def check_plan(config: DictConfig) -> None:
    """Refuse a policy that the accelerators cannot hold, as far as its shape is known here.

    Args:
        config: The composed config.

    Raises:
        UsageError: It does not fit, with what could be changed.
    """
    policy = str(config.policy.path)
    if float(config.hardware.accelerator_gb) and is_known(policy):
        problems = plan_of(config).problems
        if problems:
            raise UsageError(f"{policy} does not fit (`medenv plan` says more): {problems[0]}")


def _needs(config: DictConfig) -> tuple[float, float]:
    """Return the memory and disk that a run needs, GB, of which the preset says the least."""
    hardware = config.hardware
    least = float(hardware.memory_gb), float(hardware.disk_gb)
    if not float(hardware.accelerator_gb) or not is_known(str(config.policy.path)):
        return least
    plan = plan_of(config)
    memory = math.fsum(plan.memory.values()) * GIB / GB
    return max(least[0], memory), max(least[1], plan.disk * GIB / GB)


def check_loggers(config: DictConfig) -> None:
    """Refuse a logger that cannot log: verl finds out when all engines are up.

    Args:
        config: The composed config.

    Raises:
        UnknownNameError: verl has no such logger.
        UsageError: Its package is not installed, or nobody is logged in.
    """
    named = config.trainer.logger
    names = [named] if isinstance(named, str) else list(named)
    added = config.hardware.environment  # of the processes that log
    environment = {**os.environ, **{str(key): str(value) for key, value in added.items()}}
    for name in names:
        if name not in LOGGERS:
            raise UnknownNameError("logger", name, LOGGERS)
        others = ",".join(one for one in names if one != name)
        leave = f"or leave it out with trainer.logger=[{others}]"
        if LOGGERS[name] and importlib.util.find_spec(LOGGERS[name]) is None:
            raise UsageError(f"trainer.logger names {name}, which is not installed: {leave}")
        if not _is_logged_in(name, environment):
            raise UsageError(
                f"trainer.logger names {name}, and nobody is logged in: {_LOGIN[name]}, {leave}"
            )


_LOGIN = {
    "wandb": "run `wandb login`, set WANDB_API_KEY, or set WANDB_MODE=offline",
    "swanlab": "set SWANLAB_API_KEY, or set SWANLAB_MODE=local",
    "clearml": "run `clearml-init`, or set CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY",
    "vemlp_wandb": "set VOLC_ACCESS_KEY_ID, VOLC_SECRET_ACCESS_KEY and MLP_TRACKING_REGION",
}


def _is_logged_in(name: str, environment: Mapping[str, str]) -> bool:
    """Whether a logger's service would take what is logged, or is not needed for it."""
    if name == "wandb":
        host = urlsplit(environment.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
        keys = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
        return (
            environment.get("WANDB_MODE", "") in ("offline", "disabled", "dryrun")
            or any(environment.get(key) for key in keys)
            or _in_netrc(host or "", environment)
        )
    if name == "swanlab":
        local = environment.get("SWANLAB_MODE", "cloud") != "cloud"
        kept = (Path.home() / ".swanlab" / ".netrc").exists()
        return local or kept or bool(environment.get("SWANLAB_API_KEY"))
    if name == "clearml":
        settings = Path(environment.get("CLEARML_CONFIG_FILE", "~/clearml.conf")).expanduser()
        return settings.exists() or bool(environment.get("CLEARML_API_ACCESS_KEY"))
    return name != "vemlp_wandb" or bool(environment.get("VOLC_ACCESS_KEY_ID"))


def _in_netrc(host: str, environment: Mapping[str, str]) -> bool:
    """Whether a netrc file, which is where `wandb login` writes, has a key for a host."""
    named = environment.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _batch(config: DictConfig, questions: int) -> None:
    batch = int(config.data.train_batch_size)
    if not questions:
        raise UsageError(
            "the set holds no training questions, so nothing can be trained on it (a published "
            "benchmark is for tests alone): name another set with questions=..., or evaluate a "
            "policy on this one with recipes/evaluate.py"
        )
    if batch > questions:
        raise UsageError(
            f"data.train_batch_size={batch} is more than the {questions} training questions, so "
            f"that there is no step: set it to {questions} at most, or ask for more questions with "
            "n=..."
        )


def _kept(config: DictConfig) -> None:
    """Refuse to keep one checkpoint: verl removes it before the next one is whole."""
    trainer = config.trainer
    for name in ("max_actor_ckpt_to_keep", "max_critic_ckpt_to_keep"):
        if trainer[name] is not None and trainer[name] < 2:
            raise UsageError(
                f"trainer.{name}={trainer[name]} would leave no whole checkpoint while the next is "
                "written: set it to 2 or more, or to null for all"
            )


def _memory(wanted: float) -> None:
    free = psutil.virtual_memory().available / GB
    if free < wanted:
        raise UsageError(
            f"the training needs {wanted:.6g} GB of memory, {free:.1f} GB are free: close "
            "other programs, or set hardware.memory_gb lower at your own risk"
        )


def _disk(root: Path, wanted: float) -> None:
    existing = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / GB
    if free < wanted:
        raise UsageError(
            f"the training needs {wanted:.4g} GB on the disk of {root}, {free:.1f} GB are "
            "free: make room, or put the runs elsewhere with root=/a/folder"
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


def _cluster(address: str | None) -> None:
    """Refuse an address at which no Ray cluster listens."""
    if address is None or "://" in address:  # none, or one of Ray's own protocols
        return
    known = address
    if address == "auto":
        current = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
        written = current.read_text().strip() if current.exists() else ""
        known = os.environ.get("RAY_ADDRESS", "") or written
    host, _, port = known.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5.0).close()
    except (OSError, ValueError) as error:
        shown = f"{address} ({known})" if known not in ("", address) else address
        raise UsageError(
            f"no Ray cluster answers at ray_kwargs.ray_init.address={shown}: start one with "
            "`ray start --head`, or give the HOST:PORT that it printed"
        ) from error


def check_policy(policy: str) -> None:
    """Refuse a local folder that does not hold a model; a hub's name is left to the hub.

    Args:
        policy: A folder or a hub's owner/name.

    Raises:
        UsageError: No such folder, or it lacks the model's shape or tokenizer.
    """
    folder = Path(policy)
    if not policy:
        raise UsageError("policy.path is empty: name a model folder or a hub's owner/name to train")
    if not folder.exists():
        if policy.startswith((".", "/", "~", "models/", "outputs/")) or policy.count("/") != 1:
            raise UsageError(
                f"policy.path names no folder: {policy!r}; expected a model folder or a hub's "
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
