"""What holds for every test: the same examples each time, and who runs beside whom.

`--hypothesis-profile=default` tries new examples. With several workers (`-n 2`) each takes one file
after another; those that look at one training with verl, Ray and vLLM go to the same worker, and
come first.
"""

import gc
import os
import tempfile
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from medenv.integrations.verl.imports import collect_rarely

settings.register_profile("same", derandomize=True, print_blob=True)
settings.load_profile("same")

collect_rarely()  # verl and torch are imported here too
os.environ["MEDENV_HOME"] = tempfile.mkdtemp()  # what a user has fetched changes no test

TRAINING = (
    "tests/integrations/test_training.py",
    "tests/integrations/test_sweep.py",
    "tests/integrations/test_runs.py",
)
LONG = (
    *TRAINING,
    "tests/integrations/test_algorithms.py",
    "tests/integrations/test_finetuning.py",
    "tests/evaluation/test_run.py",
)


def place(nodeid: str) -> int:
    """Where in the order a test's file stands."""
    file = nodeid.partition("::")[0]
    return LONG.index(file) if file in LONG else len(LONG)


class TrainersTogether(LoadFileScheduling):  # type: ignore[misc]  # xdist is untyped to us
    """Gives a worker a whole file, and one of them all files that share a run."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "training" if file in TRAINING else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TrainersTogether:
    """Return what deals tests out to workers."""
    return TrainersTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take minutes first."""
    items.sort(key=lambda item: place(item.nodeid))


def pytest_collection_finish() -> None:
    """Leave out of later searches for garbage what all tests share."""
    gc.freeze()
