"""Bytes to text, lines, tables and JSON; every failure names the file and the line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import DataError
from medenv.io import (
    DecodingError,
    decode_json,
    decode_text,
    find_file,
    numbered_lines,
    read_json,
    read_records,
    read_rows,
    read_text,
)


class Named(msgspec.Struct):
    name: str


def made(folder: Path, content: bytes, name: str = "x") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


READERS: dict[str, Callable[[Path], object]] = {
    "lines": lambda path: list(numbered_lines(path)),
    "text": read_text,
    "records": lambda path: list(read_records(path, Named)),
    "rows": lambda path: list(read_rows(path, ",")),
}
every = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


@every
@pytest.mark.parametrize("packed", [False, True])
def test_bytes_that_are_not_utf8_are_named_with_their_line(
    tmp_path: Path, reader: Callable[[Path], object], packed: bool
) -> None:
    raw = b'{"name":"a"}\n' * 5_000 + b'{"name":"caf\xe9"}\n'  # saved as Latin-1
    path = made(tmp_path, gzip.compress(raw) if packed else raw)
    with pytest.raises(DataError, match="not UTF-8") as caught:
        reader(path)
    assert (caught.value.path, caught.value.line) == (path, 5_001)


@every
def test_a_damaged_or_missing_file_is_named(
    tmp_path: Path, reader: Callable[[Path], object]
) -> None:
    packed = gzip.compress(bytes(range(32, 127)) * 3_000 + b"\n")
    for path in (
        tmp_path / "none",
        tmp_path,
        made(tmp_path, packed[:-20], "short.gz"),
        made(tmp_path, packed[:40] + b"\0" * 40, "damaged.gz"),
    ):
        with pytest.raises(DataError) as caught:
            reader(path)
        assert caught.value.path == path


def test_utf16_is_named_as_what_it_is(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-16-be"):
        raw = "\ufeffa\n".encode(encoding) if encoding == "utf-16-be" else "a\n".encode(encoding)
        with pytest.raises(DataError, match="UTF-16"):
            list(numbered_lines(made(tmp_path, raw)))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_marks_line_ends_and_packing_make_no_difference(
    tmp_path: Path, mark: bytes, end: bytes, pack: Callable[[bytes], bytes]
) -> None:
    lines = [b'{"name":"\xc3\xa9"}', b"", b'{"name":"b"}']
    path = made(tmp_path, pack(mark + end.join(lines) + end))
    assert list(numbered_lines(path)) == [(1, '{"name":"é"}'), (2, ""), (3, '{"name":"b"}')]
    assert [one.name for one in read_records(path, Named)] == ["é", "b"]
    assert read_text(path) == '{"name":"é"}\n\n{"name":"b"}\n'


@given(st.text(st.characters(codec="utf-8")))
def test_lines_are_those_of_universal_newlines(text: str) -> None:
    expected = io.StringIO(text.removeprefix("\ufeff"), newline=None).read().split("\n")
    if expected[-1] == "":
        expected.pop()
    with tempfile.TemporaryDirectory() as folder:
        path = made(Path(folder), text.encode())
        if not path.read_bytes().startswith(b"\x1f\x8b"):
            assert [line for _, line in numbered_lines(path)] == expected


@pytest.mark.parametrize(
    "raw",
    [
        b'{"name":"x"',
        b'{"name":7}',
        b'{"name":"caf\xe9"}',
        b'{"name":"x","more":"caf\xe9"}',
        b"[" * 100_000,
        b'{"name":"x","more":' + b"[" * 100_000,
        b'{"name":"\\ud800"}',
        b"\xff\xfe{",
        b"",
    ],
)
def test_json_that_is_none_is_malformed_and_never_another_error(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(DecodingError):
        decode_json(raw, Named)
    with pytest.raises(DataError) as caught:
        read_json(made(tmp_path, raw), Named)
    assert caught.value.line is None
    if raw:
        with pytest.raises(DataError) as caught:
            list(read_records(made(tmp_path, b'{"name":"a"}\r\n\r\n' + raw), Named))
        assert caught.value.line == 3


def test_a_mark_before_json_is_skipped() -> None:
    assert decode_json(b'\xef\xbb\xbf{"name":"x"}', Named) == Named("x")
    assert decode_json('\ufeff{"name":"x"}', Named) == Named("x")
    assert decode_text(b"\xef\xbb\xbfx") == "x"


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)


def as_csv(rows: Iterable[Iterable[str]], separator: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS), min_size=1), st.sampled_from(",;|"))
def test_tables_are_read_as_the_csv_module_writes_them(
    rows: list[tuple[str, ...]], separator: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = made(Path(folder), as_csv([("a", "b", "c"), *rows], separator))
        assert [cells for _, cells in read_rows(path, separator)][1:] == [list(r) for r in rows]


@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS), min_size=1))
def test_tables_with_tabs_are_read_as_spreadsheets_write_them(rows: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = made(Path(folder), as_csv([("a", "b", "c"), *rows], "\t"))
        assert [cells for _, cells in read_rows(path, "\t")][1:] == [list(r) for r in rows]


def test_quotes_that_belong_to_a_text_stay_in_a_table_with_tabs(tmp_path: Path) -> None:
    path = made(tmp_path, b'id\tname\n1\t"Blue" nails\n2\t5" x\n3\t"open\n4\t"quoted"\n5\t"a\nb"')
    assert [cells[1] for _, cells in read_rows(path, "\t")] == [
        *("name", '"Blue" nails', '5" x', '"open', "quoted", "a\nb")
    ]


@pytest.mark.parametrize("separator", ["||", " | ", "::", "<tab>"])
def test_a_separator_may_have_several_characters(tmp_path: Path, separator: str) -> None:
    rows = [["id", "name"], ["1", "a,b"], ["2", f"x{separator}y\nz"]]
    lines = [separator.join(row) for row in rows[:2]]
    quoted = f'2{separator}"{rows[2][1]}"'
    path = made(tmp_path, "\n".join((*lines, quoted)).encode())
    assert [cells for _, cells in read_rows(path, separator)] == rows


def test_a_field_may_be_long(tmp_path: Path) -> None:
    long = "word " * 100_000
    path = made(tmp_path, f'id,text\n1,"{long}"\n2,{long}\n'.encode())
    assert [cells[1] for _, cells in read_rows(path, ",")] == ["text", long, long]


def test_a_field_of_many_lines_is_read_in_linear_time(tmp_path: Path) -> None:
    lines = "\n".join(["line"] * 200_000)
    path = made(tmp_path, f'id,text\n1,"{lines}"\n2,x\n'.encode())
    assert [(number, len(cells[1])) for number, cells in read_rows(path, ",")] == [
        *((1, 4), (2, len(lines)), (200_002, 1))
    ]


@pytest.mark.parametrize(
    ("separator", "text", "line", "problem"),
    [
        (",", "a,b\n1,2\n\n1\n", 4, "expected 2 columns, got 1"),
        (",", "a,b\n1,2,3\n", 2, "expected 2 columns, got 3"),
        ("\t", "a\tb\n1\t2\n1\n", 3, "expected 2 columns, got 1"),
        (",", 'a,b\n1,"x\ny\n', 2, "never closed"),
        ("\t", 'a\tb\tc\n1\t"x\ny\n', 2, "expected 3 columns, got 2"),
        (",", 'a,b\n1,"x\ny" z\n', 3, "closing quote"),
    ],
)
def test_a_malformed_row_is_refused_with_its_line(
    tmp_path: Path, separator: str, text: str, line: int, problem: str
) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        list(read_rows(made(tmp_path, text.encode()), separator))
    assert caught.value.line == line


def test_the_first_name_that_exists_is_located(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file.*\.gz, nor as b"):
        find_file(tmp_path, "a", "b")
    second = made(tmp_path, b"", "b.gz")
    assert find_file(tmp_path, "a", "b") == second
    first = made(tmp_path, b"", "a.gz")
    assert find_file(tmp_path, "a", "b") == first


def test_records_of_any_type_are_read(tmp_path: Path) -> None:
    path = made(tmp_path, b'{"a":[1]}\n{"b":[]}\n')
    assert list(read_records(path, dict[str, list[int]])) == [{"a": [1]}, {"b": []}]
    value: Any = json.loads(made(tmp_path, b'{"a":1}').read_text())
    assert read_json(tmp_path / "x", dict[str, int]) == value
