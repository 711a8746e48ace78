"""Digests: of values, to tell one configuration from another, and of files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import DataError


def digest(value: Any, length: int = 64) -> str:
    """Return the SHA-256 of a value as JSON, in hexadecimal.

    Args:
        value: Anything that JSON can hold; bytes are hashed as they are, text in UTF-8.
        length: How many digits.
    """
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value, order="deterministic")
    return hashlib.sha256(raw).hexdigest()[:length]


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes as they lie there, in hexadecimal.

    Args:
        path: The file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
