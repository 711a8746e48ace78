"""The recipes as commands, so that an installed package needs no clone: `medenv train ...`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import typer

from medenv.errors import MissingExtraError

RECIPES = ("synthesize", "trajectories", "sft", "plan", "train", "evaluate", "ablate")

_NEEDS = {"sft": "verl", "plan": "verl", "train": "verl", "ablate": "verl"}
"""Recipe to the package that it cannot do without."""


def register(app: typer.Typer) -> None:
    """Add the recipes to a command line.

    Args:
        app: The command line.
    """
    for name in RECIPES:
        app.command(
            name,
            help=_purpose(name),
            short_help=_purpose(name),
            rich_help_panel="Recipes (Hydra: KEY=VALUE, --cfg job, -m)",
            add_help_option=False,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(_runner(name))


def _runner(name: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        needed = _NEEDS.get(name)
        if needed is not None and find_spec(needed) is None:
            raise MissingExtraError(f"commands such as `medenv {name}`", needed)
        sys.argv = [f"medenv {name}", *context.args]
        import_module(f"medenv.recipes.{name}").run()

    return run


def _purpose(name: str) -> str:
    """Return the first line of a recipe's docstring, without importing the recipe."""
    source = Path(__file__).parents[1] / "recipes" / f"{name}.py"
    return (ast.get_docstring(ast.parse(source.read_text())) or "").partition("\n")[0]
