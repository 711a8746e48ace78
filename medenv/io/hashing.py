"""SHA-256 digests of values and files."""

from __future__ import annotations

import hashlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import DataError


def digest(value: Any, length: int = 64) -> str:
    """Return the hexadecimal SHA-256 of a value encoded as JSON.

    Args:
        value: Any value that JSON can represent; bytes are hashed directly, text as UTF-8.
        length: Number of digits.
    """
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value, order="deterministic")
    return hashlib.sha256(raw).hexdigest()[:length]


def file_digest(file: Path | str | BufferedReader) -> str:
    """Return the hexadecimal SHA-256 of a file's raw bytes.

    Args:
        file: A path, or an open file that is read from its current position.

    Raises:
        DataError: The file cannot be read.
    """
    if not isinstance(file, Path | str):
        return hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with Path(file).open("rb") as opened:
            return file_digest(opened)
    except OSError as error:
        raise DataError(file, f"cannot be read: {error.strerror}") from error
