"""The benchmarks of tools, corpora and dialects measure what they say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.1, 0.9, 0.5], [1.0, 1.0, 1.0]),
        ([0.9, 0.1, 0.5], [0.0, 1.0, 1.0]),
        ([0.5, 0.5, 0.5, 0.5], [0.25, 0.75, 1.0]),
        ([0.9, 0.5, 0.5, 0.5, 0.5], [0.0, 0.5, 1.0]),
        ([1.0] * 11 + [0.5], [1 / 11, 3 / 11, 10 / 11]),
    ],
)
def test_equal_scores_share_their_ranks(scores: list[float], expected: list[float]) -> None:
    assert program("diagnose").hits(np.array(scores), 1) == pytest.approx(expected)


def test_a_thousand_mixed_texts_go_through_every_dialect() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "fuzz.py"), "--texts", "1000", "--seed", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "7,000 readings, no exception" in done.stdout


def test_a_parser_that_raises_ends_the_run_with_its_text() -> None:
    fuzz = program("fuzz")

    class Brittle(type(fuzz.make_dialect("hermes"))):  # type: ignore[misc]  # a class made at run time
        """Raises at a brace."""

        def parse(self, text: str) -> object:
            if "}" in text:
                raise ValueError("a brace")
            return super().parse(text)

    with pytest.raises(SystemExit, match=r"hermes, block 0: .*}"):
        fuzz.fuzz([fuzz.Fuzzer(Brittle())], 100, 0)
