"""A policy that was trained with LoRA loads, and is the policy that was trained."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from omegaconf import DictConfig, OmegaConf
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from medenv.errors import DataError
from medenv.integrations.verl.checkpoints import holds_policy
from medenv.integrations.verl.lora import merge_adapter
from medenv.integrations.verl.sft import export

TINY = Path(__file__).parents[2] / "models" / "tiny_policy"
IDS = torch.tensor([[3, 17, 256, 901, 4, 77, 1500, 12]])


def section(**changes: Any) -> DictConfig:
    """verl's `model` section, as far as LoRA goes."""
    known = {
        "lora_rank": 4,
        "lora_alpha": 8,
        "target_modules": "all-linear",
        "target_parameters": None,
        "exclude_modules": None,
        "lora_adapter_path": None,
    }
    return OmegaConf.create({**known, **changes})


def trained(settings: LoraConfig) -> PeftModel:
    """The tiny policy with an adapter that changes it."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    model = get_peft_model(base, settings)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


def saved_by_verl(model: PeftModel, checkpoint: Path, shards: str = "1GB") -> Path:
    """Save as verl/utils/checkpoint/fsdp_checkpoint_manager.py:422-462 does with `hf_model`."""
    target = checkpoint / "huggingface"
    shutil.copytree(TINY, target)
    (target / "model.safetensors").unlink()
    weights = {name: tensor for name, tensor in model.state_dict().items() if "lm_head" not in name}
    with init_empty_weights():
        plain = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(target))
    plain.to_empty(device="cpu")
    plain.save_pretrained(target, state_dict=weights, max_shard_size=shards)
    return target


def logprobs(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return torch.log_softmax(model.eval()(input_ids=IDS).logits, dim=-1)


def load(folder: Path) -> tuple[Any, set[str]]:
    model, found = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    return model, found["missing_keys"] | found["unexpected_keys"]


@pytest.mark.parametrize("shards", ["1GB", "3MB"], ids=["one file", "several files"])
def test_the_merged_export_loads_and_has_the_log_probabilities_of_the_policy(
    tmp_path: Path, shards: str
) -> None:
    policy = trained(
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    exported = saved_by_verl(policy, tmp_path, shards)
    assert len(list(exported.glob("*.safetensors"))) == (1 if shards == "1GB" else 4)
    _, lost = load(exported)
    assert len(lost) > 40  # as verl leaves it: every weight would be random
    assert merge_adapter(tmp_path, section())
    model, lost = load(exported)
    assert lost == set()
    assert torch.allclose(logprobs(model), logprobs(policy), atol=1e-5)
    base = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    assert not torch.allclose(logprobs(model), logprobs(base), atol=0.1)
    assert (exported / "tokenizer.json").read_bytes() == (TINY / "tokenizer.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["huggingface"]
    assert not merge_adapter(tmp_path, section())


def test_a_plain_policy_is_left_as_it_is(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "huggingface")
    before = (tmp_path / "huggingface" / "model.safetensors").stat().st_mtime_ns
    assert not merge_adapter(tmp_path, section())
    assert (tmp_path / "huggingface" / "model.safetensors").stat().st_mtime_ns == before
    assert not merge_adapter(tmp_path / "nowhere", section())


def test_a_kill_while_merging_is_made_good_by_the_next_call(tmp_path: Path) -> None:
    policy = trained(
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    exported = saved_by_verl(policy, tmp_path / "whole")
    merge_adapter(tmp_path / "whole", section())
    for number, (left, replaced) in enumerate(
        [
            ("huggingface.part", True),  # killed while it was written
            ("huggingface.merged", True),  # before what it replaces is removed
            ("huggingface.merged", False),  # and after
        ]
    ):
        checkpoint = tmp_path / str(number)
        if replaced:
            saved_by_verl(policy, checkpoint)
        shutil.copytree(exported, checkpoint / left)
        if left.endswith(".part"):
            (checkpoint / left / "model.safetensors").write_bytes(b"cut")
        assert merge_adapter(checkpoint, section())
        model, lost = load(checkpoint / "huggingface")
        assert lost == set()
        assert torch.allclose(logprobs(model), logprobs(policy), atol=1e-5)
        assert [path.name for path in checkpoint.iterdir()] == ["huggingface"]


def test_an_adapter_of_another_kind_is_merged_by_its_own_settings(tmp_path: Path) -> None:
    """`lora_adapter_path` goes on with an adapter, whose scale may be another one."""
    settings = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "o_proj"], use_rslora=True,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    policy = trained(settings)
    policy.save_pretrained(tmp_path / "adapter")
    exported = saved_by_verl(policy, tmp_path)
    merge_adapter(tmp_path, section(lora_adapter_path=str(tmp_path / "adapter")))
    model, lost = load(exported)
    assert lost == set()
    assert torch.allclose(logprobs(model), logprobs(policy), atol=1e-5)


def test_settings_that_do_not_fit_the_weights_are_told(tmp_path: Path) -> None:
    policy = trained(
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    exported = saved_by_verl(policy, tmp_path)
    with pytest.raises(DataError, match=r"24 are missing .*, 72 are unknown"):
        merge_adapter(tmp_path, section(target_modules=["q_proj"]))
    assert holds_policy(exported)  # as it was


def test_a_policy_that_lacks_weights_is_not_exported_with_random_ones(tmp_path: Path) -> None:
    policy = trained(
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with pytest.raises(DataError, match=r"lacks 4[0-9] of the model's weights"):
        export(saved_by_verl(policy, tmp_path), tmp_path / "policy")
    assert not (tmp_path / "policy").exists()
