"""Commands that create and verify counterfactual worlds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from medenv.errors import UsageError

world_app = typer.Typer(
    no_args_is_help=True,
    help="Create counterfactual worlds: fiction that cannot be answered from memory.",
)

_Folder = Annotated[Path, typer.Argument(help="Folder of a world.")]


def register(kg: typer.Typer) -> None:
    """Register the commands.

    Args:
        kg: The group of the knowledge graph commands.
    """
    kg.add_typer(world_app, name="world")


@world_app.command("make")
def make(
    variant: Annotated[str, typer.Argument(help="renamed, rewired or unanswerable.")],
    out: Annotated[Path, typer.Argument(help="The new folder.")],
    questions: Annotated[
        list[Path] | None, typer.Option(help="A JSONL file of questions; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    share: Annotated[float, typer.Option(help="Share of questions made unanswerable.")] = 0.5,
    graph: Annotated[
        str, typer.Option(help="Source of the graph, or source:path, e.g. saved:work/graph.")
    ] = "hpo",
) -> None:
    """Create a world from a graph and questions about it; by default from the toy questions."""
    from medenv.kg import read_questions, toy_graph, toy_questions
    from medenv.kg.sources import open_named
    from medenv.kg.worlds.worlds import WorldSettings, make_world, write_world

    settings = WorldSettings(variant=variant, seed=seed, share=share)
    if questions:
        true = open_named(graph)
        asked = [question for file in questions for question in read_questions(file)]
    else:
        true, made = toy_graph(), toy_questions()
        asked = [*made.train, *made.test]
    if not asked:
        raise UsageError("the files contain no questions")
    card = write_world(out, make_world(true, asked, settings))
    counts = ", ".join(f"{count:,} {split}" for split, count in card.questions.items())
    console = Console()
    console.print(f"wrote {out}: {counts} questions", soft_wrap=True, highlight=False)
    if card.unanswerable:
        console.print(f"{card.unanswerable:,} of them have no answer in it")
    for reason, count in card.rejected.items():
        console.print(f"left out, {escape(reason)}: {count:,}", soft_wrap=True)
    console.print(escape(f"{card.source}. {card.terms}"), soft_wrap=True)


@world_app.command("check")
def check(folder: _Folder) -> None:
    """Verify every question of a world; exit code 1 if a proof fails."""
    from medenv.kg.worlds.worlds import check_world, read_world

    world = read_world(folder)
    problems = check_world(world)
    console = Console()
    for problem in problems:
        console.print(escape(problem), soft_wrap=True)
    console.print(
        f"{len(world.questions):,} questions, {len(problems):,} problems; "
        f"{escape(world.graph.info.label)}",
        soft_wrap=True,
    )
    if problems:
        raise typer.Exit(1)
