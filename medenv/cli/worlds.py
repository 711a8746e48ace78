"""Commands about worlds: make an altered one from a set of questions, and prove it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from medenv.errors import UsageError

world_app = typer.Typer(
    no_args_is_help=True,
    help="Make altered worlds: fiction in which memory does not help.",
)

_Folder = Annotated[Path, typer.Argument(help="Folder of a world.")]


def register(kg: typer.Typer) -> None:
    """Add the commands to those about knowledge graphs.

    Args:
        kg: The commands about knowledge graphs.
    """
    kg.add_typer(world_app, name="world")


@world_app.command("make")
def make(
    variant: Annotated[str, typer.Argument(help="renamed, rewired or unanswerable.")],
    out: Annotated[Path, typer.Argument(help="The new folder.")],
    questions: Annotated[
        list[Path] | None, typer.Option(help="A JSONL file of questions; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the alteration.")] = 0,
    share: Annotated[float, typer.Option(help="Share of questions to take the answer from.")] = 0.5,
    graph: Annotated[
        str, typer.Option(help="Source of the graph, or source:path, e.g. saved:work/graph.")
    ] = "hpo",
) -> None:
    """Make a world from a graph and questions about it; without questions, from the toy set."""
    from medenv.kg import read_questions, toy_graph, toy_questions
    from medenv.kg.sources import open_named
    from medenv.kg.worlds.files import write_world
    from medenv.kg.worlds.worlds import WorldSettings, make_world

    settings = WorldSettings(variant=variant, seed=seed, share=share)
    if questions:
        true = open_named(graph)
        asked = [question for file in questions for question in read_questions(file)]
    else:
        true, made = toy_graph(), toy_questions()
        asked = [*made.train, *made.test]
    if not asked:
        raise UsageError("the files hold no questions")
    told = write_world(out, make_world(true, asked, settings))
    counts = ", ".join(f"{count:,} {split}" for split, count in told.questions.items())
    console = Console()
    console.print(f"wrote {out}: {counts} questions", soft_wrap=True, highlight=False)
    if told.unanswerable:
        console.print(f"{told.unanswerable:,} of them have no answer in it")
    for reason, count in told.rejected.items():
        console.print(f"left out, {escape(reason)}: {count:,}", soft_wrap=True)
    console.print(escape(f"{told.source}. {told.terms}"), soft_wrap=True)


@world_app.command("check")
def check(folder: _Folder) -> None:
    """Prove every question of a world again; exit code 1 where one is not proved."""
    from medenv.kg.worlds.files import read_world
    from medenv.kg.worlds.worlds import check_world

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
