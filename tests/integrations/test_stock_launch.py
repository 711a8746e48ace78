"""A stock launch of verl, without our recipes, trains on what `synthesize exports=[verl]` wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HARDWARE = yaml.safe_load((ROOT / "conf" / "hardware" / "cpu.yaml").read_text())

pytestmark = pytest.mark.verl


def flattened(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of a preset as overrides of verl's own command line."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            yield from flattened(value, f"{key}.")
        else:
            yield f"++{key}={json.dumps(value)}"


def test_verl_alone_trains_on_the_exported_rows(tmp_path: Path) -> None:
    environment = {name: str(v) for name, v in HARDWARE.pop("hardware")["environment"].items()}
    made = subprocess.run(
        [
            *(sys.executable, str(ROOT / "recipes" / "synthesize.py"), f"root={tmp_path}"),
            *("graph=toy", "questions=toy", "env=tiny", "exports=[verl]"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    (launch,) = tmp_path.glob("questions-*/verl")
    metrics = tmp_path / "metrics.jsonl"
    trained = subprocess.run(
        [
            *(sys.executable, "-m", "verl.trainer.main_ppo"),
            *flattened(HARDWARE),
            f"data.train_files={launch}/train.parquet",
            f"data.val_files={launch}/test.parquet",
            *("data.return_raw_chat=true", "data.train_batch_size=4"),
            *("data.max_prompt_length=128", "data.max_response_length=512"),
            f"actor_rollout_ref.rollout.agent.agent_loop_config_path={launch}/agent_loop.yaml",
            f"actor_rollout_ref.model.path={ROOT}/models/tiny_policy",
            *("actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.rollout.n=2"),
            *("algorithm.adv_estimator=grpo", "actor_rollout_ref.actor.ppo_mini_batch_size=4"),
            *("trainer.total_training_steps=1", "trainer.val_before_train=false"),
            *("trainer.test_freq=-1", "trainer.save_freq=-1", "trainer.logger=[console,file]"),
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500,
        env=os.environ | environment | {"VERL_FILE_LOGGER_PATH": str(metrics)},
    )  # fmt: skip
    assert trained.returncode == 0, trained.stdout[-3000:] + trained.stderr[-3000:]
    steps = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [step["step"] for step in steps] == [1]
    logged = steps[0]["data"]
    assert logged["num_turns/mean"] >= 2
    assert 0 <= logged["critic/score/mean"] <= 1.3
