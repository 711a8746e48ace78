"""Other projects' packages, each in a folder beside the environment, kept between runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from medenv.envs.registration import make

ROOT = Path(__file__).parents[1]


def installed(config: pytest.Config, packages: Path) -> Path:
    """Return a folder for PYTHONPATH with the packages of a file; skip where there are none.

    Args:
        config: Has the cache in which the folder is kept.
        packages: Pins, without the packages that the environment has.
    """
    assert config.cache is not None
    digest = sha256(packages.read_bytes()).hexdigest()[:8]
    folder = config.cache.mkdir(packages.stem) / digest
    if not folder.exists():
        partial = folder.with_name(f"{digest}-{os.getpid()}")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--no-deps", "--no-compile", "--target", str(partial), "-r", str(packages)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        if done.returncode:
            shutil.rmtree(partial, ignore_errors=True)
            pytest.skip(f"{packages.stem} cannot be installed: {done.stderr.strip()[-200:]}")
        partial.rename(folder)
    return folder


def run(packages: Path, *arguments: str, **env: str) -> str:
    """Run Python with such packages from the project's root; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, text=True, check=False, timeout=300, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(packages)} | env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def reported(packages: Path, script: Path) -> dict[str, Any]:
    """Run a script of the tests with such packages; return the JSON object that it printed."""
    found: dict[str, Any] = json.loads(run(packages, str(script), PYTHONPATH=f"{packages}:{ROOT}"))
    return found


def gymnasium_episode(*queries: str) -> tuple[list[str], float]:
    """Observations and reward of a question that is answered rightly after these searches."""
    env = make("medenv/Research-v0")
    env.reset(options={"question": "test:4"})
    write = env.rules.dialect.write_call
    shown = [env.step(write("search", {"query": query}))[0] for query in queries]
    return shown, float(env.step(env.rules.dialect.write_answer("ZORI4"))[1])
