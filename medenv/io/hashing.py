"""Digests: of values, to tell one configuration from another, and of files."""

from __future__ import annotations

import hashlib
from io import BufferedReader
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


def file_digest(file: Path | str | BufferedReader) -> str:
    """Return the SHA-256 of a file's bytes as they lie there, in hexadecimal.

    Args:
        file: The file, or an open one, of which the rest is read.

    Raises:
        DataError: It cannot be read.
    """
    if not isinstance(file, Path | str):
        return hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with Path(file).open("rb") as opened:
            return file_digest(opened)
    except OSError as error:
        raise DataError(file, f"cannot be read: {error.strerror}") from error
