"""The page about environments: its examples run, and its tables are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from medenv.envs.registration import ENVIRONMENTS

from .test_wrappers import CANNOT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```\n+prints\n+```\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize(("code", "printed"), CODE, ids=["rendering", "wrappers", "parts"])
def test_an_example_prints_what_stands_below_it(code: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_the_table_knows_the_turns_of_every_id(env_id: str) -> None:
    turns = gymnasium.make(env_id).unwrapped.rules.budget.turns
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{env_id}` |")]
    assert row.split("|")[3].strip() == str(turns)


def test_the_page_names_every_wrapper_that_cannot_apply() -> None:
    table = PAGE.split("| wrappers | why |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted([*CANNOT, "Dict", "Tuple"])
