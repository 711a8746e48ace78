"""Two steps of algorithms that no other test trains, one after the other by one command.

Each is recomputed from the stored episodes, and all are compared on one page.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .algorithms import assert_trained_by, dr_grpo, gdpo, reinforce_pp, rloo
from .smoke import logged, marked_processes, train

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]
ALGORITHMS = (dr_grpo, rloo, reinforce_pp, gdpo)
NAMES = [one.__name__ for one in ALGORITHMS]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("algorithms")


def command(root: Path) -> subprocess.CompletedProcess[str]:
    given = ("-m", "run=all", f"algo={','.join(NAMES)}", "actor_rollout_ref.rollout.n=4")
    return train(root, *given, "trainer.val_before_train=false")


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    done = command(root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert [f"run {i} of 4" in done.stdout for i in (1, 2, 3, 4)] == [True] * 4
    return root / "all"


@pytest.mark.parametrize("expected", ALGORITHMS)
def test_two_steps_have_the_advantages_and_the_loss_of_the_paper(
    folder: Path, expected: Callable[..., Any]
) -> None:
    assert_trained_by(folder / f"{expected.__name__}-seed0", expected)


def test_all_are_compared_on_one_page_and_nothing_is_trained_twice(
    root: Path, folder: Path
) -> None:
    text = (folder / "report.md").read_text()
    assert f"| measure | {' | '.join(NAMES)} |" in text
    assert "4 runs of 4 arms" in (folder / "report.html").read_text()
    assert "medenv_gdpo, 4 questions x 4 rollouts" in text
    again = command(root)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert " ".join(again.stdout.split()).count("is trained already (2 steps)") == 4
    assert [len(list((folder / f"{name}-seed0" / "metrics").iterdir())) for name in NAMES] == [
        1
    ] * 4
    assert 2 in logged(folder / "gdpo-seed0", 0)
    assert marked_processes(root) == []
