"""FSDP2 engines for device `cpu`; verl registers them for cuda and npu only.

verl/workers/engine/fsdp/transformer_impl.py:1143 and :1594.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import AutoModelForTokenClassification
from verl.utils import model as verl_model
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


class _WithoutPinnedOffload:
    """A forward-only engine asks for pinned memory, which needs an accelerator.

    verl/workers/engine/fsdp/transformer_impl.py:462.
    """

    def _build_fsdp_module(self, module: Any) -> Any:
        with _replaced(transformer_impl, "CPUOffloadPolicy", lambda **_: None):
            return super()._build_fsdp_module(module)  # type: ignore[misc]  # a mixin before verl's engine


def _load_value_model(
    local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool
) -> Any:
    return AutoModelForTokenClassification.from_pretrained(
        local_path,
        dtype=torch_dtype,
        config=model_config,
        attn_implementation="sdpa",
        trust_remote_code=trust_remote_code,
    )


class CpuLanguageModelEngine(_WithoutPinnedOffload, transformer_impl.FSDPEngineWithLMHead):  # type: ignore[misc]  # verl is untyped to us
    """verl's FSDP engine for policies and reference models."""


class CpuValueModelEngine(_WithoutPinnedOffload, transformer_impl.FSDPEngineWithValueHead):  # type: ignore[misc]  # verl is untyped to us
    """verl's FSDP engine for critics, whose loader wants flash attention (utils/model.py:649)."""

    def _build_module(self) -> Any:
        with _replaced(verl_model, "load_valuehead_model", _load_value_model):
            return super()._build_module()


def register() -> None:
    """Register both engines for device `cpu`; calling it again changes nothing."""
    for model_type, engine in (
        ("language_model", CpuLanguageModelEngine),
        ("value_model", CpuValueModelEngine),
    ):
        if "cpu" not in EngineRegistry._engines[model_type]["fsdp2"]:
            EngineRegistry.register(model_type=model_type, backend=["fsdp", "fsdp2"], device="cpu")(
                engine
            )
