"""The best policy by its validations outlives its checkpoint, and gives way to a better one."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from safetensors.numpy import load_file, save_file

from medenv.integrations.verl.best import BEST, Best, keep_best
from medenv.io import read_json

NAME = "val-core/medenv/{}/acc/mean@2"


def saved(run: Any, step: int) -> Path:
    """A checkpoint whose weights are its step."""
    export = Path(run.config.trainer.default_local_dir, f"global_step_{step}/actor/huggingface")
    export.mkdir(parents=True)
    save_file({"weight": np.full(3, step, np.float32)}, export / "model.safetensors")
    (export / "config.json").write_text("{}")
    return export


@pytest.fixture
def run(tmp_path: Path) -> Any:
    config = {
        "policy": {"path": "models/mine"},
        "algorithm": {"adv_estimator": "grpo"},
        "seed": 0,
        "trainer": {"default_local_dir": str(tmp_path / "checkpoints")},
    }
    contents = SimpleNamespace(acknowledgement="By the source.")
    return SimpleNamespace(
        folder=tmp_path,
        config=OmegaConf.create(config),
        steps=60,
        questions={"train": 8, "test": 4},
        settings=SimpleNamespace(env=SimpleNamespace(dialect="hermes")),
        prepared=SimpleNamespace(
            questions=SimpleNamespace(contents=contents, folder=tmp_path / "set")
        ),
        metrics=lambda: {0: {NAME.format("sampled"): 0.1}},
    )


def kept(run: Any) -> tuple[int, float]:
    """The step that is kept, by its record and by its weights."""
    return read_json(run.folder / BEST / "trained.json", Best).step, float(
        load_file(run.folder / BEST / "model.safetensors")["weight"][0]
    )


def test_a_better_step_takes_the_place_and_a_worse_or_equal_one_does_not(run: Any) -> None:
    for step, accuracy, best in ((20, 0.3, 20), (40, 0.3, 20), (60, 0.4, 60), (80, 0.2, 60)):
        saved(run, step)
        logged = {NAME.format("sampled"): accuracy, NAME.format("greedy"): 1.0 / step}
        assert (keep_best(run, step, logged) is not None) == (best == step)
        assert kept(run) == (best, best)
    record = read_json(run.folder / BEST / "trained.json", Best)
    assert (record.accuracy, record.before, record.sampling) == (0.4, 0.1, "sampled")
    card = (run.folder / BEST / "README.md").read_text()
    assert "40.0 %, 10.0 % before training" in card
    assert "By the source." in card


def test_it_stays_when_its_checkpoint_is_removed(run: Any) -> None:
    export = saved(run, 20)
    keep_best(run, 20, {NAME.format("greedy"): 0.5})
    shutil.rmtree(export)
    assert kept(run) == (20, 20)


def test_a_step_without_a_validation_or_a_checkpoint_is_passed_over(run: Any) -> None:
    saved(run, 20)
    assert keep_best(run, 20, {"actor/entropy": 1.0}) is None
    assert keep_best(run, 40, {NAME.format("sampled"): 1.0}) is None
    assert keep_best(run, 0, {NAME.format("sampled"): 1.0}) is None
    assert not (run.folder / BEST).exists()
