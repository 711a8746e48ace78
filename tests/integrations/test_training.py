"""Two steps of GRPO for real: verl's trainer, Ray, TransferQueue, FSDP2 and vLLM, on CPU.

One run is started once and looked at by all tests here; a second one continues it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from medenv.integrations.processes import MARK
from medenv.report.summary import read_scored

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]


def train(root: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "recipes/train.py", "experiment=smoke", f"medenv.root={root}"]
    return subprocess.run(
        [*command, *overrides], cwd=ROOT, capture_output=True, text=True, check=False
    )


def logged(folder: Path, attempt: int) -> dict[int, dict[str, float]]:
    lines = (folder / "metrics" / f"{attempt:04d}.jsonl").read_text().splitlines()
    steps: dict[int, dict[str, float]] = {}
    for line in lines:
        entry = json.loads(line)
        steps.setdefault(entry["step"], {}).update(entry["data"])
    return steps


def marked_processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if MARK in process.environ() and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run(root: Path) -> Path:
    done = train(root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "report:" in done.stdout
    return root / "smoke"


def test_every_component_is_logged_raw_and_weighted_in_training_and_validation(run: Path) -> None:
    steps = logged(run, 0)
    assert set(steps) == {0, 1, 2}
    for name in ("accuracy", "format", "efficiency"):
        for form in ("raw", "weighted"):
            assert f"reward/{name}/{form}" in steps[1]
            assert f"val-aux/medenv/sampled/reward/{name}/{form}/mean@2" in steps[0]
    assert steps[1]["episodes/unavailable"] == 0.0


def test_the_logged_reward_is_the_mean_over_the_stored_episodes(run: Path) -> None:
    steps = logged(run, 0)
    for step in (1, 2):
        scored = read_scored(run / "rollouts" / "train" / f"{step:06d}.jsonl")
        totals = [one.score.total or 0.0 for one in scored]
        assert len(totals) == 4 * 4
        assert steps[step]["critic/score/mean"] == pytest.approx(sum(totals) / 16, abs=1e-6)
        assert steps[step]["reward/total"] == pytest.approx(sum(totals) / 16, abs=1e-6)


def test_validation_answers_each_question_as_often_as_asked(run: Path) -> None:
    for step in (0, 2):
        sampled = read_scored(run / "rollouts" / "val-sampled" / f"{step:06d}.jsonl")
        greedy = read_scored(run / "rollouts" / "val-greedy" / f"{step:06d}.jsonl")
        assert len(sampled) == 4 * 2
        assert len(greedy) == 4
        assert {one.trajectory.question.split for one in (*sampled, *greedy)} == {"test"}


def test_only_tokens_that_the_policy_wrote_are_trained_on(run: Path) -> None:
    for step in (1, 2):
        scored = read_scored(run / "rollouts" / "train" / f"{step:06d}.jsonl")
        written = [sum(turn.tokens for turn in one.trajectory.turns) for one in scored]
        metrics = logged(run, 0)[step]
        assert metrics["episodes/trained_tokens"] == pytest.approx(sum(written) / len(written))
        assert metrics["response_length/mean"] > metrics["episodes/trained_tokens"]


def test_the_weights_changed_and_the_rollout_engine_got_them(run: Path) -> None:
    before = load_file(ROOT / "models" / "tiny_policy" / "model.safetensors")
    step = run / "checkpoints" / "global_step_2" / "actor" / "huggingface"
    after = load_file(step / "model.safetensors")
    moved = max(
        (after[name].float() - tensor.float()).abs().max().item() for name, tensor in before.items()
    )
    assert moved > 1e-5
    # Were the engine's weights those of the step before, its probabilities would differ.
    for metrics in (logged(run, 0)[1], logged(run, 0)[2]):
        assert metrics["training/rollout_probs_diff_max"] < 1e-3


def test_the_report_is_one_page_that_needs_nothing_else(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "<script src=" not in page
    assert "<link " not in page
    assert "Human Phenotype" in page or "toy" in page


def test_a_finished_run_is_shown_again_without_training(root: Path, run: Path) -> None:
    again = train(root)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "is trained already" in again.stdout
    assert "reused" in again.stdout
    assert len(list((run / "metrics").iterdir())) == 1


def test_another_setting_does_not_continue_in_the_same_folder(root: Path, run: Path) -> None:
    other = train(root, "scoring=answer_only")
    assert other.returncode == 2
    assert "holds a run with other settings" in " ".join(other.stdout.split())


def test_a_longer_run_goes_on_from_the_checkpoint(root: Path, run: Path) -> None:
    longer = train(root, "trainer.total_training_steps=3", "trainer.test_freq=3")
    assert longer.returncode == 0, longer.stdout[-3000:] + longer.stderr[-3000:]
    steps = logged(run, 1)
    assert max(steps) == 3
    assert 1 not in steps
    assert (run / "rollouts" / "train" / "000003.jsonl").exists()


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    command = [sys.executable, "recipes/train.py", "experiment=smoke", f"medenv.root={tmp_path}"]
    with (tmp_path / "out").open("wb") as out:
        recipe = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
        end = time.monotonic() + 300
        while time.monotonic() < end and not any(
            "raylet" in process.name() for process in marked_processes()
        ):
            time.sleep(0.5)
        assert any("raylet" in process.name() for process in marked_processes())
        recipe.send_signal(signal.SIGINT)
        assert recipe.wait(timeout=60) == 130
    assert marked_processes() == []
    assert "goes on from the last checkpoint" in (tmp_path / "out").read_text()


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("medenv.policy=models/no_such_policy", "names no folder"),
        ("medenv.hardware.memory_gb=100000", "needs 100000 GB of memory"),
        ("medenv.env.dialect=hermess", "did you mean 'hermes'?"),
        ("medenv.scoring.preset=compositt", "did you mean 'composite'?"),
        ("+medenv.env.tools.serch={}", "did you mean 'search'?"),
        ("medenv.world.source=umls", "must be 'hpo' or 'toy'"),
        ("+algorithm.adv_estimater=grpo", "did you mean 'algorithm.adv_estimator'?"),
    ],
)
def test_bad_input_gets_one_clear_line(tmp_path: Path, override: str, line: str) -> None:
    done = train(tmp_path, override)
    assert done.returncode == 2, done.stderr[-2000:]
    assert line in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr
    assert not torch.cuda.is_initialized()
