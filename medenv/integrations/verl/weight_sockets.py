"""Gives each run a socket of its own for its weights.

verl names the socket through which trainer and rollout engine exchange weights by the Ray job
(verl/workers/rollout/vllm_rollout/vllm_rollout.py:141). The first job of every cluster has the same
id, so that two runs with clusters of their own on one machine met at one socket, and hung. `plugin`
imports this module after verl's; all processes of a run know its mark.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from verl.workers.rollout.vllm_rollout import bucketed_weight_transfer as verls

from medenv.integrations.verl.processes import MARK

_SUFFIX = ".sock"


def own_socket(handle: str) -> str:
    """Return the address of this run's socket; verl's own where no recipe started the process.

    Args:
        handle: The address that verl names, ``"ipc:///tmp/NAME.sock"``.
    """
    mark = os.environ.get(MARK)
    if mark is None or not handle.endswith(_SUFFIX):
        return handle
    return f"{handle.removesuffix(_SUFFIX)}-{sha256(mark.encode()).hexdigest()[:12]}{_SUFFIX}"


def _at_own_socket(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapped(self: Any, zmq_handle: str, *args: Any, **kwargs: Any) -> None:
        init(self, own_socket(zmq_handle), *args, **kwargs)

    return wrapped


for _end in (verls.BucketedWeightSender, verls.BucketedWeightReceiver):
    _end.__init__ = _at_own_socket(_end.__init__)
