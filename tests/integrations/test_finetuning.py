"""Fine-tuning on trajectories: its lessons, its steps, and presets that serve both trainers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from peft import LoraConfig
from transformers import AutoTokenizer

from medenv.build.settings import SftSettings
from medenv.cli.template import toy_chats
from medenv.errors import DataError, UsageError
from medenv.evaluation.summary import read_scored
from medenv.integrations.hf.chat_tokens import ChatTokens
from medenv.integrations.hydra.config import check_config, settings_of
from medenv.integrations.hydra.identity import OtherSettingsError
from medenv.integrations.verl.finetuning import (
    learns_from_trajectories,
    open_finetuning,
    validate,
    validation,
    without_other_trainers,
    write_chats_as_examples,
)
from medenv.integrations.verl.sft import SFTRun, export, train_stage
from medenv.integrations.verl.sft_data import SFTDataset
from medenv.io import write_records

from ..toy import sft_config as config
from .test_lora import load, logprobs, saved_by_verl, trained

ROOT = Path(__file__).parents[2]
TINY = str(ROOT / "models" / "tiny_policy")


def settings(config: DictConfig) -> SftSettings:
    return settings_of(config, SftSettings)


def opened(config: DictConfig, say: Callable[[str], object] = print) -> SFTRun:
    return open_finetuning(config, settings(config), say)


@pytest.fixture
def chosen(tmp_path: Path) -> DictConfig:
    """A run on toy episodes."""
    write_records(tmp_path / "set" / "chat.jsonl", toy_chats("hermes"))
    return config(
        "experiment=tiny_sft",
        f"root={tmp_path}",
        f"policy={TINY}",
        f"lessons.trajectories={tmp_path / 'set'}",
        "lessons.stages=[{material: trajectories, epochs: 2.5, lr: 0.001},"
        "{material: trajectories, steps: 7, lr: 0.0001}]",
        "data.train_batch_size=4",
        "data.max_length=2000",
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ["policy=qwen3_8b", "hardware=eight_gpu"],
        ["policy=qwen3_4b", "hardware=one_gpu"],
        ["policy=tiny", "hardware=cpu"],
        ["experiment=tiny_sft"],
        ["experiment=tiny_sft", "hardware=one_gpu"],
    ],
)
def test_presets_serve_fine_tuning_too(overrides: list[str]) -> None:
    made = config(*overrides)
    assert learns_from_trajectories(settings(made))
    kept = without_other_trainers(made)
    check_config(kept, SftSettings, "sft_trainer_engine")
    assert "actor_rollout_ref" not in kept
    assert settings(kept) == settings(made)
    assert kept.trainer.n_gpus_per_node == (8 if "hardware=eight_gpu" in overrides else 1)
    assert kept.data.max_token_len_per_gpu >= kept.data.max_length


def test_the_data_set_that_the_config_names_is_ours() -> None:
    named = config("policy=tiny").data.custom_cls
    assert (named.path, named.name) == (f"pkg://{SFTDataset.__module__}", SFTDataset.__name__)


def test_the_big_preset_fine_tunes_the_policy_that_is_named() -> None:
    made = config("policy=qwen3_8b", "hardware=eight_gpu")
    assert made.policy.path == "Qwen/Qwen3-8B"
    assert made.trainer.n_gpus_per_node == 8
    assert [dict(stage)["material"] for stage in made.lessons.stages] == ["trajectories"]


def test_a_key_that_no_trainer_knows_is_still_refused() -> None:
    made = config("policy=tiny", "+trainer.colour=red")
    with pytest.raises(UsageError, match=r"no config key 'trainer\.colour'"):
        check_config(without_other_trainers(made), SftSettings, "sft_trainer_engine")


def test_the_new_tiny_policy_is_no_fine_tuning_and_its_config_is_left_alone() -> None:
    made = config("experiment=tiny_policy")
    assert not learns_from_trajectories(settings(made))
    assert made.policy.path == "models/tiny_policy"
    check_config(made, SftSettings, "sft_trainer_engine")
    mixed = settings(config("lessons.stages=[{material: trajectories}, {material: episodes}]"))
    with pytest.raises(UsageError, match="stages of trajectories stand alone, got episodes, traj"):
        learns_from_trajectories(mixed)


def test_lessons_are_the_episodes_token_by_token(tmp_path: Path) -> None:
    chats, chat = toy_chats("hermes"), ChatTokens(AutoTokenizer.from_pretrained(TINY))
    path = tmp_path / "deep" / "lessons.parquet"
    assert write_chats_as_examples(path, chats, chat, 5_000) == (len(chats), 0)
    rows = pq.read_table(path).to_pylist()
    for row, one in zip(rows, chats, strict=True):
        made = chat.stream(one.messages, one.learn)
        assert (row["input_ids"], row["loss_mask"]) == (made.input_ids, made.loss_mask)
    read = SFTDataset([str(path)], config={"pad_mode": "no_padding", "max_length": 5_000})
    assert len(read) == len(chats)
    assert read[0]["loss_mask"].tolist() == rows[0]["loss_mask"]


def test_what_is_too_long_is_left_out_and_counted(tmp_path: Path) -> None:
    chats, chat = toy_chats("hermes"), ChatTokens(AutoTokenizer.from_pretrained(TINY))
    sizes = sorted(len(chat.stream(one.messages).input_ids) for one in chats)
    longest = sizes[len(sizes) // 2]
    kept, long = write_chats_as_examples(tmp_path / "l.parquet", chats, chat, longest)
    assert (kept, long) == (sum(n <= longest for n in sizes), sum(n > longest for n in sizes))
    with pytest.raises(DataError, match="none of 22 episodes fits into 10 tokens"):
        write_chats_as_examples(tmp_path / "l.parquet", chats, chat, 10)


def test_a_run_counts_its_steps_and_goes_from_stage_to_stage(
    chosen: DictConfig, tmp_path: Path
) -> None:
    told: list[str] = []
    run = opened(chosen, told.append)
    assert [pq.read_metadata(path).num_rows for path in run.examples] == [22, 22]
    assert run.steps == (13, 7)  # two and a half times five batches of four
    assert told == ["writing the examples", "22 examples; 0 left out, longer than 2,000 tokens"]
    assert (run.policy(0), run.stages[0].lr) == (TINY, 0.001)
    with pytest.raises(UsageError, match=r"no finished checkpoint in .*let stage-0 finish"):
        run.policy(1)
    taught = run.stage(0) / "checkpoints" / f"global_step_{run.steps[0]}" / "huggingface"
    shutil.copytree(TINY, taught)
    assert run.policy(1) == str(taught)
    before = (tmp_path / "tiny_sft" / "lessons.parquet").stat().st_mtime_ns
    opened(chosen, told.append)
    assert (tmp_path / "tiny_sft" / "lessons.parquet").stat().st_mtime_ns == before
    assert len(told) == 2


def test_another_setting_of_a_course_that_has_begun_is_refused_by_name(
    chosen: DictConfig, tmp_path: Path
) -> None:
    opened(chosen)
    OmegaConf.update(chosen, "optim.weight_decay", 0.2)
    run = opened(chosen)  # nothing has come of it yet
    (run.stage(0) / "metrics").mkdir(parents=True)
    (run.stage(0) / "metrics" / "0000.jsonl").write_text('{"step":1,"data":{}}\n')
    opened(chosen)
    OmegaConf.update(chosen, "evaluation.samples", 3)  # a validation grows
    opened(chosen)
    OmegaConf.update(chosen, "optim.weight_decay", 0.1)
    with pytest.raises(OtherSettingsError) as told:
        opened(chosen)
    assert told.value.changed == {"optim.weight_decay": (0.2, 0.1)}
    OmegaConf.update(chosen, "optim.weight_decay", 0.2)
    write_records(tmp_path / "set" / "chat.jsonl", toy_chats("hermes")[1:])
    with pytest.raises(OtherSettingsError, match="trajectories"):
        opened(chosen)


def test_a_batch_larger_than_the_lessons_is_refused(chosen: DictConfig) -> None:
    OmegaConf.update(chosen, "data.train_batch_size", 23)
    with pytest.raises(UsageError, match="train_batch_size=23 is more than the 22 examples"):
        opened(chosen)


def test_an_export_that_was_cut_short_is_no_finished_stage(chosen: DictConfig) -> None:
    run = opened(chosen)
    taught = run.stage(0) / "checkpoints" / f"global_step_{run.steps[0]}" / "huggingface"
    shutil.copytree(TINY, taught)
    weights = taught / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(UsageError, match="no finished checkpoint"):
        run.policy(1)


def test_a_finished_stage_of_lora_is_merged_before_it_is_used(
    chosen: DictConfig, tmp_path: Path
) -> None:
    OmegaConf.update(chosen, "model.lora_rank", 4)
    OmegaConf.update(chosen, "model.lora_alpha", 8)
    run = opened(chosen)
    step = run.stage(0) / "checkpoints" / f"global_step_{run.steps[0]}"
    policy = trained(
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    saved_by_verl(policy, step)
    assert list(train_stage(chosen, run, 0, print)) == []
    assert export(Path(run.policy(1)), tmp_path / "policy") > 2_000_000
    plain, lost = load(tmp_path / "policy")
    assert lost == set()
    assert torch.allclose(logprobs(plain), logprobs(policy), atol=0.1)  # in bfloat16


def test_validations_play_held_out_questions_beside_the_first_one(chosen: DictConfig) -> None:
    run = opened(chosen)
    first = validation(run, 0)
    assert (first.policy.path, first.policy.engine) == (TINY, "transformers")
    assert (first.against, first.n, first.samples) == ("", 200, 1)
    assert first.environment == f"{chosen.lessons.trajectories}/environment.json"
    taught = run.stage(0) / "checkpoints" / f"global_step_{run.steps[0]}" / "huggingface"
    shutil.copytree(TINY, taught)
    second = validation(run, 1)
    assert second.policy.path == str(taught)
    assert second.against == str(first.folder) != str(second.folder)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["lessons.trajectories=''"], "name the set that is learned from"),
        (["policy.path=''"], "name the policy that is fine-tuned: policy=tiny"),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, overrides: list[str], told: str) -> None:
    made = config("experiment=tiny_sft", f"root={tmp_path}", *overrides)
    with pytest.raises(UsageError, match=told):
        opened(made)


def test_without_a_policy_there_is_nothing_to_fine_tune(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the policy that is fine-tuned"):
        opened(config(f"root={tmp_path}"))


def recipe(name: str, *overrides: Any) -> str:
    done = subprocess.run(
        [sys.executable, f"recipes/{name}.py", *overrides],
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


def toy_run(root: Path) -> list[str]:
    """Make a set on the toy graph; return the overrides that fine-tune on it for two steps."""
    recipe(
        "trajectories", "set=tiny", "graph=toy", "questions=toy", "n=6",
        f"folder={root / 'set'}", f"root={root}",
    )  # fmt: skip
    return [
        "experiment=tiny_sft",
        f"root={root}",
        f"lessons.trajectories={root / 'set'}",
        "lessons.stages=[{material: trajectories, steps: 2, lr: 0.001}]",
        "evaluation.questions=2",
        "data.train_batch_size=2",
    ]


def test_a_run_whose_stage_is_taught_goes_on_to_its_validation_and_its_end(
    tmp_path: Path,
) -> None:
    overrides, folder = toy_run(tmp_path), tmp_path / "tiny_sft"
    opened(without_other_trainers(config(*overrides)))
    taught = folder / "stage-0" / "checkpoints" / "global_step_2" / "huggingface"
    shutil.copytree(TINY, taught)
    told = recipe("sft", *overrides)
    assert told.count("held-out accuracy: sampled") == 2
    assert "M parameters; before against after:" in told
    assert not (folder / "stage-0" / "train.log").exists()
    assert (folder / "policy" / "model.safetensors").exists()
    page = folder / "validation" / "1" / "report.html"
    assert page.exists()
    before = page.stat().st_mtime_ns
    recipe("sft", *overrides)
    assert page.stat().st_mtime_ns == before
    asked_more = without_other_trainers(config(*overrides, "evaluation.samples=2"))
    list(validate(opened(asked_more), 0))
    assert len(read_scored(folder / "validation" / "0" / "sampled.jsonl")) == 2 * 2


@pytest.mark.verl
def test_the_tiny_policy_learns_from_a_set_and_is_validated_by_playing(tmp_path: Path) -> None:
    """The recipe as it is typed: two steps of verl's SFT trainer between two validations."""
    recipe("sft", *toy_run(tmp_path))
    folder = tmp_path / "tiny_sft"
    assert (folder / "policy" / "model.safetensors").exists()
    assert (folder / "validation" / "1" / "report.html").exists()
    assert list((folder / "stage-0" / "tensorboard").rglob("events*"))
