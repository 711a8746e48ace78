"""Folders at the root are imported as parts of medenv, and a wheel holds them all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from medenv.cli.recipes import RECIPES
from medenv.kg.questions.sets import QuestionSet

ROOT = Path(__file__).parents[1]
ROOMS = ("kg", "reward", "recipes")
FILES = sorted(
    f"medenv/{path.relative_to(ROOT)}"
    for room in (*ROOMS, "conf")
    for path in (ROOT / room).rglob("*")
    if path.suffix in (".py", ".yaml")
)


def run(*arguments: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(
        "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--disable-pip-version-check", "--wheel-dir", str(folder), ".",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("medenv_rl-*.whl")
    return built


@pytest.mark.parametrize("room", [*ROOMS, "conf"])
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


def test_the_wheel_holds_medenv_and_nothing_beside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"medenv"}
    for needed in ("medenv/recipes/train.py", "medenv/conf/train.yaml", "medenv/py.typed", *FILES):
        assert needed in names


def test_recipes_run_where_nothing_but_the_wheel_is_installed(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = run(
        "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile",
        "--disable-pip-version-check", "--target", str(site), str(wheel),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    code = "import medenv.kg, medenv.recipes.synthesize as s; print(medenv.__file__, s.__file__)"
    where = run("-c", code, cwd=tmp_path, PYTHONPATH=str(site))
    assert where.stdout.split() == [
        str(site / "medenv" / "__init__.py"),
        str(site / "medenv" / "recipes" / "synthesize.py"),
    ], where.stderr
    made = run(
        "-m", "medenv.cli", "synthesize", "graph=toy", "questions=toy", f"root={tmp_path / 'runs'}",
        cwd=tmp_path, PYTHONPATH=str(site),
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    found = QuestionSet.open(tmp_path / "runs" / "questions-toy-toy-0")
    assert found.contents.questions == {"train": 8, "test": 4}
    helped = run("-m", "medenv.cli", "--help", cwd=tmp_path, PYTHONPATH=str(site))
    assert all(recipe in helped.stdout for recipe in RECIPES)


def other_python() -> str | None:
    """A Python 3.12 of pyenv, whose commands on the path may be mere shims, or on the path."""
    of_pyenv = Path.home().glob(".pyenv/versions/3.12.*/bin/python3.12")
    return next(map(str, sorted(of_pyenv)), None) or shutil.which("python3.12")


def test_the_wheel_plays_and_checks_in_an_empty_environment_of_python_3_12(
    wheel: Path, tmp_path: Path
) -> None:
    python = other_python()
    if python is None:
        pytest.skip("there is no Python 3.12 here")
    subprocess.run([python, "-m", "venv", str(tmp_path / "env")], check=True)
    command = [str(tmp_path / "env/bin/pip"), "install", "--quiet", "--no-compile", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"its dependencies cannot be installed: {done.stderr.strip()[-200:]}")
    site = tmp_path / "env/lib/python3.12/site-packages"
    files = [one for one in site.rglob("*") if one.is_file() and one.suffix != ".pyc"]
    sizes = [one.stat().st_size for one in files if one.relative_to(site).parts[0][:3] != "pip"]
    assert 80e6 < sum(sizes) < 115e6  # compiled, a third more: 150 MB at most
    medenv = str(tmp_path / "env/bin/medenv")
    for given in (["demo"], ["check", "reward:composite"]):
        ran = subprocess.run(
            [medenv, *given], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_importing_medenv_is_light() -> None:
    heavy = ("torch", "transformers", "verl", "ray", "vllm", "hydra", "pandas", "networkx")
    done = run("-c", f"import sys, medenv; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr
