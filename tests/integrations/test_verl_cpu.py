"""Each workaround for verl and vLLM on CPU is still needed, and does what it says.

When one of these fails after an upgrade, the workaround that it stands for can go.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed

from medenv.integrations.verl.cpu.plugin import (
    answer_for_vllm_cpu,
    fold_double_gloo,
    take_any_port,
)
from medenv.integrations.verl.cpu.vllm_plugin import keep_weight

ROLLOUT = "workers/rollout/vllm_rollout"
WITHOUT_ACCELERATOR = pytest.mark.skipif(
    torch.cuda.is_available(), reason="the platform steps aside where CUDA is present"
)


def source(package: str, path: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / path).read_text().splitlines()


@pytest.mark.parametrize(
    ("package", "path", "line", "text"),
    [
        ("verl", "utils/distributed.py", 63, 'backend = f"cpu:gloo,{get_device_name()}:'),
        ("verl", "utils/distributed.py", 89, 'f"cpu:gloo,{get_device_name()}:'),
        ("verl", "utils/distributed.py", 93, "torch.distributed.init_process_group("),
        ("verl", "third_party/vllm/__init__.py", 31, "package_version = get_version("),
        ("verl", "workers/engine/fsdp/transformer_impl.py", 462, "pin_memory=True"),
        ("verl", "utils/model.py", 649, 'attn_implementation="flash_attention_2"'),
        ("verl", "single_controller/ray/base.py", 229, 'node_info.get("GPU"'),
        ("verl", "workers/engine/base.py", 403, "get_vendor()"),
        ("verl", f"{ROLLOUT}/vllm_async_server.py", 329, '"distributed_executor_backend": "mp"'),
        (
            "verl",
            "utils/checkpoint/checkpoint_manager.py",
            245,
            "iteration = int(f.read().decode())",
        ),
        ("vllm", "model_executor/layers/linear.py", 220, "remove_weight=True"),
        ("vllm", "platforms/cpu.py", 148, "VLLM_ENABLE_V1_MULTIPROCESSING"),
        ("vllm", "platforms/cpu.py", 152, 'distributed_executor_backend = "mp"'),
    ],
)
def test_the_line_that_a_workaround_answers_is_still_there(
    package: str, path: str, line: int, text: str
) -> None:
    lines = source(package, path)
    near = "\n".join(lines[line - 4 : line + 3])
    assert text in near, f"{path}:{line} now reads:\n{near}"


def test_verl_registers_its_engines_for_accelerators_only() -> None:
    text = "\n".join(source("verl", "workers/engine/fsdp/transformer_impl.py"))
    registered = [line for line in text.splitlines() if line.startswith("@EngineRegistry.register")]
    assert registered
    assert all('"cuda"' in line and '"cpu"' not in line for line in registered)


def test_torch_still_refuses_a_device_named_twice() -> None:
    with pytest.raises(ValueError, match="cpu"):
        torch.distributed.distributed_c10d.BackendConfig("cpu:gloo,cpu:gloo")  # type: ignore[no-untyped-call]  # torch leaves it untyped


@pytest.mark.parametrize(("size", "port"), [(1, "0"), (2, "4711"), (None, "4711")])
def test_a_group_of_one_listens_on_any_port(
    size: int | None, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASTER_PORT", "4711")
    seen: list[str] = []
    init = take_any_port(lambda **_: seen.append(os.environ["MASTER_PORT"]))
    init(backend="gloo", world_size=size)
    assert (seen, os.environ["MASTER_PORT"]) == ([port], "4711")


@pytest.mark.parametrize(
    ("asked", "passed"), [("cpu:gloo,cpu:gloo", "cpu:gloo"), ("nccl", "nccl"), (None, None)]
)
def test_a_device_named_twice_is_folded_and_nothing_else(
    asked: str | None, passed: str | None
) -> None:
    seen: list[tuple[Any, ...]] = []
    fold_double_gloo(lambda *args, **kwargs: seen.append((args, kwargs)))(asked, rank=3)
    assert seen == [((passed,), {"rank": 3})]


def test_vllm_cpu_answers_for_vllm_and_for_nothing_else() -> None:
    def version(name: str) -> str:
        if name == "vllm-cpu":
            return "0.27.1"
        raise importlib.metadata.PackageNotFoundError(name)

    lookup = answer_for_vllm_cpu(version)
    assert lookup("vllm") == "0.27.1+cpu"
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        lookup("no-such-package")


def test_a_vllm_that_is_there_answers_for_itself() -> None:
    assert answer_for_vllm_cpu(lambda name: f"{name} 1.0")("vllm") == "vllm 1.0"


def test_the_packed_layer_keeps_its_weight() -> None:
    def dispatch(layer: SimpleNamespace, remove_weight: bool) -> None:
        layer.packed = True
        if remove_weight:
            layer.weight = None

    layer = SimpleNamespace(weight=torch.ones(2), packed=False)
    keep_weight(dispatch)(layer, remove_weight=True)
    assert layer.packed
    assert layer.weight is not None


OUTSIDE = """
from vllm.model_executor.layers import utils
from medenv.integrations.verl.cpu.vllm_plugin import register
before = utils.dispatch_cpu_unquantized_gemm
register()
print(utils.dispatch_cpu_unquantized_gemm is before)
"""


@pytest.mark.verl
@WITHOUT_ACCELERATOR
@pytest.mark.parametrize(("rank", "untouched"), [(None, "True"), ("0", "False")])
def test_the_vllm_plugin_acts_inside_verls_servers_alone(rank: str | None, untouched: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "VERL_REPLICA_RANK"}
    environment |= {"VERL_REPLICA_RANK": rank} if rank else {}
    done = subprocess.run(
        [sys.executable, "-c", OUTSIDE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == untouched


LOOK = """
import sys
import verl
print("medenv.integrations.verl.advantages" in sys.modules)
from verl.plugin.platform import get_platform
from verl.workers.engine import EngineRegistry
print(get_platform().device_name)
print(EngineRegistry.get_engine_cls("language_model", "fsdp2").__name__)
print(EngineRegistry.get_engine_cls("value_model", "fsdp2").__name__)
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
print(get_adv_estimator_fn("medenv_turn_grpo").__module__)
"""


@pytest.mark.verl
@WITHOUT_ACCELERATOR
def test_a_process_that_imports_verl_finds_platform_engines_and_estimator() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-5:] == [
        "False",  # nobody has looked for estimators yet
        "cpu",
        "CpuLanguageModelEngine",
        "CpuValueModelEngine",
        "medenv.integrations.verl.advantages",
    ]
