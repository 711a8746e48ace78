"""What questions share with a benchmark that is not to be trained on: word n-grams and answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from medenv.errors import DataError, UsageError
from medenv.io import numbered_lines, read_json, read_records
from medenv.records import Question, Record
from medenv.retrieval.filtered import answer_kind
from medenv.text import fold, occurs, words

NGRAM = 8
"""Words in a row that count as shared wording."""


class Overlap(Record, frozen=True, kw_only=True):
    """What one question shares with a benchmark.

    Args:
        question: Id of the question.
        ngrams: Shared runs of words.
        entities: Names of answers that stand in the benchmark.
    """

    question: str
    ngrams: tuple[str, ...]
    entities: tuple[str, ...]


def overlaps(
    questions: Iterable[Question], benchmark: Path | str, n: int = NGRAM
) -> tuple[Overlap, ...]:
    """Return the questions that share wording or answers with a benchmark file.

    Args:
        questions: The questions.
        benchmark: JSON lines, JSON (all their strings are read), or plain text.
        n: Words in a row that count as shared wording.

    Raises:
        DataError: The file cannot be read, is empty, or a line is no JSON.
        UsageError: `n` is below 1.
    """
    if n < 1:
        raise UsageError(f"expected n-grams of at least 1 word, got {n}")
    texts = [fold(text) for text in _texts(Path(benchmark))]
    if not any(text.strip() for text in texts):
        raise DataError(benchmark, "expected a benchmark, the file has no text")
    known = {gram for text in texts for gram in ngrams(text, n)}
    vocabulary = {word for text in texts for word in words(text)}
    everything = "\n".join(texts)

    @cache
    def stands(name: str) -> bool:
        folded = fold(name.strip())
        return vocabulary.issuperset(words(folded)) and occurs(folded, everything)

    found = []
    for question in questions:
        names = [n for a in question.answers for n in (a.name, *a.aliases) if len(n) > 3]
        valued = answer_kind(question) == "value"
        entities = () if valued else tuple(name for name in names if stands(name))
        shared = tuple(dict.fromkeys(g for g in ngrams(question.text, n) if g in known))
        if shared or entities:
            found.append(Overlap(question=question.id, ngrams=shared, entities=entities))
    return tuple(found)


def ngrams(text: str, n: int) -> Iterator[str]:
    """Yield all runs of n words of a text, folded, without punctuation.

    Args:
        text: The text.
        n: Words in a run.
    """
    found = words(text)
    for start in range(len(found) - n + 1):
        yield " ".join(found[start : start + n])


def _texts(path: Path) -> Iterator[str]:
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "json":
        yield from _strings(read_json(path, object))
    elif kind == "jsonl":
        for value in read_records(path, object):
            yield from _strings(value)
    else:
        for _, line in numbered_lines(path):
            yield line


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
