"""Hydra schemas of records: all settings of a record by name and type, with its own defaults.

Against a schema Hydra refuses a misspelt key or a wrong type, and takes every setting that the
record has, whether a YAML file mentions it or not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec
from omegaconf import MISSING, DictConfig, OmegaConf


def schema(record: type[msgspec.Struct], more: Mapping[str, Any] | None = None) -> type:
    """Return a record's settings as the dataclass that Hydra wants.

    Args:
        record: The record.
        more: Further keys that the config has, to their defaults; any value fits them.
    """
    fields: list[tuple[str, Any, Any]] = []
    for told in msgspec.structs.fields(record):
        if isinstance(told.type, type) and issubclass(told.type, msgspec.Struct):
            inner = schema(told.type)
            fields.append((told.name, inner, dataclasses.field(default_factory=inner)))
        else:
            fields.append((told.name, _type(told.type), _default(told)))
    for name, value in (more or {}).items():
        fields.append((name, Any, dataclasses.field(default=value)))
    return dataclasses.make_dataclass(record.__name__, fields)


def hydra_schema(section: type) -> DictConfig:
    """Return a section's dataclass as a Hydra schema whose free-form mappings take any key.

    Without this ``'options={namespaces: [ORPHA]}'`` is refused: Hydra closes every mapping of a
    config, those of type `dict` too.

    Args:
        section: The dataclass, e.g. from `schema`.
    """
    node: DictConfig = OmegaConf.structured(section)
    _open_mappings(node)
    return node


def _open_mappings(node: DictConfig) -> None:
    for name in node:
        inner = node._get_node(name)
        if not isinstance(inner, DictConfig):
            continue
        if OmegaConf.get_type(inner) is dict:
            OmegaConf.set_struct(inner, False)
        else:
            _open_mappings(inner)


def _type(told: Any) -> Any:
    """Return a type as OmegaConf knows it: tuples of one type are lists."""
    return list[get_args(told)[0]] if get_origin(told) is tuple else told  # type: ignore[misc]


def _default(told: msgspec.structs.FieldInfo) -> Any:
    if told.required:
        return dataclasses.field(default=MISSING)
    made = told.default_factory() if told.default is msgspec.NODEFAULT else told.default
    return dataclasses.field(default_factory=lambda: msgspec.to_builtins(made))
