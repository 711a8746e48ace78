"""A sweep of two rewards with one seed, one step each, for real: verl, Ray, FSDP2, vLLM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medenv.report.summary import read_scored

from .test_training import logged, marked_processes

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
NAMES = ("answer_only-seed0", "composite-seed0")


def sweep(root: Path) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "recipes/ablate.py", "experiment=smoke", f"medenv.root={root}"),
        *("ablation.vary=[]", "ablation.ungated=[]", "ablation.seeds=[0]"),
        *("trainer.total_training_steps=1", "trainer.test_freq=1", "trainer.save_freq=1"),
        "trainer.val_before_train=false",
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    done = sweep(root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return root / "ablation"


def test_every_reward_is_trained_and_its_policy_evaluated_on_the_same_questions(
    folder: Path,
) -> None:
    asked = []
    for name in NAMES:
        assert "critic/score/mean" in logged(folder / name, 0)[1]
        scored = read_scored(folder / name / "rollouts" / "val-sampled" / "000001.jsonl")
        asked.append([one.trajectory.question.id for one in scored])
    assert asked[0] == asked[1]
    assert len(set(asked[0])) == 4


def test_every_run_learns_from_its_own_reward(folder: Path) -> None:
    for name, parts in zip(
        NAMES, ({"accuracy"}, {"accuracy", "format", "efficiency"}), strict=True
    ):
        scored = read_scored(folder / name / "rollouts" / "train" / "000001.jsonl")
        assert {part for one in scored for part in one.score.parts} == parts
        mean = sum(one.score.total or 0.0 for one in scored) / len(scored)
        assert logged(folder / name, 0)[1]["critic/score/mean"] == pytest.approx(mean, abs=1e-6)


def test_the_page_compares_both_and_no_process_is_left(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "2 runs of 2 rewards" in page
    assert "Accuracy while learning" in page
    assert marked_processes(folder.parent) == []


def test_the_same_command_trains_nothing_again(folder: Path) -> None:
    again = sweep(folder.parent)
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stdout.count("trained already") == 2
    assert all(len(list((folder / name / "metrics").iterdir())) == 1 for name in NAMES)
