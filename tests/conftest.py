"""What holds for every test: the same examples each time, and who runs beside whom.

`--hypothesis-profile=default` tries new examples. With several workers (`-n 2`) the tests that
start verl, Ray and vLLM follow one another in one worker, while others run files one by one.
"""

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, print_blob=True)
settings.load_profile("same")


@pytest.hookimpl(tryfirst=True)  # xdist looks for groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take minutes first, and each into the group that shares a worker."""
    for item in items:
        name = "verl" if item.get_closest_marker("verl") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: item.get_closest_marker("verl") is None)
