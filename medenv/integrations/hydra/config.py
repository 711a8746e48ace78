"""Hydra configs: our own sections, whose schema is generated from records, and verl's tree.

Hydra guards keys on the command line, not those inside a YAML file. Our own sections follow a
schema, so that a misspelt key is an error wherever it stands; for keys of verl's tree,
`check_verl_keys` compares what our files set with what verl knows.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from omegaconf import DictConfig, OmegaConf

from medenv.build.settings import RunSettings
from medenv.errors import MissingExtraError, UsageError
from medenv.integrations.hydra.schemas import record_type, schema_of

ADDED_KEYS = frozenset(
    {
        "actor_rollout_ref.actor.fsdp_config.mixed_precision",
        "actor_rollout_ref.rollout.enable_sleep_mode",
        "critic.fsdp.mixed_precision",
        "ray_kwargs.ray_init.num_gpus",
        "ray_kwargs.ray_init.include_dashboard",
        "ray_kwargs.ray_init.dashboard_port",
        "ray_kwargs.ray_init.object_store_memory",
        "ray_kwargs.ray_init.log_to_driver",
        "ray_kwargs.ray_init.address",
        "ray_kwargs.ray_init.runtime_env.env_vars",
        "ray_kwargs.ray_init.runtime_env.worker_process_setup_hook",
    }
)
"""Keys that verl reads though its tree does not list them."""

Settings = TypeVar("Settings", bound=RunSettings)


def verl_config_dir() -> str:
    """Return the folder of verl's own configs, without importing verl.

    Raises:
        MissingExtraError: verl is not installed.
    """
    spec = importlib.util.find_spec("verl")
    if spec is None or spec.origin is None:
        raise MissingExtraError("recipes that train", "verl")
    return str(Path(spec.origin).parent / "trainer" / "config")


def plain(config: DictConfig, *, complete: bool = False) -> dict[str, Any]:
    """Return a config as plain data, interpolations resolved.

    Args:
        config: Any mapping of a config.
        complete: Whether a mandatory value (``???``) that is missing is an error.
    """
    data = OmegaConf.to_container(config, resolve=True, throw_on_missing=complete)
    if not isinstance(data, dict):
        raise UsageError(f"expected a mapping in the config, got {type(data).__name__}")
    return {str(key): value for key, value in data.items()}


def register_schema(recipe: str, settings: type[RunSettings]) -> None:
    """Make `${verl_config_dir:}` and a recipe's schema known to Hydra; may be repeated.

    Args:
        recipe: Name of the recipe; its schema is ``<recipe>_schema`` in a defaults list.
        settings: What it composes from.
    """
    OmegaConf.register_new_resolver("verl_config_dir", verl_config_dir, replace=True)
    ConfigStore.instance().store(f"{recipe}_schema", node=schema_of(settings), package="_global_")


def settings_of(config: DictConfig, record: type[Settings]) -> Settings:
    """Return the settings that a composed config holds.

    Args:
        config: The composed config; other keys in it are left alone.
        record: The settings.

    Raises:
        UsageError: A value has another type, or is out of range.
    """
    names = [name for name in record.__struct_fields__ if name in config]
    values = plain(OmegaConf.masked_copy(config, names), complete=True)
    try:
        return msgspec.convert(_without_blanks(values, record), record)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise UsageError(f"{where.rstrip('`')}: {what}" if where else what) from error


def _without_blanks(values: dict[str, Any], record: type[msgspec.Struct]) -> dict[str, Any]:
    """Return settings without empty mappings, for which the record's own default holds."""
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(record):
        value = values.get(field.name)
        inner = record_type(field.type)
        if isinstance(value, dict) and inner is not None:
            kept[field.name] = _without_blanks(value, inner)
        elif field.name in values and value != {}:
            kept[field.name] = value
    return kept


def check_config(
    config: DictConfig, settings: type[RunSettings], tree: str = "ppo_trainer"
) -> None:
    """Refuse a composed config with a key that neither verl nor our schema knows.

    Args:
        config: The composed config.
        settings: What the recipe composes from.
        tree: Name of verl's own primary config.

    Raises:
        UsageError: Such a key, with the nearest one that exists.
    """
    ours = OmegaConf.masked_copy(
        config, [str(name) for name in config if name not in settings.__struct_fields__]
    )
    check_verl_keys(ours, verl_tree(tree), ADDED_KEYS)


@functools.cache
def verl_tree(tree: str) -> DictConfig:
    """Compose verl's own tree once, to be read, also from within a program that Hydra has started.

    Args:
        tree: Name of verl's own primary config.
    """
    outer = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(verl_config_dir(), version_base="1.3"):
            return compose(tree)
    finally:
        Singleton.set_state(outer)


def check_verl_keys(config: DictConfig, known: DictConfig, added: frozenset[str]) -> None:
    """Refuse keys that neither verl nor our schema knows.

    Args:
        config: The composed config.
        known: verl's own tree, composed alone.
        added: Dotted keys that verl reads though its tree does not list them.

    Raises:
        UsageError: A key that nobody knows, with the nearest one that exists.
    """
    names = set(keys_of(known))
    for key in keys_of(config, branches=False):
        if key.startswith("hydra.") or key in names:
            continue
        if any(key == other or key.startswith(f"{other}.") for other in added):
            continue
        if any(key.startswith(f"{name}.") and _is_open(known, name) for name in names):
            continue
        near = difflib.get_close_matches(key, names | added, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"verl has no config key {key!r}{hint}")


def _is_open(known: DictConfig, name: str) -> bool:
    """Whether verl leaves a mapping empty, or null, for anyone to fill."""
    node = OmegaConf.select(known, name)
    return node is None or (isinstance(node, DictConfig) and len(node) == 0)


def keys_of(node: DictConfig, *, branches: bool = True) -> Iterator[str]:
    """Yield the dotted keys of a config in their order, without resolving any value.

    Args:
        node: The config.
        branches: Whether to yield the keys of mappings besides those of values.
    """
    for name in node:
        inner = None if OmegaConf.is_missing(node, name) else node._get_node(name)
        if not isinstance(inner, DictConfig) or branches:
            yield str(name)
        if isinstance(inner, DictConfig):
            yield from (f"{name!s}.{key}" for key in keys_of(inner, branches=branches))
