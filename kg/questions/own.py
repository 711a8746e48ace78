"""Questions of one's own: JSON lines or a table become questions without certificates."""

from __future__ import annotations

import difflib
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import (
    DecodingError,
    decode_json,
    digest,
    numbered_lines,
    numbered_records,
    raw_lines,
    read_rows,
)
from medenv.kg.questions.benchmarks import TITLES, benchmark_of
from medenv.records import Criterion, Entity, Passage, Question
from medenv.retrieval.documents import passage_of
from medenv.text import fold

LETTERS = string.ascii_uppercase
"""The letters of options, in order."""

FIELDS = (
    *("question", "answer", "answers", "aliases", "options", "id", "split", "kind", "specialty"),
    *("rubric", "passages", *(f"option_{letter.lower()}" for letter in LETTERS)),
)
"""What a column can be."""

KIND = "answer"
"""Kind of the entities that are the answers."""

SPLITS = ("train", "test")
"""What the column ``split`` can say."""

_SEPARATORS = (",", "\t", ";")
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_LABEL = re.compile(r"[(\[]?\s*(\w+)\s*[)\].:]?")


class OwnQuestions(NamedTuple):
    """What a file of one's own questions holds.

    Attributes:
        questions: The questions, in the order of the file.
        passages: The passages that stand in the file, by id; a corpus of its own, or empty.
    """

    questions: tuple[Question, ...]
    passages: tuple[Passage, ...]


def read_own_questions(
    path: Path | str,
    columns: Mapping[str, str] | None = None,
    n_test: int = 0,
    seed: int = 0,
) -> OwnQuestions:
    """Read questions from JSON lines, or from a table parted by commas, tabs or semicolons.

    A question needs ``question`` and ``answer``. What else it may have is in `FIELDS` and described
    in ``docs/own_data.md``; other columns are ignored. The options of a multiple choice become part
    of the question's text, "A. ..." and so on.

    Args:
        path: The file, plain or gzipped.
        columns: Our name of a column to the file's own, where they differ.
        n_test: How many questions become test questions where the file has no column ``split``:
            the last ones of a permutation, without those that are asked twice.
        seed: Decides the permutation.

    Returns:
        The questions, and the passages that the file holds.

    Raises:
        DataError: The file cannot be read, or a question is wrong; names the file and the line.
        UnknownNameError: `columns` names a column that we do not have.
        UsageError: `n_test` is negative, or greater than the number of questions.
    """
    path, columns = Path(path), dict(columns or {})
    for name in columns:
        if name not in FIELDS:
            raise UnknownNameError("column", name, FIELDS)
    reader = RowReader(path, columns)
    rows = list(_json_rows(path) if _is_json(path) else _table_rows(path, columns))
    if not rows:
        raise DataError(path, "holds no question")
    reader.check_columns(rows)
    lines: dict[str, int] = {}
    questions, split_lines = [], []
    for count, (line, row) in enumerate(rows, 1):
        question, split = reader.question(line, row, count)
        if (first := lines.setdefault(question.id, line)) != line:
            problem = f"repeats the id {question.id!r} of the question in line {first}"
            raise DataError(path, problem, line)
        questions.append(question)
        split_lines.append((line, split))
    questions = _split(path, questions, split_lines, n_test, seed)
    passages = tuple(reader.passages[one] for one in sorted(reader.passages))
    return OwnQuestions(tuple(questions), passages)


def is_own(path: Path | str) -> bool:
    """Return whether a file holds questions of one's own, not those that medenv wrote.

    Args:
        path: The file.

    Raises:
        DataError: It cannot be read.
    """
    if not _is_json(Path(path)):
        return True
    first = next((line for _, line in raw_lines(path) if line.strip()), b"")
    try:
        fields = decode_json(first, dict[str, Any])
    except DecodingError:
        return False
    return not ("sealed" in fields or {"text", "answers"} <= fields.keys())


def _is_json(path: Path) -> bool:
    """Return whether a file holds JSON lines, by its name or by its first character."""
    if Path(path.name.removesuffix(".gz")).suffix.lower() in _JSON_LINES:
        return True
    first = next((line for _, line in raw_lines(path) if line.strip()), b"")
    return first.lstrip().startswith((b"{", b"["))


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    what = "a question as a JSON object on a line of its own"
    return numbered_records(path, dict[str, Any], what)


def _table_rows(path: Path, columns: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a table without their empty cells."""
    head = next((line for _, line in numbered_lines(path) if line), "")
    known = {*FIELDS, *columns.values()}

    def fit(separator: str) -> tuple[int, int]:
        names = [name.strip().strip('"') for name in head.split(separator)]
        return sum(name in known for name in names), len(names)

    rows = read_rows(path, max(_SEPARATORS, key=fit))
    line, names = next(rows, (1, []))
    names = [name.strip() for name in names]
    if double := [name for name, count in Counter(names).items() if name and count > 1]:
        raise DataError(path, f"has two columns {double[0]!r}", line)
    for line, cells in rows:
        if any(map(str.strip, cells)):
            named = zip(names, map(str.strip, cells), strict=True)
            # Every column is kept in every row, so that a missing one is told from an empty cell.
            yield line, {name: cell or None for name, cell in named}


class RowReader:
    """Makes questions of rows.

    Args:
        path: The file, for messages.
        columns: Our name of a column to the file's own.

    Attributes:
        passages: The passages met so far, by id.
    """

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self.path, self._columns = path, columns
        self.passages: dict[str, Passage] = {}

    def check_columns(self, rows: Sequence[tuple[int, dict[str, Any]]]) -> None:
        """Refuse a file without the columns that are needed or mapped."""
        known = {name: None for _, row in rows for name in row}
        wanted = [self._column("question"), *self._columns.values()]
        if known.keys().isdisjoint(map(self._column, ("answers", "rubric"))):
            wanted.append(self._column("answer"))
        for name in dict.fromkeys(wanted):
            if name not in known:
                raise DataError(self.path, f"has no column {name!r}{_nearest(name, known)}")

    def question(self, line: int, row: dict[str, Any], count: int) -> tuple[Question, str]:
        """Return the question of a row and the split that it names, or ``""``.

        Args:
            line: Number of the row's line.
            row: The row, by column.
            count: Number of the row, from which an id is made where it has none.

        Raises:
            DataError: The row is no question, with what is wrong; names the line.
        """
        text = self._text(line, row, "question").strip()
        if not text:
            raise DataError(self.path, "the question is empty", line)
        name = self._id(line, row) or f"own:{count}"
        options = self._options(line, row)
        rubric = self._rubric(line, row)
        answers = [] if rubric else self._answers(line, row, name, options)
        self._take_passages(line, row)
        split = self._text(line, row, "split").strip()
        if split not in ("", *SPLITS):
            raise DataError(self.path, f"expected the split train or test, got {split!r}", line)
        kind = self._text(line, row, "kind").strip() or "own"
        if split != "test" and (benchmark := benchmark_of(kind)):
            problem = (
                f"is a {kind} question, and {TITLES[benchmark]} is never training data: set its "
                "split to test, or its kind to another one"
            )
            raise DataError(self.path, problem, line)
        listed = zip(LETTERS, options.values(), strict=False)
        lines = [f"{letter}. {option}" for letter, option in listed]
        question = Question(
            id=name,
            text="\n".join([text, "", *lines]) if options else text,
            kind=kind,
            answers=tuple(answers),
            source=self.path.name,
            specialty=self._text(line, row, "specialty").strip(),
            options=tuple(options.values()) if options else msgspec.UNSET,
            rubric=rubric or msgspec.UNSET,
        )
        return question, split

    def _column(self, name: str) -> str:
        return self._columns.get(name, name)

    def _value(self, row: dict[str, Any], name: str) -> Any:
        return row.get(self._column(name))

    def _text(self, line: int, row: dict[str, Any], name: str) -> str:
        value = self._value(row, name)
        return "" if value is None else self._string(line, value, name)

    def _string(self, line: int, value: Any, what: str) -> str:
        if not isinstance(value, str):
            problem = f"expected text in {what!r}, got {_described(value)}"
            raise DataError(self.path, problem, line)
        return value

    def _id(self, line: int, row: dict[str, Any]) -> str:
        value = self._value(row, "id")
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return "" if value is None else self._string(line, value, "id").strip()

    def _list(self, line: int, row: dict[str, Any], name: str) -> list[Any]:
        """Return a list, or the parts of a text between bars."""
        value = self._value(row, name)
        if isinstance(value, str):
            value = self._decoded(line, value, name)
            value = value.split("|") if isinstance(value, str) else value
        if value is None or isinstance(value, list):
            return value or []
        raise DataError(
            self.path,
            f"expected a list or texts parted by | in {name!r}, got {_described(value)}",
            line,
        )

    def _decoded(self, line: int, text: str, name: str) -> Any:
        """Return the JSON that a text is, where it begins like a list or an object."""
        if not text.lstrip().startswith(("[", "{")):
            return text
        try:
            return decode_json(text, object)
        except DecodingError as error:
            raise DataError(self.path, f"expected JSON in {name!r}: {error}", line) from error

    def _options(self, line: int, row: dict[str, Any]) -> dict[str, str]:
        """Return the options of a multiple choice by their labels, or nothing."""
        value = self._value(row, "options")
        if isinstance(value, str):
            value = self._decoded(line, value, "options")
        if isinstance(value, Mapping):
            labelled = {str(label).strip(): option for label, option in value.items()}
            if all(len(label) == 1 and label.upper() in LETTERS for label in labelled):
                labelled = {label.upper(): labelled[label] for label in sorted(labelled)}
                if "".join(labelled) != LETTERS[: len(labelled)]:
                    problem = f"the options skip a letter: {', '.join(labelled)}"
                    raise DataError(self.path, problem, line)
        elif value is not None:
            parts = self._list(line, row, "options")
            if len(parts) > len(LETTERS):
                raise DataError(self.path, f"expected at most 26 options, got {len(parts)}", line)
            labelled = dict(zip(LETTERS, parts, strict=False))
        else:
            labelled = self._option_columns(line, row)
        if not labelled:
            return {}
        if not 2 <= len(labelled) <= len(LETTERS):
            raise DataError(self.path, f"expected 2 to 26 options, got {len(labelled)}", line)
        options = {
            label: " ".join(self._string(line, option, f"options, {label}").split())
            for label, option in labelled.items()
        }
        self._check_options(line, options)
        return options

    def _option_columns(self, line: int, row: dict[str, Any]) -> dict[str, Any]:
        found = [self._value(row, f"option_{letter.lower()}") for letter in LETTERS]
        while found and found[-1] is None:
            found.pop()
        if None in found:
            missing = LETTERS[found.index(None)].lower()
            raise DataError(self.path, f"option_{missing} is empty, and a later one is not", line)
        return dict(zip(LETTERS, found, strict=False))

    def _check_options(self, line: int, options: Mapping[str, str]) -> None:
        """Refuse options that an answer could not be told apart by."""
        letters = dict(zip(map(str.lower, LETTERS), options, strict=False))
        seen: dict[str, str] = {}
        for label, option in options.items():
            folded = fold(option)
            if not folded.strip():
                raise DataError(self.path, f"option {label} is empty", line)
            if (other := seen.setdefault(folded, label)) != label:
                problem = f"options {other} and {label} are one text, {option!r}; reword one"
                raise DataError(self.path, problem, line)
            if letters.get(folded, label) != label:
                problem = (
                    f"the text of option {label} is the letter of another, {option!r}; reword it"
                )
                raise DataError(self.path, problem, line)

    def _answers(
        self, line: int, row: dict[str, Any], name: str, options: Mapping[str, str]
    ) -> list[Entity]:
        single = self._value(row, "answer")
        given = [*([] if single is None else [single]), *self._list(line, row, "answers")]
        aliases = self._list(line, row, "aliases")
        if aliases and len(given) > 1:
            problem = (
                'aliases belong to one answer; write several as {"name": ..., "aliases": [...]}'
            )
            raise DataError(self.path, problem, line)
        if not given:
            raise DataError(self.path, "the answer is empty", line)
        answers = []
        for index, one in enumerate(given):
            fields = dict(one) if isinstance(one, Mapping) else {"name": one}
            text = self._string(line, fields.pop("name", None), "answer").strip()
            others = fields.pop("aliases", aliases)
            entity = fields.pop("id", None) or f"{name}#{index}"
            if fields:
                raise DataError(
                    self.path, f"an answer has name, id and aliases, got {', '.join(fields)}", line
                )
            if not fold(text).strip():
                raise DataError(self.path, "the answer is empty", line)
            if options:
                text = self._option(line, text, options)
            if not isinstance(others, list):
                problem = f"expected a list of aliases, got {_described(others)}"
                raise DataError(self.path, problem, line)
            named = (self._string(line, other, "aliases").strip() for other in others)
            answers.append(
                Entity(
                    id=self._string(line, entity, "id of an answer"),
                    kind=KIND,
                    name=text,
                    aliases=tuple(dict.fromkeys(alias for alias in named if alias)),
                )
            )
        for what, values in (("id", [a.id for a in answers]), ("name", [a.name for a in answers])):
            if double := [one for one, count in Counter(values).items() if count > 1]:
                raise DataError(self.path, f"two answers have the {what} {double[0]!r}", line)
        return answers

    def _rubric(self, line: int, row: dict[str, Any]) -> tuple[Criterion, ...]:
        """Return the criteria that a judge grades the question by, or nothing."""
        value = self._value(row, "rubric")
        if isinstance(value, str):
            value = self._decoded(line, value, "rubric")
        if value is None:
            return ()
        try:
            rubric = msgspec.convert(value, tuple[Criterion, ...])
        except msgspec.ValidationError as error:
            problem = f'expected a rubric, a list of {{"text": ..., "points": ...}}: {error}'
            raise DataError(self.path, problem, line) from error
        if not any(one.points > 0 for one in rubric):
            raise DataError(self.path, "the rubric has no criterion with points to reach", line)
        if self._value(row, "answer") is not None or self._value(row, "answers") is not None:
            problem = "has a rubric and an answer; a judge grades by the rubric alone, leave one"
            raise DataError(self.path, problem, line)
        return rubric

    def _option(self, line: int, answer: str, options: Mapping[str, str]) -> str:
        """Return the text of the option that an answer is, by its letter, label or text."""
        found = {
            option for option in options.values() if fold(option) == fold(" ".join(answer.split()))
        }
        if label := _LABEL.fullmatch(answer):
            letters = dict(zip(LETTERS, options.values(), strict=False))
            found |= {
                option
                for names in (letters, options)
                for name, option in names.items()
                if name.casefold() == label[1].casefold()
            }
        if len(found) != 1:
            listed = "; ".join(f"{label} {option!r}" for label, option in options.items())
            problem = "is more than one" if found else "is none"
            raise DataError(
                self.path, f"the answer {answer!r} {problem} of the options {listed}", line
            )
        return found.pop()

    def _take_passages(self, line: int, row: dict[str, Any]) -> None:
        value = self._value(row, "passages")
        if isinstance(value, str):
            value = self._decoded(line, value, "passages")
        parts = value if isinstance(value, list) else [] if value is None else [value]
        for part in parts:
            if not isinstance(part, str | Mapping):
                problem = f"expected passages as texts or objects, got {_described(part)}"
                raise DataError(self.path, problem, line)
            fields = {"text": part} if isinstance(part, str) else part
            # Named after the content, so that an id gives away no question.
            unnamed = f"own:{digest([fields.get('title'), fields.get('text')], 16)}"
            passage = passage_of(fields, self.path, line, unnamed)
            if self.passages.setdefault(passage.id, passage) != passage:
                problem = f"another passage of the id {passage.id!r} stands in an earlier line"
                raise DataError(self.path, problem, line)


def _split(
    path: Path,
    questions: Sequence[Question],
    told: Sequence[tuple[int, str]],
    n_test: int,
    seed: int,
) -> list[Question]:
    """Return the questions with their splits, which share no text."""
    named = [split for _, split in told]
    texts = [" ".join(fold(question.text).split()) for question in questions]
    if any(named):
        seen: dict[str, tuple[int, str]] = {}
        for text, (line, split) in zip(texts, told, strict=True):
            if not split:
                raise DataError(path, "has no split, and other questions have one", line)
            first, other = seen.setdefault(text, (line, split))
            if other != split:
                problem = f"is a {split} question and asks the same as the {other} question in line"
                raise DataError(path, f"{problem} {first}", line)
    else:
        if not 0 <= n_test <= len(questions):
            raise UsageError(
                f"expected n_test from 0 to {len(questions)}, the number of questions in {path},"
                f" got {n_test}"
            )
        times = Counter(texts)
        order = np.random.default_rng([seed]).permutation(len(questions)).tolist()
        asked_once = [at for at in order if times[texts[at]] == 1]
        if n_test > len(asked_once):
            problem = f"has {len(asked_once)} questions that are asked once, and {n_test} tests"
            raise DataError(path, f"{problem} are wanted; remove repeated questions")
        tests = {*asked_once[len(asked_once) - n_test :]}
        named = ["test" if at in tests else "train" for at in range(len(questions))]
    return [
        msgspec.structs.replace(question, split=split)
        for question, split in zip(questions, named, strict=True)
    ]


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (columns: {', '.join(names)}; map one with columns)"


def _described(value: Any) -> str:
    return {type(None): "nothing", dict: "an object", list: "a list"}.get(
        type(value), f"{value!r}, a {type(value).__name__}"
    )
