"""Benchmarks as they are published, as rows of questions of one's own, all of them for tests.

Rows have the columns of `medenv.kg.questions.own`. A benchmark is never training data: each row
says ``"split": "test"``, and a set without training questions cannot be trained on.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from medenv.errors import DataError, UnknownNameError
from medenv.io import DecodingError, decode_json, read_text

Row = dict[str, Any]
"""One question, in our columns."""

YES_NO = ["yes", "no"]


class Converted(NamedTuple):
    """A benchmark in our columns.

    Attributes:
        rows: The questions.
        left_out: Why other questions are not among them, to their number.
    """

    rows: list[Row]
    left_out: dict[str, int]


class _LeftOutError(Exception):
    """A question that cannot be asked here."""


def convert(name: str, path: Path | str) -> Converted:
    """Read a benchmark.

    Args:
        name: One of `BENCHMARKS`.
        path: The file, as it is published.

    Raises:
        UnknownNameError: There is no such benchmark.
        DataError: The file cannot be read, or has another form.
    """
    if name not in BENCHMARKS:
        raise UnknownNameError("benchmark", name, BENCHMARKS)
    path = Path(path)
    rows, left_out = list[Row](), Counter[str]()
    records = list(_records(path))
    for number, record in enumerate(records, 1):
        try:
            row = BENCHMARKS[name](record, records)
        except _LeftOutError as reason:
            left_out[str(reason)] += 1
        except (KeyError, IndexError, TypeError, ValueError) as error:
            problem = f"expected a question of {name}, got {str(record)[:80]} ({error!r})"
            raise DataError(path, problem, number) from error
        else:
            rows.append({"split": "test", **row})
    if not rows:
        raise DataError(path, f"holds no question of {name}")
    return Converted(rows, dict(sorted(left_out.items())))


def _records(path: Path) -> Iterator[Any]:
    """Yield the records of a file: JSON lines, a JSON list, an object of records, or a table."""
    text = read_text(path)
    begin = text.lstrip()[:1]
    if begin not in ("{", "["):
        yield from _table(text)
        return
    try:
        whole = decode_json(text.encode(), object)
    except DecodingError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield decode_json(line.encode(), object)
                except DecodingError as error:
                    raise DataError(path, f"expected JSON: {error}", number) from error
        return
    if isinstance(whole, Mapping) and isinstance(whole.get("questions"), list):
        yield from whole["questions"]
    elif isinstance(whole, Mapping) and all(isinstance(one, Mapping) for one in whole.values()):
        yield from ({"id": name, **one} for name, one in whole.items())
    else:
        yield from whole if isinstance(whole, list) else [whole]


def _table(text: str) -> Iterator[Any]:
    """Yield the rows of a table as objects where it has a header, else as lists."""
    rows = list(csv.reader(io.StringIO(text)))
    head = [cell.strip() for cell in rows[0]] if rows else []
    if {"problem", "question", "prompt"} & {cell.lower() for cell in head}:
        yield from (dict(zip(head, row, strict=False)) for row in rows[1:] if any(row))
    else:
        yield from rows


def _bioasq(record: Any, _: Iterable[Any]) -> Row:
    kind, exact = record["type"], record.get("exact_answer")
    if kind == "summary" or not exact:
        raise _LeftOutError(f"{kind} without an exact answer")
    row = {"id": str(record["id"]), "question": record.get("body") or record["question"]}
    if kind == "yesno":
        return {**row, "kind": "bioasq:yesno", "options": YES_NO, "answer": exact.strip().lower()}
    groups = [one if isinstance(one, list) else [one] for one in _listed(exact)]
    if kind == "list":
        answers = [{"name": names[0], "aliases": names[1:]} for names in groups]
        return {**row, "kind": "list:bioasq", "answers": answers}
    names = [name for group in groups for name in group]
    return {**row, "kind": "bioasq:factoid", "answer": names[0], "aliases": names[1:]}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _pubmedqa(record: Any, _: Iterable[Any]) -> Row:
    return {
        "id": str(record["id"]),
        "question": (record.get("QUESTION") or record["question"]).strip(),
        "kind": "pubmedqa",
        "options": [*YES_NO, "maybe"],
        "answer": record.get("final_decision") or record["answer"],
    }


def _medqa(record: Any, records: Iterable[Any]) -> Row:
    options = record["options"]
    row = {"question": record["question"], "kind": "medqa", "options": options}
    letter = record.get("answer_idx") or record["answer"]
    return {**row, "id": f"medqa:{_place(record, records)}", "answer": letter}


def _medmcqa(record: Any, records: Iterable[Any]) -> Row:
    if record.get("choice_type", "single") != "single" or record.get("cop") in (None, -1):
        raise _LeftOutError("several options are right, or none is given")
    numbers = {one["cop"] for one in records if one.get("cop") not in (None, -1)}
    first = 0 if 0 in numbers else 1  # the published file counts from 1, its mirrors from 0
    options = [record[f"op{letter}"] for letter in "abcd"]
    return {
        "id": str(record["id"]),
        "question": record["question"],
        "kind": "medmcqa",
        "specialty": record.get("subject_name") or "",
        "options": options,
        "answer": "ABCD"[int(record["cop"]) - first],
    }


def _mmlu(record: Any, records: Iterable[Any]) -> Row:
    if isinstance(record, Mapping):
        question, options, answer = record["question"], record["choices"], record["answer"]
        letter = answer if isinstance(answer, str) else "ABCD"[int(answer)]
    else:
        question, *options, letter = record
    if len(options) != 4 or letter not in "ABCD":
        raise ValueError(f"expected four options and a letter, got {len(options)} and {letter!r}")
    row = {"question": question, "kind": "mmlu", "options": options, "answer": letter}
    return {"id": f"mmlu:{_place(record, records)}", **row}


def _browsecomp(record: Any, records: Iterable[Any]) -> Row:
    question = record.get("problem") or record.get("prompt") or record["question"]
    answer, canary = record["answer"], record.get("canary")
    if canary:
        question, answer = _opened(question, canary), _opened(answer, canary)
    return {
        "id": str(record.get("id") or f"browsecomp:{_place(record, records)}"),
        "question": question,
        "kind": "browsecomp",
        "answer": answer,
    }


def _opened(text: str, password: str) -> str:
    """Return a text that was XORed with the repeated SHA-256 of a password, in base 64."""
    data = base64.b64decode(text)
    key = hashlib.sha256(password.encode()).digest()
    return bytes(byte ^ key[i % len(key)] for i, byte in enumerate(data)).decode()


def _gaia(record: Any, _: Iterable[Any]) -> Row:
    if record.get("file_name"):
        raise _LeftOutError("a file belongs to the question")
    return {
        "id": record["task_id"],
        "question": record["Question"],
        "kind": f"gaia:{record['Level']}",
        "answer": record["Final answer"],
    }


def _hle(record: Any, _: Iterable[Any]) -> Row:
    if record.get("image"):
        raise _LeftOutError("an image belongs to the question")
    return {
        "id": record["id"],
        "question": record["question"],
        "kind": "hle",
        "specialty": record.get("category") or "",
        "answer": record["answer"],
    }


def _place(record: Any, records: Iterable[Any]) -> int:
    return next(number for number, one in enumerate(records, 1) if one is record)


BENCHMARKS: Mapping[str, Callable[[Any, Iterable[Any]], Row]] = {
    "bioasq": _bioasq,
    "browsecomp": _browsecomp,
    "gaia": _gaia,
    "hle": _hle,
    "medmcqa": _medmcqa,
    "medqa": _medqa,
    "mmlu": _mmlu,
    "pubmedqa": _pubmedqa,
    "xbench": _browsecomp,
}
"""How a record of each benchmark is read; MedBrowseComp has the form of BrowseComp."""
