"""Loaded by vLLM's own plugin hook in each of its processes.

vLLM's CPU linear layer packs its weight and then drops the parameter
(vllm/model_executor/layers/linear.py:220), so that a weight update from the trainer has nothing to
load into. Here the parameter is kept, inside verl's rollout servers only; verl packs again after
each update.
"""

from __future__ import annotations

import functools
import os
from typing import Any


def register() -> None:
    """Keep the weights of CPU linear layers in this process, where it is a verl rollout server."""
    if "VERL_REPLICA_RANK" not in os.environ:
        return
    from vllm.model_executor.layers import utils
    from vllm.platforms import current_platform

    if not current_platform.is_cpu() or hasattr(utils.dispatch_cpu_unquantized_gemm, "__wrapped__"):
        return
    utils.dispatch_cpu_unquantized_gemm = keep_weight(utils.dispatch_cpu_unquantized_gemm)


def keep_weight(dispatch: Any) -> Any:
    """Wrap vLLM's `dispatch_cpu_unquantized_gemm` so that it never removes the weight."""

    @functools.wraps(dispatch)
    def packed_and_kept(layer: Any, remove_weight: bool = False) -> None:  # noqa: ARG001 - the point
        dispatch(layer, remove_weight=False)

    return packed_and_kept
