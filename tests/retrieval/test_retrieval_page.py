"""The page about retrieval: its example runs, and its tables have every choice and option."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from medenv.build.plugins import RETRIEVERS
from medenv.build.settings import CORPORA
from medenv.retrieval.encoders import ENCODERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "retrieval.md").read_text()


def test_the_example_prints_what_stands_below_it(tmp_path: Path) -> None:
    ((code, printed),) = re.findall(
        r"```python\n(.*?)```\n\nprints\n\n```\n(.*?)```", PAGE, re.DOTALL
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == printed
    assert len(list((tmp_path / "outputs" / "corpora").iterdir())) == 1


def test_the_tables_have_every_choice_and_option() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", PAGE, re.MULTILINE))
    choices = {path.stem for path in (ROOT / "conf" / "retriever").glob("*.yaml")}
    assert choices - {"custom"} <= set(rows)
    assert set(CORPORA) <= set(rows)
    assert "hashed" in rows
    assert "hashed" in ENCODERS.names()
    for name in ("bm25", "dense", "milvus", "remote"):
        known = inspect.signature(RETRIEVERS.load(name)).parameters
        for option in re.findall(r"`(\w+)`", rows[name].split("|")[1]):
            assert option in known
