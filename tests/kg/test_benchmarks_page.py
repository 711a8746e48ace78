"""The page about published benchmarks: its program prints what stands below it, all are named."""

import contextlib
import io
import re
from pathlib import Path

from medenv.kg.questions.benchmarks import TITLES

PAGE = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_program_prints_what_stands_below_it() -> None:
    ((program, printed),) = re.findall(
        r"```python\n(.*?)```\n\nprints\n\n```\n(.*?)```", PAGE, re.DOTALL
    )
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(program, {})
    assert shown.getvalue() == printed


def test_every_benchmark_stands_in_the_table() -> None:
    table = PAGE.partition("## What can be read")[2].partition("- **What")[0]
    assert set(
        re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))
    ) == {
        "BENCHMARK",
        *TITLES,
    }
