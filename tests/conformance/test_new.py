"""A new package is installed, found by its names, and green as it comes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.conformance.template import make_package
from medenv.errors import UsageError


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip


def test_a_new_package_is_green_once_it_is_installed(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["new", "my_parts", f"--folder={tmp_path}"])
    assert made.exit_code == 0, made.output
    folder, site = tmp_path / "my_parts", tmp_path / "site"
    done = run(
        *("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
        *("--disable-pip-version-check", "--target", str(site), str(folder)),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder, PYTHONPATH=str(site))
    assert tested.returncode == 0, tested.stdout
    assert "5 passed" in tested.stdout
    checked = run(
        *("-m", "medenv.cli", "check", "tool:my_parts_dose", "retriever:my_parts_overlap"),
        cwd=tmp_path, PYTHONPATH=str(site),
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
    assert "tool:my_parts_dose passes" in checked.stdout
    styled = run("-m", "ruff", "check", "--select=E,F,I,B,UP", "--line-length=100", cwd=folder)
    assert styled.returncode == 0, styled.stdout


@pytest.mark.parametrize("name", ["My-Parts", "class", "1st", "", "../up"])
def test_a_name_that_cannot_be_imported_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a name that can be imported"):
        make_package(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        make_package("mine", tmp_path)
