"""What a real run leaves in its folder; the run is the one that all tests of training look at."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from omegaconf import DictConfig, OmegaConf

from medenv.integrations.hydra.identity import FILE, Identity
from medenv.integrations.verl.checkpoints import LATEST, Layout, holds_policy, whole
from medenv.integrations.verl.following import HEARTBEAT, Heartbeat

from .smoke import LAST

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]


def test_the_checkpoints_are_whole_as_we_take_verl_to_write_them_and_no_more_than_kept(
    run: Path,
) -> None:
    """Every step of two attempts was saved; verl's own list is that of the second alone."""
    config = OmegaConf.load(run / "config.yaml")
    assert isinstance(config, DictConfig)
    saved = run / "checkpoints"
    found = whole(saved, Layout.of(config))
    assert [one.step for one in found] == [LAST - 1, LAST]
    assert sorted(saved.glob("global_step_*")) == [one.folder for one in found]
    assert (saved / LATEST).read_text() == str(LAST)
    assert all(one.processes == 1 for one in found)
    assert all(holds_policy(one.folder / "actor" / "huggingface") for one in found)


def test_the_trainers_process_reported_its_episodes(run: Path) -> None:
    last = Heartbeat.read(run / HEARTBEAT)
    assert last.step >= LAST
    assert last.episodes > 0
    assert last.lost == ""


def test_the_run_keeps_the_settings_that_its_result_depends_on(run: Path) -> None:
    kept = msgspec.json.decode((run / FILE).read_bytes(), type=Identity).settings
    assert kept["evaluation.samples"] == 2
    assert kept["actor_rollout_ref.actor.policy_loss.loss_mode"] == "vanilla"
    assert kept["policy.path (its files)"]
