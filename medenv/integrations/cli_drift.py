"""The command that tells what chat templates do to episodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medenv.errors import DataError
from medenv.io import read_records
from medenv.trajectories.exports import Chat, chat_of

if TYPE_CHECKING:
    from medenv.integrations.drift import Drift


def register(app: typer.Typer) -> None:
    """Add the command to a command line.

    Args:
        app: The command line.
    """
    app.command()(drift)


def drift(
    model: Annotated[Path, typer.Argument(help="Folder of a policy, or of its tokenizer.")],
    episodes: Annotated[
        Path | None,
        typer.Option(help="A set of trajectories or its chat.jsonl; toy episodes without."),
    ] = None,
    dialect: Annotated[str, typer.Option(help="Dialect of the toy episodes.")] = "hermes",
    most: Annotated[int, typer.Option(help="Episodes that are tried.")] = 500,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report how many episodes change when they are written as messages and tokenised again."""
    from transformers import AutoTokenizer

    from medenv.integrations.drift import drifts

    if not model.is_dir():
        raise DataError(model, "expected the folder of a policy or of its tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise DataError(model, f"holds no tokenizer that can be opened: {why}") from error
    chats = toy_chats(dialect) if episodes is None else read_chats(episodes)
    reports = list(drifts(tokenizer, chats[:most]))
    if json:
        Console().print_json(msgspec.json.encode(reports).decode())
        return
    console = Console()
    console.print(_table(reports))
    for report in reports:
        for example in report.examples:
            console.print(
                f"{escape(report.template)}, question {example.question}, token {example.at}: "
                f"another {'text' if example.kind == 'text' else 'cut of the same text'}"
            )
            console.print(f"  generated {escape(repr(example.generated))}", soft_wrap=True)
            console.print(f"  again     {escape(repr(example.encoded))}", soft_wrap=True)


def _table(reports: list[Drift]) -> Table:
    table = Table("template", "episodes", "differ", "other text", "other tokens", "tokens lost")
    for one in reports:
        table.add_row(
            one.template,
            f"{one.episodes:,}",
            f"{one.share:.1%}",
            f"{one.kinds.get('text', 0):,}",
            f"{one.kinds.get('tokens', 0):,}",
            f"{one.lost / one.tokens:.1%}",
        )
    return table


def chats_file(path: Path) -> Path:
    """Return the file of chat lines of a set, given its folder or that file."""
    return path / "chat.jsonl" if path.is_dir() else path


def read_chats(path: Path) -> list[Chat]:
    """Return the episodes of a set.

    Args:
        path: Its folder, or its file of chat lines.

    Raises:
        DataError: There are none.
    """
    file = chats_file(path)
    chats = list(read_records(file, Chat))
    if not chats:
        raise DataError(file, "expected episodes as chat lines, got none")
    return chats


def toy_chats(dialect: str) -> list[Chat]:
    """Return episodes of the scripted oracle about the toy graph.

    Args:
        dialect: How they are written.
    """
    from medenv.kg import toy_graph
    from medenv.registry import make_parts
    from medenv.trajectories.teachers import Thinker

    parts = make_parts(dialect=dialect)
    teacher = Thinker(toy_graph(), parts.rules.dialect, parts.toolbox.tools)
    played = [
        parts.rollouts().run(teacher.begin(question, i), question).trajectory
        for i, question in enumerate(parts.questions)
    ]
    return [chat_of(trajectory, parts.rules) for trajectory in played]
