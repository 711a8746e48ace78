"""Questions on disk, one JSON object per line, and the check that two sets share nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from medenv.errors import DataError
from medenv.records import Question


def write_questions(path: Path | str, questions: Iterable[Question]) -> int:
    """Write questions as JSON lines, whole or not at all, and return their number.

    Args:
        path: The file; one that exists is replaced when all is written.
        questions: The questions.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [msgspec.json.encode(question) for question in questions]
    handle, scratch = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(line + b"\n" for line in lines)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(target)
    finally:
        Path(scratch).unlink(missing_ok=True)
    return len(lines)


def read_questions(path: Path | str) -> tuple[Question, ...]:
    """Read what `write_questions` wrote.

    Raises:
        DataError: The file is missing, or a line was cut short or is no question.
    """
    source = Path(path)
    decode = msgspec.json.Decoder(Question).decode
    questions = []
    try:
        with source.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    questions.append(decode(line))
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    problem = f"is not a question, or was cut short ({error})"
                    raise DataError(source, problem, number) from error
                if not line.endswith(b"\n"):
                    raise DataError(source, "has no line end; was the file cut short?", number)
    except OSError as error:
        raise DataError(source, f"cannot be read ({error.strerror})") from error
    return tuple(questions)


def leakage(train: Iterable[Question], test: Iterable[Question]) -> dict[str, int]:
    """Count what two sets of questions share; all counts are 0 where the split is clean.

    Args:
        train: One set.
        test: The other.
    """
    first, second = list(train), list(test)
    return {name: len(_all(get, first) & _all(get, second)) for name, get in _PARTS.items()}


def _all(get: Callable[[Question], Iterable[object]], questions: list[Question]) -> set[object]:
    return {part for question in questions for part in get(question)}


_PARTS: dict[str, Callable[[Question], Iterable[object]]] = {
    "answers": lambda q: q.certificate.answers,
    "edges": lambda q: (frozenset((hop.head, hop.tail)) for hop in q.certificate.path),
    "topics": lambda q: (q.topic.id,),
    "entities": lambda q: (end for hop in q.certificate.path for end in (hop.head, hop.tail)),
    "texts": lambda q: (q.text,),
}
