"""Merge LoRA adapters into exported checkpoints.

verl exports a policy that is trained with LoRA under PEFT's names (`base_model.model. ...
.base_layer.weight`). `from_pretrained` finds none of the names it needs and initialises the model
at random, with a warning at most.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medenv.errors import DataError
from medenv.integrations.hydra.config import plain
from medenv.integrations.verl.checkpoints import EXPORT, holds_policy, tensor_names

PREFIX = "base_model.model."


def merge_adapter(checkpoint: Path, model: DictConfig) -> bool:
    """Merge the adapter into a checkpoint's exported weights, unless that is done.

    A kill at any moment leaves one of the two exports whole; the next call finishes the merge.

    Args:
        checkpoint: The folder that verl saved one model in.
        model: verl's `model` section, with the LoRA settings that were trained with.

    Returns:
        Whether there was anything to merge.

    Raises:
        DataError: The weights do not fit the model and the settings.
    """
    exported, merged = checkpoint / EXPORT, checkpoint / f"{EXPORT}.merged"
    if not merged.exists():
        weights = exported.glob("*.safetensors")
        if not holds_policy(exported) or not any(
            name.startswith(PREFIX) for path in weights for name in tensor_names(path)
        ):
            return False
        partial = checkpoint / f"{EXPORT}.part"
        shutil.rmtree(partial, ignore_errors=True)
        _write_merged(exported, partial, model)
        partial.rename(merged)
    shutil.rmtree(exported, ignore_errors=True)
    merged.rename(exported)
    return True


def _write_merged(exported: Path, target: Path, section: DictConfig) -> None:
    from accelerate import init_empty_weights  # these take seconds, and few runs need them
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM

    if section.lora_adapter_path is not None:
        settings = LoraConfig.from_pretrained(section.lora_adapter_path)
        settings.base_model_name_or_path = None  # the same model, from another folder
    else:  # as verl's FSDP engine makes them
        names = ("target_modules", "target_parameters", "exclude_modules")
        chosen = {name: OmegaConf.select(section, name) for name in names}
        settings = LoraConfig(
            r=section.lora_rank,
            lora_alpha=section.lora_alpha,
            task_type="CAUSAL_LM",
            **plain(OmegaConf.create(chosen)),
        )
    weights: dict[str, Any] = {}
    for path in sorted(exported.glob("*.safetensors")):
        weights |= load_file(path)
    with init_empty_weights():
        base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(exported))
        model = get_peft_model(base, settings)
    missing, unknown = model.load_state_dict(weights, strict=False, assign=True)
    base.tie_weights()
    absent = [name for name in missing if model.get_parameter(name).is_meta]
    if absent or unknown:
        raise DataError(
            exported,
            f"the weights do not fit the LoRA settings: {len(absent)} are missing "
            f"({', '.join(absent[:2])}), {len(unknown)} are unknown ({', '.join(unknown[:2])})",
        )
    model.merge_and_unload().save_pretrained(target)
    for path in exported.iterdir():
        if path.suffix != ".safetensors" and not path.name.endswith(".index.json"):
            shutil.copy2(path, target)
