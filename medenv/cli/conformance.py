"""Commands for parts of other packages: check them, begin one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from medenv.cli.options import named_options
from medenv.errors import UsageError
from medenv.io import write_json, write_text


def register(app: typer.Typer) -> None:
    """Add the commands.

    Args:
        app: The command line.
    """
    app.command("check")(check_parts)
    app.command("new")(new_package)


def check_parts(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="KIND:NAME. KIND is tool, reward, source, retriever or env; NAME is registered, "
            "offered by a package, package.module:object, a Gymnasium id, or an OpenEnv URL."
        ),
    ],
    path: Annotated[str | None, typer.Option(help="What a source or retriever reads.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the part, NAME=VALUE, value in JSON.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Output JSON file of all results.")] = None,
    badge: Annotated[Path | None, typer.Option(help="Output SVG file, of one target.")] = None,
) -> None:
    """Hold parts of any package against contracts, and attack what pays; exit 1 if one fails."""
    from medenv.conformance import check
    from medenv.report.conformance import badge as badge_of
    from medenv.report.conformance import check_table

    if badge and len(targets) != 1:
        raise UsageError(f"a badge is of one part, got {len(targets)}; leave --badge out")
    console, reports = Console(), []
    for target in targets:
        report = check(target, path=path, **named_options(option))
        reports.append(report)
        console.print(check_table(report))
        failed = report.counted("failed")
        verdict = "passes" if report.passed else f"fails {failed} check{'s' * (failed != 1)}"
        console.print(f"{target} {verdict}", markup=False, soft_wrap=True)
    if json:
        write_json(json, reports)
    if badge:
        write_text(badge, badge_of(reports[0]))
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


def new_package(
    name: Annotated[str, typer.Argument(help="Name of the package, as it will be imported.")],
    folder: Annotated[Path, typer.Option(help="Where its own folder is made.")] = Path(),
) -> None:
    """Begin a package of one's own: a tool, a reward, a source, a retriever and their tests."""
    from medenv.conformance.template import make_package

    made = make_package(name, folder)
    Console().print(
        f"wrote {made}: pip install -e {made}, then medenv check tool:{name}_dose",
        markup=False,
        soft_wrap=True,
    )
