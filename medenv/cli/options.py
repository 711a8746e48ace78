"""Options of a part, as they are written on a command line."""

from __future__ import annotations

from typing import Any

import msgspec

from medenv.errors import UsageError


def named_options(given: list[str] | None, option: str = "--option") -> dict[str, Any]:
    """Return options written as NAME=VALUE, values in JSON or as plain text.

    Args:
        given: The texts, or None.
        option: Name of the option, for messages.

    Raises:
        UsageError: One has no name or no value.
    """
    options: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(f"expected {option} NAME=VALUE, got {text!r}")
        try:
            options[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            options[name] = value
    return options
