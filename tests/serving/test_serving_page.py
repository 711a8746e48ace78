"""The page about serving names every limit and shows what runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from medenv.serving import EnvironmentServer, Limits
from medenv.serving.protocol import ErrorCode, ResetData

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_table_has_every_limit_and_its_default() -> None:
    table = PAGE.split("| `--limit` |")[1].split("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| ([^|]+) \|", table, flags=re.MULTILINE))
    assert list(rows) == list(Limits.__struct_fields__)
    for name, shown in rows.items():
        default = getattr(Limits(), name)
        assert default is None if shown == "none" else float(shown) == default, name


def test_the_page_names_every_error_code_and_reset_argument() -> None:
    for name in (*get_args(ErrorCode), *ResetData.__struct_fields__):
        assert f"`{name}`" in PAGE


def test_the_example_makes_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = PAGE.split("```python\n")[1].split("```")[0]
    made: list[EnvironmentServer] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EnvironmentServer, "run", lambda server, **_: made.append(server))
    exec(compile(code, "serving.md", "exec"), {})
    (server,) = made
    assert server.sessions.limits.sessions == 512
    assert set(server.sessions.splits) == {"test"}
    assert (tmp_path / "served" / "episodes.jsonl").exists()
