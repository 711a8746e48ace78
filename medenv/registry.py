"""Names to factories: medenv's own parts, those of installed packages, and local objects."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
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
            return _factory(load_object(name, self.kind))
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


def load_object(name: str, kind: str) -> Any:
    """Import the object that ``package.module:object`` names.

    Args:
        name: The name.
        kind: What it names, for messages.

    Raises:
        UsageError: It cannot be imported; the message has the reason.
    """
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise UsageError(f"{kind}: expected a name or package.module:object, got {name!r}")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # the module is another package's and may raise anything
        raise UsageError(f"{kind} {name!r} cannot be imported: {describe(error)}") from error
    return found


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
