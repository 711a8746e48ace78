"""The folders kg/ and reward/ stand at the root and are imported as medenv.kg and medenv.reward."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("kg", "reward")


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("room", ROOMS)
def test_the_links_lead_to_the_root_folders(room: str) -> None:
    link = ROOT / "medenv" / room
    assert link.is_symlink()
    assert link.readlink() == Path("..") / room
    assert link.resolve() == ROOT / room


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_refused_under_its_folder_name(room: str) -> None:
    done = run("-c", f"import {room}")
    assert done.returncode != 0
    assert "import it by that name" in done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_a_users_own_module_of_the_same_name_shadows_nothing(room: str, tmp_path: Path) -> None:
    (tmp_path / f"{room}.py").write_text("mine = 1\n")
    done = run("-c", f"import {room}, medenv.{room}; print({room}.mine)", cwd=tmp_path)
    assert done.stdout.strip() == "1", done.stderr


def test_the_declared_packages_are_those_on_disk() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        "medenv." + ".".join(path.relative_to(ROOT / "medenv").parent.parts)
        for folder in (ROOT / "medenv", *(ROOT / "medenv" / room for room in ROOMS))
        for path in folder.rglob("__init__.py")
    }
    found = {name.rstrip(".") for name in found}
    assert sorted(declared["packages"]) == sorted(found)


def test_the_wheel_holds_medenv_and_nothing_beside_it(tmp_path: Path) -> None:
    done = run(
        "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--disable-pip-version-check", "--wheel-dir", str(tmp_path), ".",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("medenv-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"medenv"}
    for needed in ("medenv/kg/graph/graph.py", "medenv/reward/composition.py", "medenv/py.typed"):
        assert needed in names


def test_importing_medenv_is_light() -> None:
    heavy = ("torch", "transformers", "verl", "ray", "vllm", "hydra", "pandas", "networkx")
    done = run("-c", f"import sys, medenv; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr
