"""Hydra schemas generated from records: each setting by name and type, with its own default.

Against a schema Hydra refuses a misspelt key or a wrong type, in a YAML file too, and knows every
setting that a record has, whether a file mentions it or not.
"""

from __future__ import annotations

import dataclasses
import types
from functools import lru_cache, partial
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from omegaconf import MISSING, DictConfig, OmegaConf


def schema_of(record: type[msgspec.Struct]) -> DictConfig:
    """Return the schema of a recipe's settings.

    Nested records are checked key by key; fields that are free-form mappings take any key, which
    Hydra alone would refuse on the command line (``'graph.options={namespaces: [ORPHA]}'``).

    Args:
        record: The settings. Its own fields that are no records become plain values.
    """
    node: DictConfig = OmegaConf.create()
    for field in msgspec.structs.fields(record):
        value = _value(_default(field))
        plain = not dataclasses.is_dataclass(value)
        node[field.name] = value if plain else OmegaConf.structured(value)
    _open_mappings(node)
    return node


def _filled(record: msgspec.Struct) -> Any:
    """Return a record as an instance of its dataclass."""
    fields = record.__struct_fields__
    return _dataclass(type(record))(**{name: _value(getattr(record, name)) for name in fields})


def _value(value: Any) -> Any:
    """Return a value as OmegaConf takes it.

    Mappings become empty: OmegaConf merges them, and one that a config names replaces the default.
    """
    if isinstance(value, msgspec.Struct):
        return _filled(value)
    if isinstance(value, tuple | list):
        return [_value(one) for one in value]
    return {} if isinstance(value, dict) else msgspec.to_builtins(value)


@lru_cache(maxsize=64)
def _dataclass(record: type[msgspec.Struct]) -> type:
    """Return a record as the dataclass that OmegaConf wants."""
    fields = []
    for field in msgspec.structs.fields(record):
        default = _default(field)
        if default is MISSING:
            made: Any = dataclasses.field(default=MISSING)
        else:
            made = dataclasses.field(default_factory=partial(_value, default))
        fields.append((field.name, _type(field.type), made))
    return dataclasses.make_dataclass(record.__name__, fields)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.required:
        return MISSING
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def record_type(kind: Any) -> type[msgspec.Struct] | None:
    """Return a field's type where it is a record, or None.

    Args:
        kind: The field's type.
    """
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _type(kind: Any) -> Any:
    """Return a type as OmegaConf knows it; what it does not know takes any value."""
    origin, arguments = get_origin(kind), get_args(kind)
    if record_type(kind) is not None:
        return _dataclass(kind)
    if kind in (bool, int, float, str):
        return kind
    if origin in (tuple, list):
        return list[_element(arguments[0])]  # type: ignore[misc]  # a type made at run time
    if origin is dict:
        return dict[str, _element(arguments[1])]  # type: ignore[misc]  # a type made at run time
    if origin is Literal:
        return str
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        inner = _type(next(one for one in arguments if one is not type(None)))
        return Any if inner is Any else inner | None
    return Any


def _element(kind: Any) -> Any:
    """Return the type of what a list or mapping holds."""
    return _type(kind) if kind in (bool, int, float, str) or record_type(kind) is not None else Any


def _open_mappings(node: DictConfig) -> None:
    for name in node:
        inner = node._get_node(name)
        if not isinstance(inner, DictConfig):
            continue
        if OmegaConf.get_type(inner) is dict:
            OmegaConf.set_struct(inner, False)
        else:
            _open_mappings(inner)
