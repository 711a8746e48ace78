"""Registration of the environments with Gymnasium, executed when medenv is imported.

``gymnasium.make("medenv:medenv/Research-v0")`` imports medenv itself. The modules of an environment
are imported only when it is created.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.envs.registration import registry

from medenv.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from medenv.envs.env import MedResearchEnv

ENVIRONMENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "medenv/Research-v0": {"tools": "all"},
        "medenv/ClosedBook-v0": {"tools": (), "budget": {"turns": 2}},
        "medenv/Diagnosis-v0": {
            "cases": 64,
            "tools": ("ask", "diagnose", "search", "read"),
            "budget": {"turns": 12},
            "scoring": {"differential": 1.0, "gene": 0.1, "format": 0.1},
        },
        "medenv/Abstain-v0": {"withhold": 0.3, "scoring": {"abstention": 1.0, "format": 0.1}},
    }
)
"""Environment id to settings other than the defaults of `medenv.build.environment.MakeSettings`."""


def register(env_id: str, **settings: Any) -> None:
    """Register an environment with Gymnasium under an id of its own.

    Args:
        env_id: The id, such as ``"my_package/Rare-v0"``.
        settings: Fields of `medenv.build.environment.MakeSettings` that differ from the defaults.

    Raises:
        UsageError: The id is taken by an environment of other settings.
    """
    kwargs = {"env_id": env_id, **settings}
    if env_id in registry:
        if registry[env_id].kwargs != kwargs:
            raise UsageError(f"environment {env_id!r} is taken: choose another id, or version")
        return
    gymnasium.register(
        id=env_id,
        entry_point="medenv.build.environment:make_env",
        vector_entry_point="medenv.build.environment:make_vector_env",
        kwargs=kwargs,
    )


def register_all() -> None:
    """Register medenv's own environments; further calls do nothing."""
    for env_id, settings in ENVIRONMENTS.items():
        register(env_id, **settings)


def make(
    env_id: str = "medenv/Research-v0", *, render_mode: str | None = None, **settings: Any
) -> MedResearchEnv:
    """Make an environment by its id; what `gymnasium.make` makes, without its wrappers.

    Args:
        env_id: The id of a registered environment.
        render_mode: How it shows itself; see `MedResearchEnv.render`.
        settings: Fields of `medenv.build.environment.MakeSettings` that differ from the id's.

    Raises:
        UnknownNameError: There is no such environment of medenv.
        UsageError: An unknown field, name or value.
    """
    from medenv.envs.env import MedResearchEnv

    known = [one for one, spec in registry.items() if "env_id" in spec.kwargs]
    if env_id not in known:
        raise UnknownNameError("environment", env_id, known)
    made = gymnasium.make(env_id, render_mode=render_mode, **settings).unwrapped
    assert isinstance(made, MedResearchEnv)
    return made
