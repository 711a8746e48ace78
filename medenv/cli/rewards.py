"""Commands that attack rewards and measure the effect of their components."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from medenv.build.plugins import REWARDS
from medenv.build.scoring import scoring_of
from medenv.envs.registration import ENVIRONMENTS
from medenv.errors import NoCertificateError
from medenv.io import write_json
from medenv.reward import PRESETS, Composition, Knowledge
from medenv.reward.analysis.variants import (
    RewardVariant,
    check_arms,
    distinct,
    preset_arm,
    read_arm,
    taken_apart,
)


def register(app: typer.Typer) -> None:
    """Register the commands.

    Args:
        app: The main application.
    """
    app.command()(attack)
    app.command()(rescore)


def attack(
    env_ids: Annotated[
        list[str] | None,
        typer.Argument(
            help="Environments; all of medenv's without any, medenv/Research-v0 with --questions."
        ),
    ] = None,
    scoring: Annotated[
        list[str] | None,
        typer.Option(
            help="Preset, registered reward, or package.module:object, a reward or a component;"
            " without any, all presets and registered rewards that can score the questions."
        ),
    ] = None,
    questions: Annotated[
        str, typer.Option(help="Folder of a question set, such as a world, or a file of questions.")
    ] = "",
    n: Annotated[int, typer.Option(help="Questions attacked per environment.")] = 64,
    dialect: Annotated[
        list[str] | None,
        typer.Option(help="Dialect of the attacks; by default the environment's own."),
    ] = None,
) -> None:
    """Run scripted attacks on rewards; exit code 1 if one earns more than its bound."""
    from medenv.ablation.attack import AttackEnvironment
    from medenv.report.attacks import attack_table

    console, broken = Console(), 0
    names = scoring or [*PRESETS, *REWARDS.names()]
    scorings: dict[str, Any] = {name: scoring_of(name) for name in names}
    attacked = env_ids or (["medenv/Research-v0"] if questions else list(ENVIRONMENTS))
    for env_id, how in product(attacked, dialect or (None,)):
        environment = AttackEnvironment(env_id, n=n, dialect=how, questions=questions or None)
        if how is not None:
            console.print(f"dialect: {how}")
        own = {} if scoring else own_scoring(env_id)
        found = []
        for name, settings in (scorings | own).items():
            try:
                reward = environment.reward(settings)
            except NoCertificateError as error:
                if scoring:
                    raise
                console.print(f"{name} is left out: {error}", markup=False, soft_wrap=True)
                continue
            found += environment.findings(name, reward)
        console.print(attack_table(found))
        broken += sum(not finding.kept for finding in found)
        for finding in found:
            if not finding.kept:
                console.print(
                    f"{finding.scoring}: {finding.attack!r} is worth {finding.worst:.2f} on"
                    f" question {finding.question!r} with the answer {finding.answer!r}",
                    style="red",
                    markup=False,
                    soft_wrap=True,
                )
    if broken:
        console.print(f"{broken} bounds are broken.", style="bold red")
        raise typer.Exit(1)
    console.print("All bounds are kept.", style="bold green")


def own_scoring(env_id: str) -> dict[str, Any]:
    """Return the environment's own reward setting by name, if it is not a preset.

    Args:
        env_id: Id of the environment.
    """
    scoring = ENVIRONMENTS.get(env_id, {}).get("scoring")
    return {} if scoring is None or isinstance(scoring, str) else {"its own": scoring}


def rescore(  # noqa: PLR0913 - each parameter is an option of the command
    files: Annotated[list[Path], typer.Argument(help="JSONL files of scored episodes.")],
    presets: Annotated[
        str, typer.Option(help="Comma-separated presets; the first is the baseline.")
    ] = ",".join(PRESETS),
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Custom reward: name:accuracy=1,format=0.2@open (gate after @)."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="Preset to vary: without each part, with each part alone, ungated."),
    ] = None,
    graph: Annotated[
        str, typer.Option(help="Graph with the episodes' names: toy, hpo or a saved graph.")
    ] = "",
    env: Annotated[
        str, typer.Option(help="Environment of the attacks on each reward; empty for none.")
    ] = "medenv/Research-v0",
    html: Annotated[Path | None, typer.Option(help="Output HTML page.")] = None,
    json: Annotated[Path | None, typer.Option(help="Output JSON file of all results.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
) -> None:
    """Rescore stored rollouts under several rewards and compare the learning signals."""
    from medenv.ablation.offline import RolloutStore
    from medenv.ablation.offline import ablate as compare
    from medenv.report.ablation import tables, verdict, write_ablation

    arms = chosen_arms(presets, arm or [], vary or [])
    store = RolloutStore(_knowledge(graph))
    for path in files:
        store.read(path)
    found = compare(store, arms, exploit=_exploit(env) if env else None, seed=seed)
    console = Console()
    for table in tables(found):
        console.print(table)
    console.print(verdict(found.arms), soft_wrap=True, markup=False)
    if found.disagreeing:
        console.print(
            f"The stored accuracy of {found.disagreeing} episodes differs from the recomputed one;"
            " set --graph to the graph that they were scored with.",
            style="yellow",
            soft_wrap=True,
        )
    if html:
        write_ablation(html, found)
    if json:
        write_json(json, found)


def chosen_arms(presets: str, written: Sequence[str], varied: Sequence[str]) -> list[RewardVariant]:
    """Return the arms of the options, in their order.

    Variations of a preset that are equivalent to an earlier arm are left out.

    Args:
        presets: Comma-separated names of presets, or ``""``.
        written: Arms in the format of `medenv.reward.analysis.variants.read_arm`.
        varied: Names of presets to vary.

    Raises:
        UsageError: An arm is malformed, or two arms have the same name.
    """
    arms = [preset_arm(name.strip()) for name in presets.split(",") if name.strip()]
    arms += [read_arm(text) for text in written]
    check_arms(arms or [preset_arm(name) for name in varied])
    new = distinct([*arms, *(arm for name in varied for arm in taken_apart(preset_arm(name)))])
    return [*arms, *(arm for arm in new if arm not in arms)]


def _knowledge(graph: str) -> Knowledge:
    """Return the components' knowledge of a graph, or empty knowledge without a graph."""
    if not graph:
        return Knowledge()
    from medenv.build.knowledge import knowledge_of
    from medenv.kg import Graph, load_hpo, toy_graph

    sources: dict[str, Callable[[], Graph]] = {"toy": toy_graph, "hpo": load_hpo}
    return knowledge_of(sources[graph]() if graph in sources else Graph.load(graph))


def _exploit(env_id: str) -> Callable[[Composition], float]:
    """Return a function that computes the exploitability of a composition in an environment."""
    from medenv.ablation.attack import AttackEnvironment, exploitability

    attacked = AttackEnvironment(env_id)
    return lambda composition: exploitability(
        attacked.findings("arm", attacked.reward(composition))
    )
