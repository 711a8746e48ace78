"""Bytes to text, lines, tables and JSON: plain or gzipped, UTF-8, with any system's line ends.

A byte-order mark of UTF-8 is skipped. Whatever cannot be read is a `DataError` that names the file
and, where there is one, the line.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec

from medenv.errors import DataError

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Malformed(ValueError):
    """Bytes or text that cannot be decoded; the message says what they are instead."""


def decode_text(raw: bytes) -> str:
    """Return the text of bytes in UTF-8, without a byte-order mark.

    Args:
        raw: The bytes.

    Raises:
        Malformed: They are not UTF-8.
    """
    try:
        return raw.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        if raw.startswith(_OTHER_MARKS):
            raise Malformed("UTF-16 text, not UTF-8; save it as UTF-8") from None
        at = f"byte 0x{raw[error.start]:02x} at {error.start}, {error.reason}"
        raise Malformed(f"not UTF-8 text ({at}); save it as UTF-8") from None


def decode_json(raw: bytes | str, type_: type[T]) -> T:
    """Return the value of JSON in UTF-8, without a byte-order mark.

    Args:
        raw: The JSON.
        type_: What it must hold.

    Raises:
        Malformed: It is not UTF-8, not JSON, nested too deeply, or holds something else.
    """
    return _decode(raw, msgspec.json.Decoder(type_))


def _decode(raw: bytes | str, decoder: msgspec.json.Decoder[T]) -> T:
    if isinstance(raw, bytes):
        if not raw.isascii():
            decode_text(raw)  # the decoder would pass over bytes in fields that it skips
        raw = raw.removeprefix(_BOM)
    else:
        raw = raw.removeprefix("\ufeff")
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Malformed(str(error)) from None
    except RecursionError:
        raise Malformed("nested too deeply") from None


@contextmanager
def _opened(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file that is plain or gzipped, whatever its name says."""
    try:
        with Path(path).open("rb") as file:
            if file.peek(2)[:2] == _GZIP:
                with gzip.open(file) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(path, f"cannot be read: its gzip stream was cut short ({error})") from error
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror or error}") from error


def read_bytes(path: Path | str) -> bytes:
    """Return all that a file holds, unpacked where it is gzipped.

    Raises:
        DataError: The file cannot be read.
    """
    with _opened(path) as file:
        return file.read()


def read_text(path: Path | str) -> str:
    """Return the text of a file, each line ended by a line feed.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    return "".join(f"{line}\n" for _, line in numbered_lines(path))


def raw_lines(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file as bytes, without their ends, each with its 1-based number.

    Args:
        path: The file.

    Raises:
        DataError: The file cannot be read.
    """
    number = 0
    with _opened(path) as file:
        for line in file:
            if number == 0:
                line = line.removeprefix(_BOM)
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            for part in line.split(b"\r") if b"\r" in line else (line,):
                number += 1
                yield number, part


def numbered_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file without their ends, each with its 1-based number.

    Args:
        path: The file.

    Raises:
        DataError: The file cannot be read, or a line is not UTF-8.
    """
    try:
        with _opened(path) as file:
            text = io.TextIOWrapper(file, "utf-8-sig")  # any line end is read as a line feed
            for number, line in enumerate(text, 1):
                yield number, line.removesuffix("\n")
    except UnicodeDecodeError:
        for number, raw in raw_lines(path):
            try:
                decode_text(raw)
            except Malformed as error:
                raise DataError(path, f"is {error}", number) from None
        raise


def read_json(path: Path | str, type_: type[T], what: str = "") -> T:
    """Return the value of a file of JSON.

    Args:
        path: The file.
        type_: What it must hold.
        what: What that is in words, with its article; else the name of the type.

    Raises:
        DataError: The file cannot be read, is not JSON, or holds something else.
    """
    expected = f"expected {what or _described(type_)}"
    try:
        return decode_json(read_bytes(path), type_)
    except Malformed as error:
        raise DataError(path, f"{expected}: {error}") from error
    except DataError as error:
        raise DataError(path, f"{expected}: {error.problem}") from error


def read_records(path: Path | str, type_: type[T], what: str = "") -> Iterator[T]:
    """Yield the values of a file of JSON lines; empty lines are skipped.

    Args:
        path: The file.
        type_: What every line must hold.
        what: What that is in words, with its article; else the name of the type.

    Raises:
        DataError: The file cannot be read, or a line holds something else.
    """
    for _, record in numbered_records(path, type_, what):
        yield record


def numbered_records(path: Path | str, type_: type[T], what: str = "") -> Iterator[tuple[int, T]]:
    """Yield what `read_records` does, each with its 1-based line.

    Args:
        path: The file.
        type_: What every line must hold.
        what: What that is in words, with its article; else the name of the type.

    Raises:
        DataError: The file cannot be read, or a line holds something else.
    """
    decoder = msgspec.json.Decoder(type_)
    for number, line in raw_lines(path):
        if line and not line.isspace():
            try:
                yield number, _decode(line, decoder)
            except Malformed as error:
                raise DataError(
                    path, f"expected {what or _described(type_)}: {error}", number
                ) from error


def _described(type_: Any) -> str:
    if type_ is object:
        return "JSON"
    return f"a {type_.__name__}" if isinstance(type_, type) else str(type_)


def read_rows(
    path: Path | str,
    separator: str,
    lines: Iterable[tuple[int, str]] | None = None,
    comment: str | None = None,
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table, all as wide as the first, each with the line that it begins at.

    A field in quotes may hold separators, line ends and, doubled, quotes. Tables with tabs are
    mostly written without quotes, so what cannot be read as a field in quotes there is read as it
    stands. Empty lines are skipped.

    Args:
        path: The file.
        separator: Between the fields of a row, one character or several.
        lines: The numbered lines of the table, where they are not all of the file.
        comment: What a line begins with that is no row.

    Raises:
        DataError: The file cannot be read, a row is wider or narrower than the first, or a quote is
            not closed.
    """
    source = iter(numbered_lines(path) if lines is None else lines)
    returned, taken = deque[tuple[int, str]](), list[tuple[int, str]]()

    def take() -> tuple[int, str] | None:
        """Return the next line of a row that goes on, or None at the end."""
        item = returned.popleft() if returned else next(source, None)
        if item is not None:
            taken.append(item)
        return item

    width = 0
    while (item := returned.popleft() if returned else next(source, None)) is not None:
        number, line = item
        if not line or (comment is not None and line.startswith(comment)):
            continue
        cells = line.split(separator)
        if '"' in line:
            taken.clear()
            try:
                quoted = _quoted_row(path, number, line, separator, take)
            except DataError:
                if separator != "\t":
                    raise
                quoted = []
            if separator != "\t" or (quoted and len(quoted) == (width or len(quoted))):
                cells = quoted
            else:
                returned.extendleft(reversed(taken))  # they belong to other rows
        width = width or len(cells)
        if len(cells) != width:
            problem = f"expected {width} columns, got {len(cells)}; was the file cut short?"
            raise DataError(path, problem, number)
        yield number, cells


def _quoted_row(
    path: Path | str,
    number: int,
    line: str,
    separator: str,
    take: Callable[[], tuple[int, str] | None],
) -> list[str]:
    """Return the fields of a row with quotes; where one is not closed yet, the row goes on."""
    cells: list[str] = []
    begun, at = number, 0
    while True:
        if not line.startswith('"', at):
            end = line.find(separator, at)
            cells.append(line[at:] if end < 0 else line[at:end])
            if end < 0:
                return cells
            at = end + len(separator)
            continue
        parts: list[str] = []
        at += 1
        while (end := line.find('"', at)) < 0 or line.startswith('"', end + 1):
            if end >= 0:
                parts.append(line[at : end + 1])
                at = end + 2
                continue
            parts += [line[at:], "\n"]
            if (following := take()) is None:
                raise DataError(path, "the quote of a field in this row is never closed", begun)
            (number, line), at = following, 0
        cells.append("".join((*parts, line[at:end])))
        at = end + 1
        if at == len(line):
            return cells
        if not line.startswith(separator, at):
            problem = f"expected {separator!r} behind the closing quote, got {line[at : at + 20]!r}"
            raise DataError(path, problem, number)
        at += len(separator)


def locate(folder: Path | str, *names: str) -> Path:
    """Return the first of some files in a folder that exists, plain or with ``.gz`` added.

    Args:
        folder: Where they lie.
        *names: Names that the file may have, the preferred one first.

    Raises:
        DataError: None exists.
    """
    for name in names:
        for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
            if path.is_file():
                return path
    others = f", nor as {' or '.join(names[1:])}" if names[1:] else ""
    raise DataError(Path(folder) / names[0], f"no such file, nor one ending in .gz{others}")
