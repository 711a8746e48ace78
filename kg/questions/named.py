"""Question sets by the names under which commands take them: a folder, a file, or a benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from medenv.errors import DataError, UnknownNameError
from medenv.kg.questions.benchmarks import TITLES
from medenv.kg.questions.own import is_own, read_own_questions
from medenv.kg.questions.published import convert
from medenv.kg.questions.sets import QuestionSet
from medenv.kg.questions.store import read_questions
from medenv.records import Passage, Question
from medenv.retrieval.disk import read_passages


class SetName(NamedTuple):
    """A parsed name of a question set.

    Attributes:
        benchmark: Name of a published benchmark, see `medenv.kg.questions.published`, or ``""``.
        path: The file or folder.
    """

    benchmark: str
    path: Path

    @property
    def short(self) -> str:
        """Name of the set in reports: the benchmark, or the file or folder without its ending."""
        return self.benchmark or self.path.name.partition(".")[0]


class ReadSet(NamedTuple):
    """Questions and passages of a question set, in memory.

    Attributes:
        questions: All of its questions.
        passages: The passages of its corpus; empty where it has none.
    """

    questions: tuple[Question, ...]
    passages: Iterable[Passage]


def set_name(text: str) -> SetName:
    """Parse a name: ``"FOLDER"``, ``"FILE"`` or ``"BENCHMARK:PATH"``.

    Args:
        text: The name. A path that exists is a path, even with a colon in it.

    Raises:
        UnknownNameError: No benchmark has the name before the colon.
        DataError: There is no such file or folder.
    """
    prefix, colon, rest = text.partition(":")
    is_benchmark = bool(colon) and not Path(text).exists() and "/" not in prefix
    if is_benchmark and prefix not in TITLES:
        raise UnknownNameError("benchmark", prefix, TITLES)
    name = SetName(prefix, Path(rest)) if is_benchmark else SetName("", Path(text))
    if not str(rest if is_benchmark else text).strip() or not name.path.exists():
        raise DataError(
            name.path,
            "expected the folder of a question set, a file of questions, or BENCHMARK:PATH such as "
            "pubmedqa:ori_pqal.json; there is no such file or folder",
        )
    return name


def read_set(text: str, columns: Mapping[str, str] | None = None) -> ReadSet:
    """Read a question set by its name.

    Args:
        text: ``"FOLDER"`` of a question set, ``"FILE"`` of questions, or ``"BENCHMARK:PATH"``.
        columns: For a file of one's own: our name of a column to the file's.

    Raises:
        UnknownNameError: No benchmark has that name.
        DataError: A file is missing or is no question set.
    """
    benchmark, path = set_name(text)
    if benchmark:
        found = convert(benchmark, path)
        return ReadSet(found.questions, found.passages)
    if path.is_dir():
        opened = QuestionSet.open(path)
        passages = () if opened.corpus is None else read_passages(opened.corpus)[0]
        return ReadSet(opened.questions(), passages)
    if is_own(path):
        own = read_own_questions(path, columns)
        return ReadSet(own.questions, own.passages)
    return ReadSet(read_questions(path), ())
