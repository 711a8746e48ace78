"""A sweep of two rewards with one seed, for real: verl, Ray, FSDP2, vLLM.

One of the two was trained by recipes/train.py, stopped and gone on with; only the other is left.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medenv.evaluation.summary import read_scored

from .smoke import LAST, LONGER, NAME, ROOT, logged, marked_processes

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]
NAMES = ("answer_only-seed0", "composite-seed0")


def sweep(root: Path) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "recipes/ablate.py", "experiment=smoke", f"root={root}"),
        *("ablation.vary=[]", "ablation.ungated=[]", "ablation.seeds=[0]"),
        *(*LONGER, "trainer.val_before_train=false"),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def swept(root: Path, run: Path) -> subprocess.CompletedProcess[str]:
    assert run == root / NAME
    done = sweep(root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def folder(root: Path, swept: subprocess.CompletedProcess[str]) -> Path:
    assert swept.returncode == 0
    return root / "ablation"


def test_what_the_other_recipe_trained_is_not_trained_again(
    folder: Path, swept: subprocess.CompletedProcess[str]
) -> None:
    assert swept.stdout.count("trained already") == 1
    assert [len(list((folder / name / "metrics").iterdir())) for name in NAMES] == [1, 2]


def test_every_reward_is_trained_and_its_policy_evaluated_on_the_same_questions(
    folder: Path,
) -> None:
    asked = []
    for name in NAMES:
        assert "critic/score/mean" in logged(folder / name, 0)[1]
        scored = read_scored(folder / name / "rollouts" / "val-sampled" / f"{LAST:06d}.jsonl")
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
    assert "2 runs of 2 arms" in page
    assert "Accuracy while learning" in page
    assert marked_processes(folder.parent) == []


def test_the_same_command_trains_nothing_again(folder: Path) -> None:
    again = sweep(folder.parent)
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stdout.count("trained already") == 2
    assert [len(list((folder / name / "metrics").iterdir())) for name in NAMES] == [1, 2]
