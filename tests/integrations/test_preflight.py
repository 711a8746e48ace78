"""What cannot succeed is refused before anything starts, in one line that says what to do."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from medenv.errors import UsageError
from medenv.integrations import preflight


def config(root: Path, **changes: Any) -> DictConfig:
    base = OmegaConf.create(
        {
            "medenv": {
                "root": str(root),
                "policy": "owner/name",
                "hardware": {"memory_gb": 0.1, "disk_gb": 0.001},
            },
            "ray_kwargs": {"ray_init": {"num_cpus": 2}},
        }
    )
    for key, value in changes.items():
        OmegaConf.update(base, key.replace("__", "."), value)
    return base


def a_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_a_sound_config_passes(tmp_path: Path) -> None:
    preflight.check(config(tmp_path, medenv__policy=str(a_model(tmp_path / "model"))))
    preflight.check(config(tmp_path / "not" / "there" / "yet"))


def test_too_little_memory_is_told_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs 1e\+06 GB of memory, [\d.]+ GB are free"):
        preflight.check(config(tmp_path, medenv__hardware__memory_gb=1e6))


def test_too_little_disk_is_told_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs 1e\+09 GB on the disk .* GB are free: make room"):
        preflight.check(config(tmp_path, medenv__hardware__disk_gb=1e9))


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        asked = config(tmp_path, ray_kwargs__ray_init__dashboard_port=port)
        with pytest.raises(UsageError, match=rf"port {port} \(.*dashboard_port\) is in use"):
            preflight.check(asked)


def test_a_model_without_tokenizer_is_refused(tmp_path: Path) -> None:
    model = a_model(tmp_path / "model")
    (model / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match="has no tokenizer"):
        preflight.check(config(tmp_path, medenv__policy=str(model)))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a model with config\.json"):
        preflight.check(config(tmp_path, medenv__policy=str(tmp_path)))
    with pytest.raises(UsageError, match="names no folder"):
        preflight.check(config(tmp_path, medenv__policy=str(tmp_path / "missing")))
