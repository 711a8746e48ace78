"""The page about one's own data: its programs print what stands below them."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from medenv.kg.questions.own import FIELDS
from medenv.reward import COMPONENTS
from medenv.reward.components.cost import FREE_CALLS

PAGE = (Path(__file__).parents[2] / "docs" / "own_data.md").read_text(encoding="utf-8")
FILES = re.findall(r"^`([\w./]+)`:\n\n```\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
PROGRAMS = re.findall(r"```python\n(.*?)```\n\nprints\n\n```\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("program", "printed"), PROGRAMS)
def test_a_program_prints_what_stands_below_it(
    program: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(FILES) == 3
    monkeypatch.chdir(tmp_path)
    for name, text in FILES:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(program, {})
    assert shown.getvalue() == printed


def test_all_columns_and_components_are_named() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") == 2
    for name in FIELDS[: FIELDS.index("option_c")]:
        assert f"`{name}`" in PAGE
    for one in COMPONENTS.values():
        assert (f"`{one.name}`" in PAGE.partition("measure against certificates")[0]) == (
            one.needs_certificate
        )
    assert f"takes {FREE_CALLS} calls to suffice" in PAGE
