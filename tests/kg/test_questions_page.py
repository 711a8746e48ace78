"""The page about questions: its program prints what stands below it, its settings exist."""

import contextlib
import io
import re
from pathlib import Path

from medenv.kg.questions.rare_chains import ChainConfig
from medenv.kg.questions.synthesis import QuestionsSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")


def test_the_program_prints_what_stands_below_it() -> None:
    ((program, printed),) = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(program, {})
    assert told.getvalue().split() == printed.split()


def test_every_preset_and_setting_that_is_named_exists() -> None:
    named = re.search(r"`questions=` takes (.*?);", PAGE, re.DOTALL)
    assert named is not None
    presets = set(re.findall(r"`(\w+)`", named[1]))
    choices = {path.stem for path in (ROOT / "conf" / "questions").glob("*.yaml")}
    assert presets == choices - {"set", "tiny", "toy"}  # a path, and those of other choices
    settings = re.findall(r"`questions\.(\w+)(?:\.(\w+))?=", PAGE)
    assert settings
    for name, inner in settings:
        assert name in QuestionsSettings.__struct_fields__
        assert not inner or inner in ChainConfig.__struct_fields__
