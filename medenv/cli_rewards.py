"""Commands about rewards: hold them against cheaters, and see what each component does."""

from __future__ import annotations

import pkgutil
from typing import Annotated, Any

import typer
from rich.console import Console

from medenv.errors import UnknownNameError, UsageError
from medenv.registration import ENVIRONMENTS
from medenv.registry import REWARDS
from medenv.reward import PRESETS


def register(app: typer.Typer) -> None:
    """Add the commands about rewards to a command line.

    Args:
        app: The command line.
    """
    app.command()(attack)


def attack(
    env_ids: Annotated[
        list[str] | None, typer.Argument(help="Environments; all of medenv's without any.")
    ] = None,
    reward: Annotated[
        list[str] | None,
        typer.Option(help="Preset, installed reward, or module:name; all that are known without."),
    ] = None,
    questions: Annotated[int, typer.Option(help="Questions attacked per environment.")] = 64,
) -> None:
    """Let scripted cheaters loose on rewards; exit code 1 where one earns more than its bound."""
    from medenv.attack import Arena, table

    console, broken = Console(), 0
    names = reward or [*PRESETS, *REWARDS.names()]
    scorings = {name: resolve_reward(name) for name in names}
    for env_id in env_ids or ENVIRONMENTS:
        arena = Arena(env_id, questions=questions)
        found = [
            finding
            for name, scoring in scorings.items()
            for finding in arena.findings(name, arena.reward(scoring))
        ]
        console.print(table(found))
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


def resolve_reward(name: str) -> Any:
    """Return what stands for a reward in an environment's settings.

    Args:
        name: A preset, an installed reward, or ``"module:name"`` of a `medenv.records.RewardFn`.

    Raises:
        UnknownNameError: No such preset or installed reward.
        UsageError: The module or the name in it does not exist, or is no function.
    """
    if ":" not in name:
        if name not in PRESETS and name not in REWARDS.names():
            raise UnknownNameError("reward", name, (*PRESETS, *REWARDS.names()))
        return name
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"reward {name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise UsageError(f"reward {name!r} is a {type(found).__name__}, not a function")
    return found
