"""Records as JSON lines: faults are told with their line, files written whole or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from medenv.errors import DataError

_T = TypeVar("_T", bound=msgspec.Struct)


def read_records(path: Path | str, type_: type[_T]) -> Iterator[_T]:
    """Yield the records of a file of one JSON object a line, plain or gzipped.

    Empty lines are skipped.

    Args:
        path: The file.
        type_: The record type that every line must hold.

    Raises:
        DataError: The file cannot be read, or a line is no such record.
    """
    path = Path(path)
    decode = msgspec.json.Decoder(type_).decode
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                try:
                    yield decode(line)
                except msgspec.DecodeError as error:
                    problem = f"expected a {type_.__name__}: {error}"
                    raise DataError(path, problem, number) from error
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(path, f"cannot be read: {why}") from error


def write_records(path: Path | str, records: Iterable[msgspec.Struct]) -> int:
    """Write records as JSON lines, replacing the file only when all are written.

    Args:
        path: The file; its folder is made where it does not exist.
        records: What to write.

    Returns:
        How many were written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    encode, count = msgspec.json.encode, 0
    with partial.open("wb") as file:
        for count, record in enumerate(records, 1):  # noqa: B007 - the last count is returned
            file.write(encode(record) + b"\n")
    partial.replace(path)
    return count
