"""The commands that serve an environment: to trainers, and to agents."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from medenv.cli.options import named_options
from medenv.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from medenv.build.environment import Parts


_Target = Annotated[
    str, typer.Argument(help="Id of an environment, or an environment.json or its folder.")
]
_Questions = Annotated[str, typer.Option(help="Folder of a question set, or a file of questions.")]
_Split = Annotated[str, typer.Option(help="Split to ask: train, test, or all by default.")]
_Settings = Annotated[
    list[str] | None,
    typer.Option("--option", help="Setting of the environment, NAME=VALUE: dialect=openai."),
]
_Host = Annotated[str, typer.Option(help="Address to listen on.")]
_Tokens = Annotated[
    Path | None,
    typer.Option(help="File of access tokens, NAME TOKEN per line; or set MEDENV_TOKEN."),
]
_State = Annotated[
    Path | None, typer.Option(help="Folder that keeps finished and running episodes over restarts.")
]
_Seed = Annotated[int, typer.Option(help="Seed of the questions of episodes without one.")]


def register(serving: typer.Typer) -> None:
    """Register the commands.

    Args:
        serving: The group of the serve commands.
    """
    serving.command("env")(serve_env)
    serving.command("mcp")(serve_mcp)


def serve_env(  # noqa: PLR0913 - each parameter is an option of the command
    target: _Target = "medenv/Research-v0",
    questions: _Questions = "",
    split: _Split = "",
    option: _Settings = None,
    host: _Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    tokens: _Tokens = None,
    state: _State = None,
    sessions: Annotated[int, typer.Option(help="Sessions at the same time.", min=1)] = 256,
    idle: Annotated[
        float, typer.Option(help="Seconds without a request after which a session ends.")
    ] = 1800.0,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", help="Further limit, NAME=VALUE: steps_per_second=5."),
    ] = None,
    seed: _Seed = 0,
) -> None:
    """Serve an environment over HTTP and WebSocket, in the protocol of OpenEnv."""
    from medenv.serving import EnvironmentServer, Limits, Tokens
    from medenv.serving.web import check_address

    settings = _settings(option, questions, split)
    further = named_options(limit, "--limit")
    for name in further:
        if name not in Limits.__struct_fields__:
            raise UnknownNameError("limit", name, Limits.__struct_fields__)
    known = Tokens.read(tokens)
    check_address(host, known)
    try:
        limits = Limits(**{"sessions": sessions, "idle_seconds": idle} | further)
    except TypeError as error:
        raise UsageError(f"expected numbers as limits, got {further}") from error
    parts = _parts(target, settings)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    server = EnvironmentServer(parts, limits=limits, folder=state, seed=seed)
    console = Console()

    def say(address: str) -> None:
        console.print(
            f"serving {parts.rules.env_id or target} at {address}: {len(parts.questions):,} "
            f"questions, {limits.sessions} sessions",
            soft_wrap=True,
            highlight=False,
        )

    server.run(host=host, port=port, tokens=known, say=say)


def serve_mcp(  # noqa: PLR0913 - each parameter is an option of the command
    target: _Target = "medenv/Research-v0",
    questions: _Questions = "",
    split: _Split = "",
    option: _Settings = None,
    port: Annotated[
        int | None, typer.Option(help="Port of streamable HTTP; by default stdin and stdout.")
    ] = None,
    host: _Host = "127.0.0.1",
    tokens: _Tokens = None,
    state: _State = None,
    seed: _Seed = 0,
) -> None:
    """Serve episodes and tools to agents as an MCP server, over stdio or streamable HTTP."""
    import asyncio

    from medenv.serving import Tokens
    from medenv.serving.tool_server import ToolServer
    from medenv.serving.web import check_address

    known = Tokens.read(tokens)
    check_address(host, known)
    parts = _parts(target, _settings(option, questions, split))
    server = ToolServer(parts, folder=state, seed=seed)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if port is None:
        asyncio.run(server.run_stdio())
        return
    console = Console()

    def say(address: str) -> None:
        console.print(f"serving {target} at {address}/mcp", soft_wrap=True, highlight=False)

    server.run(host=host, port=port, tokens=known, say=say)


def _settings(option: list[str] | None, questions: str, split: str) -> dict[str, Any]:
    """Return the settings that a command line gives an environment."""
    given = {"questions": questions, "split": split}
    return named_options(option) | {name: value for name, value in given.items() if value}


def _parts(target: str, settings: dict[str, Any]) -> Parts:
    """Return the environment of an id, or of an `environment.json`."""
    from medenv.build.environment import registered_parts
    from medenv.build.prepare import ENVIRONMENT, load_environment

    path = Path(target)
    if path.exists():
        path = path / ENVIRONMENT if path.is_dir() else path
        if settings:
            names = ", ".join(settings)
            raise UsageError(f"{path} says what to serve: leave out {names}")
        return load_environment(str(path)).parts
    return registered_parts(target, **settings)
