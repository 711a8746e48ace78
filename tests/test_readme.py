"""The Python of README and first page runs, and prints what they say it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
START = (ROOT / "docs" / "index.md").read_text()
BLOCKS = re.findall(
    r"```python\n(.*?)```\n+prints\n+```\n(.*?)```", README + START, flags=re.DOTALL
)


def test_the_readme_shows_an_episode() -> None:
    assert len(BLOCKS) == 2


@pytest.mark.parametrize(("code", "printed"), BLOCKS)
def test_a_block_prints_what_stands_below_it(code: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == printed.split()


def test_every_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"\bmake ([a-z]+)\b", README))
    makefile = (ROOT / "Makefile").read_text()
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_file_that_the_readme_names_exists() -> None:
    for path in re.findall(r"\]\(([^)#]+)\)", README):
        assert path.startswith("http") or (ROOT / path).exists(), path
    for script in set(re.findall(r"python (recipes/\w+\.py|examples/\w+\.py)", README)):
        assert (ROOT / script).exists(), script
