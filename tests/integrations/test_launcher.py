"""The launcher with a trainer that hangs, dies, loses a worker or is left behind.

The trainer is a stand-in (`stand_in.py`); folder, lock, processes and checkpoints are real.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import DictConfig

from medenv.errors import UsageError
from medenv.integrations.verl.following import TrainingFailedError
from medenv.integrations.verl.processes import mark_of, marked
from medenv.integrations.verl.run import Run, train
from medenv.io import FolderInUseError

from ..toy import opened, train_config
from .test_checkpoints import GRPO, save

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("stand_in.py")


def overrides(root: Path, behaviour: str, patience: float) -> list[str]:
    return [
        "experiment=smoke",
        f"root={root}",
        f"policy={ROOT / 'models' / 'tiny_policy'}",
        "trainer.total_training_steps=4",
        f"hardware.launch=[{sys.executable},{STAND_IN},{behaviour}]",
        f"hardware.patience_seconds={patience}",
    ]


def config(root: Path, behaviour: str, patience: float = 60.0, *more: str) -> DictConfig:
    return train_config(*overrides(root, behaviour, patience), *more)


def trained(run: Run, said: list[str]) -> list[int]:
    return [step for step, _ in train(run, said.append)]


def attempts(run: Run) -> int:
    return len(list((run.folder / "metrics").iterdir()))


def test_a_trainer_that_only_says_that_it_waits_is_ended_within_the_patience(
    tmp_path: Path,
) -> None:
    with opened(config(tmp_path, "hang", 5.0, "hardware.restarts=0")) as run:
        steps: list[tuple[int, float]] = []

        def follow_to_the_end() -> None:
            steps.extend((step, time.monotonic()) for step, _ in train(run, print))

        with pytest.raises(TrainingFailedError, match=r"no progress for 5 s \(2 lines"):
            follow_to_the_end()
        assert [step for step, _ in steps] == [1, 2]
        waited = time.monotonic() - steps[-1][1]
        assert 5.0 <= waited < 5.0 + 12.0  # what is asked to end may take ten seconds
        assert marked(mark_of(run.folder)) == []
        assert run.log.stat().st_size > 500  # it wrote until the end


def test_finished_episodes_are_progress(tmp_path: Path) -> None:
    with opened(config(tmp_path, "slow", 5.0)) as run:
        assert trained(run, []) == [1, 2, 3, 4]
        assert attempts(run) == 1


def test_a_lost_worker_ends_the_attempt_at_once_and_restarts_are_bounded(tmp_path: Path) -> None:
    said: list[str] = []
    with opened(config(tmp_path, "lose", 600.0)) as run:
        begun = time.monotonic()
        with pytest.raises(TrainingFailedError, match="lost agent loop worker 0"):
            trained(run, said)
        assert time.monotonic() - begun < 60.0
        assert attempts(run) == 3
        assert len(said) == 2
        assert marked(mark_of(run.folder)) == []


def test_a_trainer_that_died_is_started_again_from_the_newest_whole_checkpoint(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    with opened(config(tmp_path, "fail_once")) as run:
        saved = Path(run.config.trainer.default_local_dir)
        save(saved, 1, GRPO)
        save(saved, 2, GRPO)
        (save(saved, 3, GRPO) / "data.pt").unlink()  # died while it was written
        assert trained(run, said) == [1, 2, 3, 4]
        assert run.is_finished()
        assert said[0] == "resuming after step 2"
        assert "the engine is gone" in said[1]
        assert "(1 of 2)" in said[1]
        assert sorted(path.name for path in saved.glob("global_*")) == [
            "global_step_1",
            "global_step_2",
        ]


def test_a_trainer_that_fails_before_its_first_step_is_not_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    with opened(config(tmp_path, "fail_at_once")) as run:
        with pytest.raises(TrainingFailedError, match="a setting that verl refuses"):
            trained(run, said)
        assert said == []
        assert run.log.read_text().count("ValueError") == 1
        assert not run.is_begun()


def test_a_checkpoint_of_another_world_size_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    chosen = config(tmp_path, "fail_at_once", 60.0, "trainer.n_gpus_per_node=2")
    with opened(chosen) as run:
        save(Path(run.config.trainer.default_local_dir), 2, GRPO)
        with pytest.raises(UsageError, match=r"saved by 1 processes.* 2 would load it"):
            trained(run, [])
        assert not run.log.exists()


def test_what_a_killed_recipe_left_behind_is_ended_by_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "smoke"
    given = [*overrides(tmp_path, "leave_orphans", 600.0), "hardware.memory_gb=0"]
    command = [sys.executable, "recipes/train.py", *given]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as recipe:
        while recipe.poll() is None and not (folder / "metrics" / "0000.jsonl").exists():
            time.sleep(0.1)
        with (
            pytest.raises(FolderInUseError, match=f"process {recipe.pid} "),
            opened(config(tmp_path, "leave_orphans")),
        ):
            pass
        recipe.kill()
    orphans = marked(mark_of(folder))
    assert len(orphans) == 2  # the trainer, and what it has started in a session of its own
    said: list[str] = []
    with opened(config(tmp_path, "leave_orphans"), said.append) as run:
        assert "ending 2 processes" in said[0]
        assert marked(mark_of(folder)) == []
        assert trained(run, said) == [1, 2, 3, 4]
    assert marked(mark_of(folder)) == []
