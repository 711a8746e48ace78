"""A run that cannot succeed is refused before anything starts, in one line that says what to do."""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from medenv.errors import UnknownNameError, UsageError
from medenv.integrations.verl import preflight


def config(root: Path, **changes: Any) -> DictConfig:
    base = OmegaConf.create(
        {
            "root": str(root),
            "policy": {"path": "owner/name"},
            "hardware": {
                "memory_gb": 0.1,
                "disk_gb": 0.001,
                "accelerator_gb": 0,
                "environment": {},
            },
            "data": {"train_batch_size": 4},
            "trainer": {
                "logger": ["console", "file"],
                "max_actor_ckpt_to_keep": 2,
                "max_critic_ckpt_to_keep": None,
                "default_local_dir": str(root / "run" / "checkpoints"),
            },
            "ray_kwargs": {"ray_init": {"num_cpus": 2}},
        }
    )
    for key, value in changes.items():
        OmegaConf.update(base, key.replace("__", "."), value)
    return base


def check(chosen: DictConfig, questions: int = 8) -> None:
    preflight.check(chosen, questions)


def a_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_a_sound_config_passes(tmp_path: Path) -> None:
    check(config(tmp_path, policy__path=str(a_model(tmp_path / "model"))))
    check(config(tmp_path / "not" / "there" / "yet"))


def test_too_little_memory_is_told_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs 1e\+06 GB of memory, [\d.]+ GB are free"):
        check(config(tmp_path, hardware__memory_gb=1e6))


def test_too_little_disk_is_told_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs 1e\+09 GB on the disk .* GB are free: make room"):
        check(config(tmp_path, hardware__disk_gb=1e9))


def test_checkpoints_that_are_there_need_no_room_any_more(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free / preflight.GB
    asked = config(tmp_path, hardware__disk_gb=free + 500.0)
    saved = tmp_path / "run" / "checkpoints" / "global_step_2"
    saved.mkdir(parents=True)
    with pytest.raises(UsageError, match="make room"):
        check(asked)
    with (saved / "model.pt").open("wb") as file:
        file.truncate(1_000_000_000_000)  # a hole, which takes no room
    check(asked)


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        asked = config(tmp_path, ray_kwargs__ray_init__dashboard_port=port)
        with pytest.raises(UsageError, match=rf"port {port} \(.*dashboard_port\) is in use"):
            check(asked)


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:{port}", "nowhere", "nowhere:x"])
def test_an_address_without_a_cluster_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        asked = config(tmp_path, policy__path=str(a_model(tmp_path / "model")))
        OmegaConf.update(
            asked, "ray_kwargs.ray_init.address", address.format(port=port), force_add=True
        )
        with pytest.raises(UsageError, match="no Ray cluster answers"):
            check(asked)


def test_an_address_that_listens_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = config(tmp_path, policy__path=str(a_model(tmp_path / "model")))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        OmegaConf.update(asked, "ray_kwargs.ray_init.address", address, force_add=True)
        check(asked)
        monkeypatch.setenv("RAY_ADDRESS", address)
        OmegaConf.update(asked, "ray_kwargs.ray_init.address", "auto")
        check(asked)


def test_a_model_without_tokenizer_is_refused(tmp_path: Path) -> None:
    model = a_model(tmp_path / "model")
    (model / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match="has no tokenizer"):
        check(config(tmp_path, policy__path=str(model)))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a model with config\.json"):
        check(config(tmp_path, policy__path=str(tmp_path)))
    with pytest.raises(UsageError, match="names no folder"):
        check(config(tmp_path, policy__path=str(tmp_path / "missing")))


def test_a_set_of_tests_alone_is_no_training_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no training questions, .* recipes/evaluate\.py"):
        check(config(tmp_path), questions=0)


def test_a_batch_larger_than_the_questions_is_refused_with_both_figures(tmp_path: Path) -> None:
    check(config(tmp_path, data__train_batch_size=8), questions=8)
    with pytest.raises(UsageError, match=r"train_batch_size=9 is more than the 8 training") as told:
        check(config(tmp_path, data__train_batch_size=9), questions=8)
    assert "\n" not in str(told.value)


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nobody is logged in anywhere."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in (
        "WANDB_API_KEY",
        "WANDB_MODE",
        "WANDB_BASE_URL",
        "WANDB_IDENTITY_TOKEN_FILE",
        "NETRC",
    ):
        monkeypatch.delenv(name, raising=False)
    return home


def with_wandb(root: Path, **environment: str) -> DictConfig:
    return config(
        root,
        trainer__logger=["console", "file", "wandb"],
        hardware__environment=environment,
    )


def test_wandb_without_a_login_is_refused(nobody: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"names wandb, and nobody is logged in") as told:
        check(with_wandb(tmp_path))
    line = str(told.value)
    assert "trainer.logger=[console,file]" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "environment",
    [{"WANDB_MODE": "offline"}, {"WANDB_MODE": "disabled"}, {"WANDB_API_KEY": "k" * 40}],
)
def test_wandb_that_needs_no_login_or_has_a_key_passes(
    nobody: Path, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(with_wandb(tmp_path, **environment))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    check(with_wandb(tmp_path))


def test_the_login_of_a_machine_is_where_wandb_writes_it(nobody: Path, tmp_path: Path) -> None:
    netrc = nobody / ".netrc"
    netrc.write_text("machine elsewhere.example\n  login user\n  password secret\n")
    netrc.chmod(0o600)
    with pytest.raises(UsageError, match="nobody is logged in"):
        check(with_wandb(tmp_path))
    check(with_wandb(tmp_path, WANDB_BASE_URL="https://elsewhere.example"))


def test_a_logger_that_is_unknown_or_not_installed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tensorboard'"):
        check(config(tmp_path, trainer__logger=["tensorbord"]))
    with pytest.raises(UsageError, match="names clearml, which is not installed"):
        check(config(tmp_path, trainer__logger=["file", "clearml"]))
    check(config(tmp_path, trainer__logger="tensorboard"))


def test_every_logger_of_verl_is_known() -> None:
    spec = importlib.util.find_spec("verl")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "utils" / "tracking.py").read_text()
    listed = text[text.index("supported_backend = [") :].partition("]")[0]
    assert set(re.findall(r'"(\w+)"', listed)) == set(preflight.LOGGERS)


@pytest.mark.parametrize("name", ["max_actor_ckpt_to_keep", "max_critic_ckpt_to_keep"])
def test_to_keep_one_checkpoint_is_to_have_none_while_the_next_is_written(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match=f"{name}=1 would leave no whole checkpoint"):
        check(config(tmp_path, **{f"trainer__{name}": 1}))
    check(config(tmp_path, **{f"trainer__{name}": None}))
