"""A folder belongs to one set of settings: a changed one that matters is refused by its name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from medenv.errors import UsageError
from medenv.integrations.hydra.identity import (
    ABSENT,
    FILE,
    OtherSettingsError,
    claim,
    files_digest,
    identity,
)
from medenv.integrations.verl.checkpoints import LATEST
from medenv.io import FolderInUseError

from ..toy import opened, train_config

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny_policy"


def config(root: Path, *overrides: str) -> DictConfig:
    return train_config("experiment=smoke", f"root={root}", f"policy={TINY}", *overrides)


def begin(root: Path, *overrides: str) -> None:
    """Open a run, and leave it as if it had trained a step."""
    with opened(config(root, *overrides), lambda _: None) as run:
        (run.folder / "metrics").mkdir(exist_ok=True)
        (run.folder / "metrics" / "0000.jsonl").write_text('{"step":1,"data":{"a":1.0}}\n')


@pytest.fixture(scope="module")
def composed() -> DictConfig:
    """A composed config; composing it takes a second."""
    return config(Path("outputs"))


def differing(composed: DictConfig, override: str) -> set[str]:
    """The keys of the identity that an override changes."""
    other = OmegaConf.merge(composed, OmegaConf.from_dotlist([override]))
    assert isinstance(other, DictConfig)
    assert other != composed
    before, after = identity(composed), identity(other)
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def changed(root: Path, *overrides: str) -> dict[str, tuple[Any, Any]]:
    with pytest.raises(OtherSettingsError) as told, opened(config(root, *overrides), print):
        pass
    for key in list(told.value.changed)[:5]:
        assert key in str(told.value)
    assert "\n" not in str(told.value)
    return told.value.changed


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("evaluation.samples=6", "evaluation.samples"),
        ("evaluation.questions=2", "evaluation.questions"),
        ("actor_rollout_ref.actor.policy_loss.loss_mode=gspo", "policy_loss.loss_mode"),
        ("actor_rollout_ref.actor.clip_ratio_high=0.28", "actor.clip_ratio_high"),
        ("actor_rollout_ref.actor.ppo_epochs=2", "actor.ppo_epochs"),
        ("actor_rollout_ref.actor.use_kl_loss=true", "actor.use_kl_loss"),
        ("actor_rollout_ref.model.lora_rank=4", "model.lora_rank"),
        ("actor_rollout_ref.rollout.temperature=0.7", "rollout.temperature"),
        ("actor_rollout_ref.rollout.dtype=bfloat16", "rollout.dtype"),
        ("algorithm.rollout_correction.rollout_is=token", "rollout_correction.rollout_is"),
        ("algorithm.filter_groups.enable=true", "algorithm.filter_groups.enable"),
        ("data.max_response_length=256", "data.max_response_length"),
        ("critic.optim.lr=1.0e-3", "critic.optim.lr"),
        ("critic.cliprange_value=0.2", "critic.cliprange_value"),
        ("env.turn_tokens=32", "env.turn_tokens"),
        ("env.budget.turns=3", "env.budget.turns"),
        ("questions.n=6", "questions.n"),
        ("scoring.preset=answer_only", "scoring.preset"),
        ("seed=1", "seed"),
        ("trainer.v1.trainer_mode=colocate_async", "trainer.v1.trainer_mode"),
    ],
)
def test_a_setting_that_changes_the_result_is_part_of_the_identity(
    composed: DictConfig, override: str, key: str
) -> None:
    names = differing(composed, override)
    assert any(name.endswith(key) for name in names), names


@pytest.mark.parametrize(
    "override",
    [
        "trainer.total_training_steps=7",
        "trainer.save_freq=1",
        "trainer.logger=[console]",
        "trainer.val_before_train=false",
        "trainer.n_gpus_per_node=2",
        "trainer.max_actor_ckpt_to_keep=5",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=2048",
        "actor_rollout_ref.actor.fsdp_config.param_offload=true",
        "actor_rollout_ref.rollout.gpu_memory_utilization=0.2",
        "actor_rollout_ref.rollout.tensor_model_parallel_size=2",
        "actor_rollout_ref.rollout.agent.num_workers=2",
        "hardware.patience_seconds=60",
        "scoring.judge.concurrency=2",
        "scoring.judge.url=http://another:8000/v1",
        "ray_kwargs.ray_init.num_cpus=8",
        "root=/elsewhere",
        "environment=/elsewhere/environment.json",
    ],
)
def test_what_the_machine_needs_and_how_long_it_trains_are_not(
    composed: DictConfig, override: str
) -> None:
    assert differing(composed, override) == set()


def test_a_changed_setting_is_refused_by_name_with_both_values(tmp_path: Path) -> None:
    begin(tmp_path)
    begin(tmp_path, "trainer.total_training_steps=7", "hardware.restarts=5")
    assert changed(tmp_path, "evaluation.samples=6") == {
        "actor_rollout_ref.rollout.val_kwargs.n": (2, 6),
        "evaluation.samples": (2, 6),
    }
    assert changed(tmp_path, "scoring.weights.accuracy=1.0") == {
        "scoring.weights": ({}, ABSENT),
        "scoring.weights.accuracy": (ABSENT, 1.0),
    }


def test_the_number_of_steps_counts_where_the_learning_rate_depends_on_it(tmp_path: Path) -> None:
    cosine = "actor_rollout_ref.actor.optim.lr_scheduler_type=cosine"
    begin(tmp_path, cosine)
    assert changed(tmp_path, cosine, "trainer.total_training_steps=9") == {
        "trainer.total_training_steps": (2, 9)
    }


def test_another_policy_under_the_same_name_is_noticed_and_a_copy_is_not(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(TINY, policy)
    begin(tmp_path, f"policy={policy}")
    shutil.rmtree(policy)
    shutil.copytree(TINY, policy, copy_function=shutil.copyfile)  # other times, same content
    begin(tmp_path, f"policy={policy}")
    weights = policy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + b"\x00\x01")
    assert list(changed(tmp_path, f"policy={policy}")) == ["policy.path (its files)"]


def test_an_edited_reward_of_ones_own_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "edited_reward.py"
    module.write_text("def mine(trajectory):\n    return 1.0\n")
    begin(tmp_path, "scoring.reward=edited_reward:mine")
    begin(tmp_path, "scoring.reward=edited_reward:mine")
    module.write_text("def mine(trajectory):\n    return 2.0\n")
    assert list(changed(tmp_path, "scoring.reward=edited_reward:mine")) == [
        "edited_reward:mine (its file)"
    ]


def test_an_edited_corpus_of_ones_own_is_noticed(tmp_path: Path) -> None:
    passages = tmp_path / "passages.jsonl"
    passages.write_text('{"text": "Scurvy follows when vitamin C is lacking."}\n')
    begin(tmp_path, f"corpus={passages}")
    begin(tmp_path, f"corpus={passages}")
    passages.write_text('{"text": "Gout follows when urate abounds."}\n')
    assert list(changed(tmp_path, f"corpus={passages}")) == ["corpus (its index)"]


def test_settings_may_be_corrected_until_something_has_come_of_them(tmp_path: Path) -> None:
    with opened(config(tmp_path, "data.train_batch_size=64"), print):
        pass  # the preflight would refuse it
    with opened(config(tmp_path, "evaluation.samples=1"), print) as run:
        assert not run.is_begun()
        first = run.rows[1].read_bytes()
    with opened(config(tmp_path, "evaluation.samples=3"), print) as run:
        assert run.rows[1].read_bytes() != first  # rows are those of the settings
        step = Path(run.config.trainer.default_local_dir) / "global_step_1"
        step.mkdir(parents=True)
        (step.parent / LATEST).write_text("1")
        assert run.is_begun()
    assert changed(tmp_path, "evaluation.samples=4")


def test_a_run_of_an_earlier_version_is_not_gone_on_with(tmp_path: Path) -> None:
    begin(tmp_path)
    (tmp_path / "smoke" / FILE).rename(tmp_path / "smoke" / "settings.json")
    with (
        pytest.raises(UsageError, match="earlier version of medenv"),
        opened(config(tmp_path), print),
    ):
        pass


def test_a_moved_root_is_the_same_run(tmp_path: Path) -> None:
    begin(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    with opened(config(tmp_path / "there"), print) as run:
        assert run.is_begun()


def test_two_processes_are_not_in_one_run_folder(tmp_path: Path) -> None:
    with (
        opened(config(tmp_path), print),
        pytest.raises(FolderInUseError),
        opened(config(tmp_path), print),
    ):
        pass


def test_many_changes_are_counted_in_one_line(tmp_path: Path) -> None:
    claim(tmp_path, {f"key{number}": 0 for number in range(9)}, begun=False)
    with pytest.raises(OtherSettingsError, match="key4 is 0 there and 1 here; and 4 more") as told:
        claim(tmp_path, {f"key{number}": 1 for number in range(9)}, begun=True)
    assert len(told.value.changed) == 9
    assert "key5" not in str(told.value)


def test_no_key_of_a_place_or_of_a_machine_is_in_an_identity(tmp_path: Path) -> None:
    kept = identity(config(tmp_path))
    assert not any(str(tmp_path) in str(value) for value in kept.values())
    assert not any("gpu" in key.rpartition(".")[2] for key in kept)


def test_a_digest_is_of_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1" * 3_000_000)
    first = files_digest(str(tmp_path))
    (tmp_path / "a").write_bytes(b"1" * 2_999_999 + b"2")
    assert files_digest(str(tmp_path)) != first
    (tmp_path / "a").write_bytes(b"1" * 3_000_000)
    assert files_digest(str(tmp_path)) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert files_digest(str(tmp_path)) != first
    assert files_digest("owner/name") == files_digest("") == ""
