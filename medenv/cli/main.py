"""The command line: list the environments, and play one yourself."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from typing import Annotated, Any

import gymnasium
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medenv.envs.env import MedResearchEnv
from medenv.envs.registration import ENVIRONMENTS
from medenv.envs.rendering import conversation, panel
from medenv.errors import MedEnvError, UsageError
from medenv.records import Score

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Environments for medical research."
)

_HELP = (
    "Write words to search for, [bold]?id[/] to read a passage, [bold]=answer[/] to answer, "
    "or a whole turn in the environment's dialect. An empty line stops."
)


_NEXT = (
    "Research one yourself: [bold]medenv play[/]. In a program: "
    '[bold]gymnasium.make("medenv/Research-v0")[/]. On medicine, with your policy: '
    "[bold]medenv synthesize[/], [bold]medenv evaluate[/], [bold]medenv train[/]."
)


serving = typer.Typer(no_args_is_help=True, help="Serve parts of medenv to other processes.")
app.add_typer(serving, name="serve")


@app.command()
def envs() -> None:
    """List the registered environments."""
    table = Table("id", "tools", "turns", "questions")
    for env_id in ENVIRONMENTS:
        env = make(env_id)
        tools = ", ".join(env.toolbox.tools) or "none"
        table.add_row(env_id, tools, str(env.rules.budget.turns), str(len(env.questions)))
    Console().print(table)


@app.command()
def play(
    env_id: Annotated[str, typer.Argument(help="Id of the environment.")] = "medenv/Research-v0",
    seed: Annotated[int, typer.Option(help="Seed of the random question.")] = 0,
    question: Annotated[str, typer.Option(help="Id of the question; random by default.")] = "",
    questions: Annotated[
        str, typer.Option(help="Folder of a question set, such as a world, or a file of questions.")
    ] = "",
) -> None:
    """Research one question yourself, in the role of the agent."""
    console = Console()
    env = make(env_id, questions)
    env.reset(seed=seed, options={"question": question} if question else None)
    asked = env.episode.question
    title = f"{env_id}, {asked.world} world: fiction" if asked.world else env_id
    console.print(panel(asked.text, title))
    console.print(_HELP)
    while not env.episode.ended:
        line = console.input("[bold]>[/] ").strip()
        if not line:
            console.print("Stopped; no score.")
            return
        observation, _, _, _, info = env.step(action_of(line, env))
        if observation:
            console.print(panel(observation, "Results"))
    console.print(f"The episode ended: {info['ending']}.")
    console.print(score_table(info["score"]))
    gold = ", ".join(answer.name for answer in asked.answers) or "unknown"
    console.print(f"The answer was: {escape(gold)}")


@app.command()
def demo() -> None:
    """Watch an episode: a question of two hops, researched along its proof, and its score."""
    from medenv.kg.sources import open_source
    from medenv.trajectories.teachers import Oracle

    console, nodes = Console(), open_source("toy").nodes
    env = make("medenv/Research-v0")
    asked = max(env.questions, key=lambda question: len(question.proof.path))
    oracle = Oracle(
        dict(zip(nodes.ids, nodes.names, strict=True)), env.rules.dialect, thoughts=True
    )
    policy = oracle.begin(asked)
    env.reset(options={"question": asked.id})
    console.print(panel(asked.text, f"Question {asked.id}, of an invented world", "bold"))
    shown = len(env.messages)
    info: dict[str, Any] = {}
    while not env.episode.ended:
        *_, info = env.step(policy.act(env.messages))
    console.print(*conversation(env.messages, shown), sep="\n")
    console.print(score_table(info["score"]))
    console.print(_NEXT)


def make(env_id: str, questions: str = "") -> MedResearchEnv:
    """Create a registered environment.

    Args:
        env_id: Id of the environment.
        questions: Folder of a question set or file of questions; empty for the environment's own.

    Raises:
        UsageError: Unknown environment, or not a `MedResearchEnv`.
    """
    settings: dict[str, Any] = {"questions": questions} if questions else {}
    try:
        env = gymnasium.make(env_id, **settings).unwrapped
    except gymnasium.error.Error as error:
        raise UsageError(f"{error} (known: {', '.join(ENVIRONMENTS)})") from error
    if not isinstance(env, MedResearchEnv):
        raise UsageError(f"expected an environment of medenv, got {env_id!r}")
    return env


def action_of(line: str, env: MedResearchEnv) -> str:
    """Convert an input line to an action in the environment's dialect.

    Args:
        line: Words to search for, ``?id``, ``=answer``, or a turn in the dialect.
        env: The environment.
    """
    dialect = env.rules.dialect
    if line.startswith("="):
        return dialect.write_answer(line[1:].strip())
    if line.startswith("?"):
        return dialect.write_call("read", {"passage_id": line[1:].strip()})
    if line.startswith("<"):
        return line
    return dialect.write_call("search", {"query": line})


def score_table(score: Score) -> Table:
    """Return a score with its parts as a table.

    Args:
        score: The score of an episode.
    """
    table = Table("part", "raw", "weight", "pays", "reason")
    for name, part in score.parts.items():
        pays = f"{part.weighted:.3f}" + (" (gate closed)" if part.gated else "")
        table.add_row(name, f"{part.raw:.3f}", f"{part.weight:g}", pays, escape(part.reason))
    total = "none" if score.total is None else f"{score.total:.3f}"
    table.add_row("total", "", "", total, "", style="bold")
    return table


def register_commands() -> None:
    """Register the commands of the other modules."""
    from medenv.cli import conformance as cli_conformance
    from medenv.cli import corpus as cli_corpus
    from medenv.cli import data as cli_data
    from medenv.cli import evaluations as cli_evaluations
    from medenv.cli import kg as cli_kg
    from medenv.cli import models as cli_models
    from medenv.cli import questions as cli_questions
    from medenv.cli import recipes as cli_recipes
    from medenv.cli import rewards as cli_rewards
    from medenv.cli import serving as cli_serving
    from medenv.cli import worlds as cli_worlds

    cli_conformance.register(app)
    cli_corpus.register(app, serving)
    cli_data.register(app)
    cli_evaluations.register(app)
    cli_kg.register(app)
    cli_recipes.register(app)
    cli_serving.register(serving)
    cli_worlds.register(cli_kg.kg_app)
    cli_models.register(cli_kg.kg_app, cli_questions.questions_app)
    cli_rewards.register(app)
    import_module("medenv.cli.template").register(app)  # by name: it imports a higher layer


register_commands()


def clash() -> str:
    """Return what to do about another project's distribution `medenv`, empty where there is none.

    This one is `medenv-rl`; both hold a package `medenv`, and whichever came last is imported.
    """
    try:
        other = distribution("medenv")
    except PackageNotFoundError:
        return ""
    if any(one.value == "medenv.cli.main:main" for one in other.entry_points):
        return ""  # an earlier installation of this one
    return (
        f"another project's distribution medenv {other.version} is installed, whose package has "
        "this one's name: pip uninstall medenv, then pip install --force-reinstall medenv-rl"
    )


def main() -> None:
    """Run the command line; a usage error prints one line and exits with code 2."""
    if told := clash():
        Console(stderr=True).print(f"medenv: {told}", soft_wrap=True)
    try:
        app()
    except MedEnvError as error:
        Console(stderr=True).print(f"medenv: {escape(str(error))}", soft_wrap=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
