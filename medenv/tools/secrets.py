"""Environment variables in settings, so that API keys are never stored in files."""

from __future__ import annotations

import os
import re

from medenv.errors import UsageError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expand_variables(text: str) -> str:
    """Replace every ``${NAME}`` in a setting by the environment variable's value.

    Args:
        text: The setting, e.g. ``"Bearer ${TOKEN}"``.

    Raises:
        UsageError: A variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UsageError(f"the environment variable {match[1]} is not set: a setting uses it")
        return os.environ[match[1]]

    return _VARIABLE.sub(value, text)
