"""Two steps of algorithms that no other test trains, recomputed from the stored episodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .algorithms import assert_trained_by, dr_grpo, reinforce_pp, rloo
from .smoke import train

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]


@pytest.mark.parametrize("expected", [dr_grpo, rloo, reinforce_pp])
def test_two_steps_have_the_advantages_and_the_loss_of_the_paper(
    tmp_path: Path, expected: Callable[..., Any]
) -> None:
    algo = expected.__name__
    given = (f"run={algo}", f"algo={algo}", "actor_rollout_ref.rollout.n=4")
    done = train(tmp_path, *given, "trainer.val_before_train=false")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert_trained_by(tmp_path / algo, expected)
