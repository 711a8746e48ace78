"""What holds for every test: the same examples each time, and who runs beside whom.

`--hypothesis-profile=default` tries new examples. With several workers (`-n 2`) the tests that
start verl, Ray and vLLM follow one another in one worker, while others run files one by one.
"""

from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

settings.register_profile("same", derandomize=True, print_blob=True)
settings.load_profile("same")

TRAINERS = "tests/integrations/"


class TrainersTogether(LoadFileScheduling):  # type: ignore[misc]  # xdist is untyped to us
    """Gives a worker a whole file, and one of them all files about trainers."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return TRAINERS if file.startswith(TRAINERS) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TrainersTogether:
    """Return what deals tests out to workers."""
    return TrainersTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take minutes first."""
    items.sort(key=lambda item: not item.nodeid.startswith(TRAINERS))
