"""A package of parts for medenv, to begin from."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import jinja2

from medenv.errors import UsageError
from medenv.io import atomic_folder, write_text

TEMPLATE = Path(__file__).parent / "package"
_NAME = "NAME"


def make_package(name: str, parent: Path) -> Path:
    """Write a package with a tool, a reward, a source, a retriever and their tests.

    Args:
        name: Its name, as it will be imported.
        parent: The folder in which its own is made.

    Returns:
        The folder.

    Raises:
        UsageError: The name cannot be imported, or there is something of that name.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(
            f"expected a name that can be imported, in lower case, such as my_parts; got {name!r}"
        )
    folder = parent / name
    if folder.exists():
        raise UsageError(f"{folder} exists already: choose another name, or remove it")
    render = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    with atomic_folder(folder) as made:
        for file in sorted(TEMPLATE.rglob("*.j2")):
            place = file.relative_to(TEMPLATE).with_suffix("").as_posix().replace(_NAME, name)
            target = made / place
            target.parent.mkdir(parents=True, exist_ok=True)
            write_text(target, render.from_string(file.read_text("utf-8")).render(name=name))
    return folder
