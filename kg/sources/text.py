"""Text files, plain or gzipped, whose every failure names the file and the line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from medenv.errors import DataError


def locate(folder: Path, name: str) -> Path:
    """Return ``folder/name`` or ``folder/name.gz``, whichever exists.

    Raises:
        DataError: Neither exists.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(folder / name, "no such file, nor one ending in .gz")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file without their ends, each with its 1-based number.

    Raises:
        DataError: The file cannot be read, is not UTF-8, or its gzip stream was cut short.
    """
    number = 0
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8")
        ) as file:
            for number, line in enumerate(file, start=1):
                yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(path, f"is not UTF-8 text ({error.reason})", number + 1) from error
    except (EOFError, zlib.error) as error:
        raise DataError(path, f"the gzip stream was cut short ({error})", number + 1) from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({error})", number or None) from error
