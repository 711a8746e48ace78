"""Pickles of foreign data: plain containers only, and no code is run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from medenv.errors import DataError

_PLAIN = {("builtins", "set"): set, ("builtins", "frozenset"): frozenset}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Python 2's name of the module, in pickles of protocols 0 to 2.
        found = _PLAIN.get((module.replace("__builtin__", "builtins"), name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return found


def load_plain(path: Path | str) -> Any:
    """Read a pickle of dicts, lists, tuples, sets, texts and numbers.

    Args:
        path: The file.

    Raises:
        DataError: The file cannot be read, is cut short, or contains anything else.
    """
    try:
        with Path(path).open("rb") as file:
            return _PlainUnpickler(file).load()
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    except Exception as error:  # a malformed pickle raises almost anything
        problem = f"expected a pickle of plain containers and values, got another one: {error}"
        raise DataError(path, problem) from error
