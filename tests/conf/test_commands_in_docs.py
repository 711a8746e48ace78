"""Every command of a recipe that is written down composes to settings, placeholders filled in."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import (
    CONF,
    check_overrides,
    combinations,
    expanded,
    overrides_of,
)

from .test_conf import NAMED, RECIPES

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "Makefile",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "recipes").glob("*.py")),
    *sorted((ROOT / "conf").rglob("*.yaml")),
]
COMMAND = re.compile(
    rf"(?:python recipes/|medenv )({'|'.join(RECIPES)})(?:\.py)?(?: ([^`\n]*))?(?=[`\n])"
)
PLACEHOLDER = re.compile(r"(?<==)(?:\.\.\.|[A-Z_]+)$")
"""A value that whoever reads it puts in: `questions=FOLDER_OR_FILE`, `teacher.endpoint.url=...`."""
GIVEN = "http://given/v1"
"""A path, a URL and a name alike."""
MORE = ("...", "$(ARGS)")
"""What stands for further overrides."""


def commands(text: str) -> list[tuple[str, str]]:
    """Recipe and arguments of each command, lines that go on joined."""
    joined = re.sub(r"\\\n[#\s]*", "", text)
    return [(found[1], found[2] or "") for found in COMMAND.finditer(joined)]


def overrides(arguments: str) -> list[str]:
    """What is set, with a value for each placeholder."""
    words = shlex.split(re.sub(r"(^|\s)#.*", "", arguments))  # a URL may have a # in it
    return [PLACEHOLDER.sub(GIVEN, one) for one in words if one not in MORE and one[:1] != "-"]


WRITTEN = [
    pytest.param(recipe, arguments, id=f"{page.relative_to(ROOT)}: {recipe} {arguments}")
    for page in PAGES
    for recipe, arguments in dict.fromkeys(commands(page.read_text()))
]


def test_commands_are_found_on_lines_that_go_on_in_text_and_with_comments() -> None:
    text = (
        "python recipes/train.py a=1 \\\n    b=2  # why\n"
        "Run `medenv sft c=X d=... ...`, `medenv evaluate p=http://h/v1#m n=1`, or `medenv kg`.\n"
    )
    found = [(recipe, overrides(arguments)) for recipe, arguments in commands(text)]
    assert found == [
        ("train", ["a=1", "b=2"]),
        ("sft", [f"c={GIVEN}", f"d={GIVEN}"]),
        ("evaluate", ["p=http://h/v1#m", "n=1"]),
    ]
    pages = {str(param.id).partition(":")[0] for param in WRITTEN}
    assert {"README.md", "docs/pipeline.md", "docs/training.md", "docs/trajectories.md"} <= pages
    assert {param.values[0] for param in WRITTEN} == set(RECIPES)


@pytest.mark.parametrize(("recipe", "arguments"), WRITTEN)
def test_a_command_that_is_written_down_composes(recipe: str, arguments: str) -> None:
    given = expanded(overrides(arguments))
    check_overrides(given)
    register_schema(recipe, RECIPES[recipe])
    several = [one for one in overrides_of(given) if one.is_sweep_override()]
    assert bool(several) == ("-m" in arguments.split())
    alone = [one for one in given if one not in [each.input_line for each in several]]
    for values in combinations(given):
        chosen = [f"{key}={value}" for key, value in values.items()]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose(
                recipe, overrides=[*expanded([*alone, *chosen]), *NAMED.get(recipe, ())]
            )
        settings_of(config, RECIPES[recipe])
