"""Which part is named by a target, and what it is held against."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import gymnasium
import msgspec

from medenv.build.environment import make_env
from medenv.build.plugins import retriever_factory
from medenv.build.scoring import scoring_of
from medenv.conformance import environments, openenv, retrievers, rewards, sources, tools
from medenv.conformance.report import Report, Result, run_checks
from medenv.envs.env import MedResearchEnv
from medenv.errors import UnknownNameError, UsageError
from medenv.io.network import TOKEN_VARIABLE


def check(target: str, *, path: str | None = None, **options: Any) -> Report:
    """Hold a part against the contracts of its kind, and attack it where it pays.

    Args:
        target: ``"kind:name"``; the kinds are those of `KINDS`, a name is registered, offered by an
            installed package, or ``package.module:object``; an environment's is its Gymnasium id,
            or the URL at which it is served in OpenEnv's protocol.
        path: What a source or retriever reads.
        options: Keyword arguments of the part.

    Raises:
        UnknownNameError: No such kind or name.
        UsageError: It cannot be made with these options.
    """
    kind, colon, name = target.partition(":")
    if not colon or not name:
        raise UsageError(f"expected KIND:NAME, such as tool:search, got {target!r}")
    if kind not in KINDS:
        raise UnknownNameError("kind of part", kind, KINDS)
    return Report(target=target, results=tuple(KINDS[kind](name, path, options)))


def _tool(name: str, path: str | None, options: Mapping[str, Any]) -> list[Result]:
    del path
    made = make_env(tools={name: dict(options)}).toolbox.tools.values()
    several = len(made) > 1
    return [
        msgspec.structs.replace(one, name=f"{tool.name}: {one.name}" if several else one.name)
        for tool in made
        for one in run_checks(tools.CHECKS, tool)
    ]


def _reward(name: str, path: str | None, options: Mapping[str, Any]) -> list[Result]:
    _refuse(path, options)
    return rewards.check_reward(rewards.RewardUnderTest(name, scoring_of(name)))


def _source(name: str, path: str | None, options: Mapping[str, Any]) -> list[Result]:
    return run_checks(sources.CHECKS, sources.SourceUnderTest(name, path, options))


def _retriever(name: str, path: str | None, options: Mapping[str, Any]) -> list[Result]:
    factory, given = retriever_factory({name: options})
    return retrievers.check_retriever(partial(factory, **given), path)


def _environment(name: str, path: str | None, options: Mapping[str, Any]) -> list[Result]:
    _refuse(path, options)
    if name.startswith(("http://", "https://")):
        token = os.environ.get(TOKEN_VARIABLE, "")
        return run_checks(openenv.CHECKS, openenv.open_served(name, token))
    part = environments.EnvironmentUnderTest(name)
    found = run_checks(environments.CHECKS, part)
    if not isinstance(gymnasium.make(name, disable_env_checker=True).unwrapped, MedResearchEnv):
        return found
    return found + rewards.check_reward(rewards.RewardUnderTest("its own", None, name))


def _refuse(path: str | None, options: Mapping[str, Any]) -> None:
    if path is not None or options:
        raise UsageError("rewards and environments take neither a path nor options here")


KINDS: Mapping[str, Callable[[str, str | None, Mapping[str, Any]], list[Result]]] = (
    MappingProxyType(
        {
            "tool": _tool,
            "reward": _reward,
            "source": _source,
            "retriever": _retriever,
            "env": _environment,
        }
    )
)
"""The kinds of parts that can be checked."""
