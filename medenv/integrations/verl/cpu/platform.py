"""The verl platform `cpu`: plain torch on gloo, with Ray's logical accelerator slots."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry


def _resident_bytes(*_: object) -> int:
    return int(psutil.Process().memory_info().rss)


def _memory_info(*_: object) -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def _nothing(*_: object, **__: object) -> None:
    return None


class _CpuDevice(types.ModuleType):
    """`torch.cpu` with those functions of `torch.cuda` that verl calls on any device."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)


_DEVICE = _CpuDevice("medenv_cpu_device")
for _name, _function in {
    "is_available": lambda: True,
    "current_device": lambda: torch.device("cpu"),
    "device_count": lambda: 1,
    "get_device_name": lambda *_: "CPU",
    "mem_get_info": _memory_info,
    "get_rng_state": lambda *_: torch.get_rng_state(),
    "set_rng_state": lambda state, *_: torch.set_rng_state(state),
    "manual_seed": torch.manual_seed,
    "manual_seed_all": torch.manual_seed,
    **dict.fromkeys(
        ("set_device", "synchronize", "empty_cache", "ipc_collect", "reset_peak_memory_stats"),
        _nothing,
    ),
    **dict.fromkeys(
        ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"),
        _resident_bytes,
    ),
}.items():
    setattr(_DEVICE, _name, _function)


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):  # type: ignore[misc]  # verl is untyped to us
    """What verl asks of a device, answered for the CPU; chosen only where CUDA is absent."""

    device_name = "cpu"
    device_module = _DEVICE

    @property
    def vendor_name(self) -> str:
        """Vendor name; reading it registers the CPU engines.

        verl reads it right before every engine look-up (workers/engine/base.py:403), in every
        worker process, which is the one place where the engines can be registered in time.
        """
        if "verl.workers.engine" in sys.modules:
            from medenv.integrations.verl.cpu import engines

            engines.register()
        return "cpu"

    def is_available(self) -> bool:
        """A CPU is always there."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:  # noqa: ARG002 - verl's signature
        """Step aside where an accelerator is present."""
        return not torch.cuda.is_available()

    def current_device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def device_count(self) -> int:
        """One device per process."""
        return 1

    def set_device(self, device_index: int) -> None:
        """Nothing to choose."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Nothing runs asynchronously."""

    def manual_seed(self, seed: int) -> None:
        """Seed torch."""
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Seed torch."""
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        """The system allocator has no settings."""

    def empty_cache(self) -> None:
        """There is no cache."""

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:  # noqa: ARG002 - verl's signature
        """A CPU has no compute capability."""
        return None, None

    def communication_backend_name(self) -> str:
        """Collectives run over gloo."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """Name of the variable that verl sets; without effect on a CPU."""
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:  # noqa: ARG002 - verl's signature
        """No profiler ranges."""
        yield

    def profiler_start(self) -> None:
        """No device profiler."""

    def profiler_stop(self) -> None:
        """No device profiler."""

    def ray_resource_name(self) -> str:
        """Ray resource that stands for a slot.

        verl counts only GPU and NPU (single_controller/ray/base.py:229), so a slot is a logical
        "GPU": `ray_kwargs.ray_init.num_gpus=N`.
        """
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """No variables to protect."""
        return []

    def is_ipc_supported(self) -> bool:
        """False selects verl's shared-memory weight transfer."""
        return False

    def cudart(self) -> None:
        """There is no CUDA runtime."""
