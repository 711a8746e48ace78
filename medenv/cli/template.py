"""The command that checks the effect of chat templates on episodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medenv.errors import DataError
from medenv.trajectories.exports import Chat, chat_of, read_chats

if TYPE_CHECKING:
    from medenv.integrations.hf.chat_template import Drift


def register(app: typer.Typer) -> None:
    """Register the command.

    Args:
        app: The main application.
    """
    app.command()(check_template)


def check_template(
    model: Annotated[Path, typer.Argument(help="Folder of a policy or its tokenizer.")],
    episodes: Annotated[
        Path | None,
        typer.Option(help="A set of trajectories or its chat.jsonl; by default toy episodes."),
    ] = None,
    dialect: Annotated[str, typer.Option(help="Dialect of the toy episodes.")] = "hermes",
    most: Annotated[int, typer.Option(help="Maximum number of episodes.")] = 500,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report how many episodes change when written as messages and tokenised again."""
    from medenv.integrations.hf.chat_template import drifts
    from medenv.integrations.hf.chat_tokens import open_tokenizer

    if not model.is_dir():
        raise DataError(model, "expected the folder of a policy or of its tokenizer")
    tokenizer = open_tokenizer(str(model))
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
    for report in reports:
        table.add_row(
            report.template,
            f"{report.episodes:,}",
            f"{report.share:.1%}",
            f"{report.kinds.get('text', 0):,}",
            f"{report.kinds.get('tokens', 0):,}",
            f"{report.lost / report.tokens:.1%}",
        )
    return table


def toy_chats(dialect: str) -> list[Chat]:
    """Return episodes of the scripted oracle on the toy graph.

    Args:
        dialect: Dialect of the episodes.
    """
    from medenv.build.environment import make_parts
    from medenv.kg import toy_graph
    from medenv.trajectories.teachers import Thinker

    parts = make_parts(dialect=dialect)
    teacher = Thinker(toy_graph(), parts.rules.dialect, parts.toolbox.tools)
    played = [
        parts.rollouts().run(teacher.begin(question, i), question).trajectory
        for i, question in enumerate(parts.questions)
    ]
    return [chat_of(trajectory, parts.rules) for trajectory in played]
