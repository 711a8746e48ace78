"""Whatever moment a trainer is killed at, the newest whole checkpoint is gone on from.

The folders are laid out as verl 0.9.1 leaves them: every state that a kill can cause while the next
checkpoint is written and the oldest one is removed, file by file.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from safetensors.torch import save_file

from medenv.errors import UsageError
from medenv.integrations.verl.checkpoints import LATEST, Layout, holds_policy, prune, resume, whole

from ..toy import sft_config, train_config

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny_policy"


def config(*overrides: str) -> DictConfig:
    return train_config("experiment=smoke", *overrides)


GRPO, PPO = Layout.of(config()), Layout.of(config("algo=ppo"))


def written(step: Path, layout: Layout, processes: int = 1) -> list[Callable[[], object]]:
    """Return what verl does to write a checkpoint, a file at a time, in its order."""

    def archive(path: Path) -> Callable[[], object]:
        return lambda: torch.save({"step": torch.ones(300)}, path)

    doing: list[Callable[[], object]] = []
    for name in layout.models:
        model = step / name
        doing.append(lambda model=model: (model / "huggingface").mkdir(parents=True))
        for rank in range(processes):
            end = f"world_size_{processes}_rank_{rank}.pt"
            doing += [
                archive(model / f"{kind}_{end}") for kind in ("model", "optim", "extra_state")
            ]
        text = json.dumps({"FSDP_version": 2, "world_size": processes})
        doing.append(lambda model=model, text=text: (model / "fsdp_config.json").write_text(text))
        if name != "critic":
            weights = model / "huggingface" / "model.safetensors"
            doing.append(lambda weights=weights: save_file({"w": torch.ones(300)}, weights))
    return [*doing, *(archive(step / name) for name in layout.others(processes))]


def save(folder: Path, number: int, layout: Layout, processes: int = 1) -> Path:
    step = folder / f"global_step_{number}"
    for do in written(step, layout, processes):
        do()
    (folder / LATEST).write_text(str(number))
    return step


def found_by_verl(folder: Path) -> str | None:
    """The checkpoint that verl goes on from (verl/utils/checkpoint/checkpoint_manager.py:245)."""
    if not (folder / LATEST).exists():
        return None
    name = f"global_step_{int((folder / LATEST).read_text())}"
    return name if (folder / name).exists() else None


@pytest.mark.parametrize("layout", [GRPO, PPO], ids=["grpo", "ppo"])
def test_a_kill_at_any_file_leaves_the_checkpoint_before_it(tmp_path: Path, layout: Layout) -> None:
    count = len(written(tmp_path, layout))
    for killed_after in range(count + 1):
        folder = tmp_path / f"killed-{killed_after}"
        save(folder, 2, layout)
        save(folder, 4, layout)
        shutil.rmtree(folder / "global_step_2" / "actor")  # verl makes room for the third
        for do in written(folder / "global_step_6", layout)[:killed_after]:
            do()
        resumed = resume(folder, layout)
        assert resumed is not None
        assert resumed.step == (6 if killed_after == count else 4)
        assert found_by_verl(folder) == f"global_step_{resumed.step}"
        left = sorted(path.name for path in folder.glob("global_step_*"))
        assert left == ["global_step_4", *(["global_step_6"] if resumed.step == 6 else [])]


def test_a_file_cut_short_is_not_whole(tmp_path: Path) -> None:
    for number, file in enumerate(
        ["data.pt", "actor/optim_world_size_1_rank_0.pt", "critic/model_world_size_1_rank_0.pt"]
    ):
        folder = tmp_path / str(number)
        save(folder, 1, PPO)
        cut = save(folder, 2, PPO) / file
        cut.write_bytes(cut.read_bytes()[:-40])
        assert [one.step for one in whole(folder, PPO)] == [1]


def test_the_state_that_lost_a_run_is_gone_on_from(tmp_path: Path) -> None:
    """The actor of step 4 is removed, step 6 is written, and the file still names step 4."""
    save(tmp_path, 2, PPO)
    save(tmp_path, 6, PPO)
    shutil.rmtree(save(tmp_path, 4, PPO) / "actor")
    assert found_by_verl(tmp_path) == "global_step_4"
    resumed = resume(tmp_path, PPO)
    assert resumed is not None
    assert resumed.step == 6
    assert found_by_verl(tmp_path) == "global_step_6"


def test_a_name_of_the_newest_step_that_was_cut_is_written_anew(tmp_path: Path) -> None:
    save(tmp_path, 2, GRPO)
    (tmp_path / LATEST).write_text("")
    with pytest.raises(ValueError, match="invalid literal"):
        found_by_verl(tmp_path)
    resume(tmp_path, GRPO)
    assert found_by_verl(tmp_path) == "global_step_2"


def test_without_a_whole_checkpoint_training_begins_anew(tmp_path: Path) -> None:
    save(tmp_path, 2, GRPO)
    (tmp_path / "global_step_2" / "data.pt").unlink()
    assert resume(tmp_path, GRPO) is None
    assert found_by_verl(tmp_path) is None
    assert resume(tmp_path / "nowhere", GRPO) is None


def test_a_resumed_run_leaks_no_checkpoint(tmp_path: Path) -> None:
    """verl's list of what it saved is in memory: it would keep two of each attempt."""
    for number in (2, 4, 6, 8):
        save(tmp_path, number, GRPO)
        prune(tmp_path, GRPO)
    assert [one.step for one in whole(tmp_path, GRPO)] == [6, 8]
    assert GRPO.keep == 2
    every = Layout.of(config("trainer.max_actor_ckpt_to_keep=null"))
    save(tmp_path, 10, GRPO)
    prune(tmp_path, every)
    assert [one.step for one in whole(tmp_path, every)] == [6, 8, 10]


def test_a_policy_that_was_kept_alone_is_never_removed(tmp_path: Path) -> None:
    thinned = save(tmp_path, 2, GRPO)
    for file in [*thinned.glob("actor/*.pt"), thinned / "data.pt"]:
        file.unlink()
    for number in (4, 6, 8):
        save(tmp_path, number, GRPO)
    resume(tmp_path, GRPO)
    assert holds_policy(thinned / "actor" / "huggingface")
    newest = tmp_path / "global_step_8"
    for file in newest.glob("actor/*.pt"):
        file.unlink()
    with pytest.raises(UsageError, match=r"policy=.*global_step_8/actor/huggingface"):
        resume(tmp_path, GRPO)


@pytest.mark.parametrize(("saved_by", "loaded_by"), [(1, 2), (2, 1)])
def test_another_number_of_processes_is_refused_with_the_ways_on(
    tmp_path: Path, saved_by: int, loaded_by: int
) -> None:
    layout = Layout.of(config(f"trainer.n_gpus_per_node={loaded_by}"))
    save(tmp_path, 2, layout, saved_by)
    with pytest.raises(UsageError) as told:
        resume(tmp_path, layout)
    line = str(told.value)
    assert f"saved by {saved_by} processes" in line
    assert f"policy={tmp_path}/global_step_2/actor/huggingface" in line
    assert "\n" not in line
    same = Layout.of(config(f"trainer.n_gpus_per_node={saved_by}"))
    resumed = resume(tmp_path, same)
    assert resumed is not None
    assert resumed.processes == saved_by


def test_one_process_of_several_that_did_not_save_leaves_it_broken(tmp_path: Path) -> None:
    layout = Layout.of(config("trainer.n_gpus_per_node=4"))
    save(tmp_path, 2, layout, 4)
    (tmp_path / "global_step_2" / "actor" / "optim_world_size_4_rank_3.pt").unlink()
    assert whole(tmp_path, layout) == []


def test_supervised_checkpoints_are_found_the_same_way(tmp_path: Path) -> None:
    layout = Layout.of_sft(sft_config("experiment=tiny_sft", "trainer.n_gpus_per_node=2"))
    save(tmp_path, 100, layout, 2)
    (save(tmp_path, 200, layout, 2) / "data_1.pt").unlink()
    resumed = resume(tmp_path, layout)
    assert resumed is not None
    assert (resumed.step, resumed.processes) == (100, 2)
    assert found_by_verl(tmp_path) == "global_step_100"


def test_the_layout_of_an_engine_that_is_not_known_is_left_to_verl(tmp_path: Path) -> None:
    other = GRPO._replace(is_fsdp=False)
    (tmp_path / "global_step_2" / "actor" / "dist_ckpt").mkdir(parents=True)
    assert resume(tmp_path, other) is None
    prune(tmp_path, other)
    assert (tmp_path / "global_step_2" / "actor" / "dist_ckpt").exists()


def test_weights_in_several_files_count_when_all_are_there(tmp_path: Path) -> None:
    assert holds_policy(TINY)
    assert not holds_policy(tmp_path)
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for name in names:
        save_file({name: torch.ones(3)}, tmp_path / name)
    assert not holds_policy(tmp_path)  # the index, written last, is missing
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: name for name in names}}))
    assert holds_policy(tmp_path)
    last = tmp_path / names[1]
    last.write_bytes(last.read_bytes()[:-1])
    assert not holds_policy(tmp_path)
