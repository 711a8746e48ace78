"""The page about tools: its examples run and print what stands below them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from medenv.build.environment import TOOLS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tools.md").read_text()
CODE = re.findall(r"```python\n(.*?)```\n+prints\n+```\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_names_every_tool() -> None:
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    assert set(TOOLS.names()) <= set(re.findall(r"`(\w+)`", rows))


@pytest.mark.parametrize(("code", "printed"), CODE, ids=["mcp", "slow", "corpus", "analysis"])
def test_an_example_prints_what_stands_below_it(code: str, printed: str, tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed
