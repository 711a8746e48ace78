"""The page about rewards says what the code says, and its examples print what it prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from medenv.report.ablation import weights_of
from medenv.reward import COMPONENTS, GATES, PRESETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rewards.md").read_text()
CODE = re.findall(r"```python\n(.*?)```(?:\n+prints\n+```\n(.*?)```)?", PAGE, flags=re.DOTALL)
COMMANDS = re.findall(r"```\n\$ medenv (.*?)\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_page_has_every_components_card(name):
    one = COMPONENTS[name]
    card = f"| `{name}` | {one.low:g} to {one.high:g} | {one.rationale} | {one.exploit} |"
    assert card in PAGE


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_has_every_preset(name):
    one = PRESETS[name]
    row = f"| `{name}` | {weights_of(one)} | {one.margin():g} | {one.rationale} |"
    assert row in PAGE


@pytest.mark.parametrize("name", GATES)
def test_the_page_names_every_gate(name):
    assert f"`{name}`" in PAGE


def test_the_examples_print_what_stands_below_them(tmp_path):
    assert (len(CODE), len(COMMANDS)) == (7, 2)
    for code, printed in CODE:
        if named := re.match(r"# (\w+\.py)\n", code):  # a file next to where the commands run
            (tmp_path / named[1]).write_text(code)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == printed.split()
    for arguments, printed in COMMANDS:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from medenv.cli.main import main; main()",
                *arguments.split(),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "118" if "rescore" in arguments else "100"},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == printed.split()
