"""Runs side by side on one machine exchange their weights each at a socket of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from medenv.integrations.verl.processes import MARK

pytestmark = pytest.mark.verl

VERLS = "ipc:///tmp/rl-colocate-zmq-01000000-replica-0-rank-0.sock"
ENDS = f"""
import torch, verl
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import (
    BucketedWeightReceiver, BucketedWeightSender,
)
print(BucketedWeightSender("{VERLS}").zmq_handle)
print(BucketedWeightReceiver(zmq_handle="{VERLS}", device=torch.device("cpu")).zmq_handle)
"""


def ends(mark: str | None) -> list[str]:
    """Where both ends of verl's meet, in a process that imports verl and nothing of ours."""
    env = {name: value for name, value in os.environ.items() if name != MARK}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ENDS],
        env=env if mark is None else {**env, MARK: mark},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-2:]


def test_both_ends_of_a_run_meet_where_no_other_run_does() -> None:
    found = [ends(mark) for mark in ("outputs/a", "outputs/b", None)]
    assert all(sender == receiver for sender, receiver in found)
    assert len({sender for sender, _ in found}) == 3
    assert found[2][0] == VERLS
    for sender, _ in found:
        assert len(sender.removeprefix("ipc://")) < 108  # the longest path of a Unix socket
