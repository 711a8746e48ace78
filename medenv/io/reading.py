"""Read text, lines, tables and JSON from UTF-8 files, plain or gzipped, with any line endings.

A UTF-8 byte-order mark is skipped. A file that cannot be read raises a `DataError` with the path
and, if known, the line.
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


class DecodingError(ValueError):
    """Bytes or text that cannot be decoded; the message describes the actual content."""


def decode_text(raw: bytes) -> str:
    """Decode UTF-8 bytes and remove a byte-order mark.

    Args:
        raw: The bytes.

    Raises:
        DecodingError: The bytes are not UTF-8.
    """
    try:
        return raw.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        if raw.startswith(_OTHER_MARKS):
            raise DecodingError("UTF-16 text, not UTF-8; save it as UTF-8") from None
        detail = f"byte 0x{raw[error.start]:02x} at {error.start}, {error.reason}"
        raise DecodingError(f"not UTF-8 text ({detail}); save it as UTF-8") from None


def decode_json(raw: bytes | str, type_: type[T]) -> T:
    """Decode UTF-8 JSON, with or without a byte-order mark.

    Args:
        raw: The JSON.
        type_: The expected type.

    Raises:
        DecodingError: The input is not UTF-8, not JSON, nested too deeply, or of another type.
    """
    return _decode(raw, msgspec.json.Decoder(type_))


def _decode(raw: bytes | str, decoder: msgspec.json.Decoder[T]) -> T:
    if isinstance(raw, bytes):
        if not raw.isascii():
            decode_text(raw)  # the decoder does not check the bytes of skipped fields
        raw = raw.removeprefix(_BOM)
    else:
        raw = raw.removeprefix("\ufeff")
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DecodingError(str(error)) from None
    except RecursionError:
        raise DecodingError("nested too deeply") from None


@contextmanager
def _opened(path: Path | str) -> Iterator[BinaryIO]:
    """Open a plain or gzipped file, detected by its content."""
    try:
        with Path(path).open("rb") as file:
            if file.peek(2)[:2] == _GZIP:
                with gzip.open(file) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(path, f"cannot be read: its gzip stream is truncated ({error})") from error
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror or error}") from error


def read_bytes(path: Path | str) -> bytes:
    """Return the content of a file, decompressed if it is gzipped.

    Raises:
        DataError: The file cannot be read.
    """
    with _opened(path) as file:
        return file.read()


def read_text(path: Path | str) -> str:
    """Return the text of a file with every line ending in a line feed.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    return "".join(f"{line}\n" for _, line in numbered_lines(path))


def raw_lines(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """Yield the 1-based number and the bytes of each line, without line endings.

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
    """Yield the 1-based number and the text of each line, without line endings.

    Args:
        path: The file.

    Raises:
        DataError: The file cannot be read, or a line is not UTF-8.
    """
    try:
        with _opened(path) as file:
            text = io.TextIOWrapper(file, "utf-8-sig")  # converts all line endings
            for number, line in enumerate(text, 1):
                yield number, line.removesuffix("\n")
    except UnicodeDecodeError:
        for number, raw in raw_lines(path):
            try:
                decode_text(raw)
            except DecodingError as error:
                raise DataError(path, f"is {error}", number) from None
        raise


def read_json(path: Path | str, type_: type[T], what: str = "") -> T:
    """Read a JSON file.

    Args:
        path: The file.
        type_: The expected type.
        what: Description of the content with its article, for messages; by default the type's name.

    Raises:
        DataError: The file cannot be read, is not JSON, or holds another type.
    """
    expected = f"expected {what or _described(type_)}"
    try:
        return decode_json(read_bytes(path), type_)
    except DecodingError as error:
        raise DataError(path, f"{expected}: {error}") from error
    except DataError as error:
        raise DataError(path, f"{expected}: {error.problem}") from error


def read_records(path: Path | str, type_: type[T], what: str = "") -> Iterator[T]:
    """Yield the values of a JSONL file; empty lines are skipped.

    Args:
        path: The file.
        type_: The expected type of each line.
        what: Description of a line with its article, for messages; by default the type's name.

    Raises:
        DataError: The file cannot be read, or a line holds another type.
    """
    for _, record in numbered_records(path, type_, what):
        yield record


def numbered_records(path: Path | str, type_: type[T], what: str = "") -> Iterator[tuple[int, T]]:
    """Yield the 1-based line number and the value of each line of a JSONL file.

    Args:
        path: The file.
        type_: The expected type of each line.
        what: Description of a line with its article, for messages; by default the type's name.

    Raises:
        DataError: The file cannot be read, or a line holds another type.
    """
    decoder = msgspec.json.Decoder(type_)
    for number, line in raw_lines(path):
        if line and not line.isspace():
            try:
                yield number, _decode(line, decoder)
            except DecodingError as error:
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
    """Yield the first line number and the fields of each row of a table.

    All rows must be as wide as the first. A quoted field may contain separators, line endings and
    doubled quotes. Tab-separated tables are mostly written without quoting, so in them a field that
    is not validly quoted is read literally. Empty lines are skipped.

    Args:
        path: The file.
        separator: Field separator, one or more characters.
        lines: Numbered lines of the table; by default all lines of the file.
        comment: Prefix of lines to skip.

    Raises:
        DataError: The file cannot be read, a row is wider or narrower than the first, or a quote is
            not closed.
    """
    source = iter(numbered_lines(path) if lines is None else lines)
    returned, taken = deque[tuple[int, str]](), list[tuple[int, str]]()

    def take() -> tuple[int, str] | None:
        """Return the next line of a multi-line row, or None at the end."""
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
    """Return the fields of a row with quotes; an open quote continues on the next line."""
    cells: list[str] = []
    begun, position = number, 0
    while True:
        if not line.startswith('"', position):
            end = line.find(separator, position)
            cells.append(line[position:] if end < 0 else line[position:end])
            if end < 0:
                return cells
            position = end + len(separator)
            continue
        parts: list[str] = []
        position += 1
        while (end := line.find('"', position)) < 0 or line.startswith('"', end + 1):
            if end >= 0:
                parts.append(line[position : end + 1])
                position = end + 2
                continue
            parts += [line[position:], "\n"]
            if (following := take()) is None:
                raise DataError(path, "a quoted field in this row is never closed", begun)
            (number, line), position = following, 0
        cells.append("".join((*parts, line[position:end])))
        position = end + 1
        if position == len(line):
            return cells
        if not line.startswith(separator, position):
            found = line[position : position + 20]
            problem = f"expected {separator!r} after the closing quote, got {found!r}"
            raise DataError(path, problem, number)
        position += len(separator)


def find_file(folder: Path | str, *names: str) -> Path:
    """Return the path of the first existing file, plain or with ``.gz`` appended.

    Args:
        folder: The folder.
        *names: Candidate file names, in order of preference.

    Raises:
        DataError: No candidate exists.
    """
    for name in names:
        for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
            if path.is_file():
                return path
    others = f", nor as {' or '.join(names[1:])}" if names[1:] else ""
    raise DataError(Path(folder) / names[0], f"no such file, nor one ending in .gz{others}")
