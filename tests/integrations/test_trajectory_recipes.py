"""recipes/trajectories.py and recipes/evaluate.py as they are typed, and mistyped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny_policy"


def recipe(name: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"recipes/{name}.py", *overrides],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_recipes_work_as_they_are_typed(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    made = recipe(
        "trajectories", "set=tiny", "graph=toy", "questions=toy", "n=4", f"root={tmp_path}",
        f"folder={folder}", f"tokenizer={TINY}", "exports=[chat]",
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert "4 trajectories in" in made.stdout
    assert "0 leaks" in made.stdout
    assert "4 examples in" in made.stdout
    assert not (folder / "preferences.jsonl").exists()
    for run, where in (
        ("again", [f"environment={folder}/environment.json"]),
        ("by-set", [f"questions={tmp_path}/questions-toy-toy-0", "env=tiny"]),
    ):
        done = recipe(
            "evaluate", "policy=tiny", f"root={tmp_path}", f"run={run}", *where, "samples=0",
            "n=2", "sampling.turn_tokens=32",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "greedy: accuracy" in done.stdout
        assert "over 2 held-out questions" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "overrides", "told"),
    [
        ("trajectories", ["teacher=openai"], "teacher.endpoint.url"),
        ("trajectories", ["plan.exploratoin=0.1"], "there is no config key 'plan.exploratoin'"),
        ("trajectories", ["plan.exploration=2"], "exploration must be in [0, 1], got 2.0"),
        ("evaluate", [], "no policy is named"),
        (
            "evaluate",
            ["policy=tiny", "questions=no/where"],
            "expected the folder of a",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, name: str, overrides: list[str], told: str) -> None:
    failed = recipe(name, *overrides, f"root={tmp_path / 'x'}")
    assert failed.returncode == 2
    assert told in " ".join(failed.stdout.split())
    assert "Traceback" not in failed.stderr
