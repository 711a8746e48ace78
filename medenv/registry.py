"""Names to factories: medenv's own parts, those of installed packages, and local objects."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from medenv.errors import UnknownNameError, UsageError, describe

Factory = Callable[..., Any]


class Registry:
    """Names of one kind of part.

    A name is medenv's own, registered in this process, or offered by an installed package through
    an entry point. ``package.module:object`` names any object that can be imported.

    Args:
        kind: What the names name, for messages.
        group: Entry-point group in which other packages offer more.
        own: medenv's own, name to ``"module:attribute"``; imported on first use.
    """

    def __init__(self, kind: str, group: str, own: Mapping[str, str] | None = None) -> None:
        self.kind, self.group = kind, group
        self._own = dict(own or {})
        self._registered: dict[str, tuple[Any, Factory]] = {}

    def names(self) -> tuple[str, ...]:
        """Return all known names, sorted."""
        return tuple(sorted({*self._own, *self._registered, *self._offered()}))

    def register(self, name: str, part: Any, factory: Factory | None = None) -> None:
        """Make a local object usable by name in this process.

        An object of the same module and qualified name is the same one defined again, as when a
        cell of a notebook is run twice, and replaces it.

        Args:
            name: The name.
            part: The object.
            factory: What makes the part; the object itself by default, where it is callable.

        Raises:
            UsageError: Another object has the name.
        """
        taken = self._registered.get(name)
        if name in self._own or (taken and _place(taken[0]) != _place(part)):
            by = self._own.get(name) or ":".join(_place(taken[0] if taken else part))
            raise UsageError(f"{self.kind} {name!r} is taken by {by}: choose another name")
        self._registered[name] = part, factory or _factory(part)

    def load(self, name: str) -> Factory:
        """Return the factory of that name.

        Args:
            name: A known name, or ``package.module:object``.

        Raises:
            UnknownNameError: No part with that name is registered.
            UsageError: It cannot be imported, or two packages offer it.
        """
        if name in self._own:
            return _factory(resolve_name(self._own[name]))
        if name in self._registered:
            return self._registered[name][1]
        if ":" in name:
            return _factory(load_object(self.kind, name))
        offered = self._offered()
        if name not in offered:
            raise UnknownNameError(self.kind, name, self.names())
        if len(offered[name]) > 1:
            values = ", ".join(sorted(point.value for point in offered[name]))
            raise UsageError(f"{self.kind} {name!r} is offered more than once: {values}")
        point = offered[name][0]
        try:
            return _factory(point.load())
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"{self.kind} {name!r} cannot be imported from {point.value}: {error}"
            ) from error

    def _offered(self) -> dict[str, list[EntryPoint]]:
        offered: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            offered.setdefault(point.name, []).append(point)
        return offered


def load_object(kind: str, name: str) -> Any:
    """Import an object by ``package.module:object``.

    Modules in the folder where the command runs are found too, after those of installed packages:
    that folder is appended to `sys.path` here and nowhere else.

    Args:
        kind: What the object is, for messages.
        name: Module and object.

    Raises:
        UsageError: The module cannot be imported, or has no such object.
    """
    here = str(Path.cwd())
    if not {"", here} & {*sys.path}:
        sys.path.append(here)
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise UsageError(f"expected {kind} as package.module:object, got {name!r}")
    try:
        return resolve_name(name)
    except Exception as error:  # whatever a module of other people raises while it is imported
        raise UsageError(f"{kind} {name!r} cannot be imported: {describe(error)}") from error


def _place(part: Any) -> tuple[str, str]:
    """Return where an object was defined: module and qualified name."""
    found = getattr(part, "call", part)  # a tool is defined where its function is
    module = getattr(found, "__module__", type(found).__module__)
    return str(module), str(getattr(found, "__qualname__", type(found).__qualname__))


def _factory(part: Any) -> Factory:
    """Return a part that makes something as it is, else a function that returns it."""
    if callable(part):
        factory: Factory = part
        return factory
    return lambda: part
