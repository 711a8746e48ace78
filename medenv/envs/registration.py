"""The ids of medenv's environments, registered with Gymnasium when medenv is imported.

``gymnasium.make("medenv:medenv/Research-v0")`` imports it by itself. What an environment is made of
is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gymnasium.envs.registration import register, registry

ENVIRONMENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "medenv/Research-v0": {"tools": "all"},
        "medenv/ClosedBook-v0": {"tools": (), "budget": {"turns": 2}},
        "medenv/Diagnosis-v0": {
            "cases": 64,
            "tools": ("ask", "diagnose", "search", "read"),
            "budget": {"turns": 12},
        },
        "medenv/Abstain-v0": {"withhold": 0.3, "scoring": {"abstention": 1.0, "format": 0.1}},
    }
)
"""Ids to settings that differ from the defaults of `medenv.build.environment.MakeSettings`."""


def register_all() -> None:
    """Register all environments; a second call changes nothing."""
    for env_id, settings in ENVIRONMENTS.items():
        if env_id not in registry:
            register(
                id=env_id,
                entry_point="medenv.build.environment:make_env",
                vector_entry_point="medenv.build.environment:make_vector_env",
                kwargs={"env_id": env_id, **settings},
            )
