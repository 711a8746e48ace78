"""Overlap between questions and a benchmark that is not to be trained on: n-grams and answers.

`overlaps` holds made questions against any file of a benchmark; `overlap_of_sets` holds one
question set against another, and against a corpus. GPT-3's authors searched for runs of 13 words
(Brown et al. 2020, arXiv 2005.14165, appendix C), PaLM's for runs of 8 (Chowdhery et al. 2022,
arXiv 2204.02311).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from medenv.errors import DataError, UsageError
from medenv.io import numbered_lines, read_json, read_records
from medenv.kg.questions.store import entities_of
from medenv.records import Passage, Question, Record
from medenv.retrieval.filtered import answer_kind
from medenv.text import fold, occurs, words

NGRAM = 8
"""Words in a row that count as shared wording."""

RUNS = (8, 13)
"""Lengths of the runs of words that `overlap_of_sets` counts."""

SHORTEST_NAME = 4
"""Characters of the shortest name that counts as a shared entity; "yes" and "no" are none."""

_OPINIONS = frozenset(("yes", "no", "maybe"))


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


class QuestionOverlap(Record, frozen=True, kw_only=True):
    """Overlap of one question with a question set and a corpus.

    Args:
        question: Id of the question.
        identical: Whether the other set asks the same, spelling and punctuation aside.
        in_questions: Words in a row to the share of the question's runs of that length that stand
            in questions of the other set, in [0, 1]; 0 where the question is shorter.
        in_corpus: The same for passages; empty without a corpus.
        entities: Topic, answers and entities of the path that the other set has too, by name.
    """

    question: str
    identical: bool
    in_questions: dict[int, float]
    in_corpus: dict[int, float]
    entities: tuple[str, ...]

    @property
    def worst(self) -> tuple[bool, float, int]:
        """Sort key: questions that share more are greater."""
        shares = (*self.in_questions.values(), *self.in_corpus.values())
        return self.identical, max(shares, default=0.0), len(self.entities)


class RunOverlap(Record, frozen=True, kw_only=True):
    """Number of word runs that a question set shares.

    Args:
        questions: Questions that share a run.
        share: Mean share of a question's runs that are shared, over those long enough to have one.
        too_short: Questions with fewer words than a run.
    """

    questions: int
    share: float
    too_short: int


class SetOverlap(Record, frozen=True, kw_only=True):
    """Overlap of a question set with another one and with a corpus.

    Args:
        questions: Number of questions of the set.
        others: Number of questions of the other set.
        passages: Number of passages of the corpus.
        identical: Questions that the other set asks too.
        in_questions: Words in a row to the runs shared with questions.
        in_corpus: The same for passages; empty without a corpus.
        with_entities: Questions with an entity that the other set has too.
        entities: Number of such entities, by name.
        given: Passages that the set brings along.
        shared_passages: How many of those stand in the corpus, word for word.
        found: Each question that shares something, the one that shares most first.
    """

    questions: int
    others: int
    passages: int
    identical: int
    in_questions: dict[int, RunOverlap]
    in_corpus: dict[int, RunOverlap]
    with_entities: int
    entities: int
    found: tuple[QuestionOverlap, ...]
    given: int = 0
    shared_passages: int = 0


def overlap_of_sets(
    questions: Sequence[Question],
    others: Iterable[Question],
    corpus: Iterable[Passage] = (),
    runs: Sequence[int] = RUNS,
    given: Iterable[Passage] = (),
) -> SetOverlap:
    """Return what questions, such as a benchmark's, share with training questions and a corpus.

    Args:
        questions: The questions that are asked.
        others: The questions that are trained on.
        corpus: The passages that are trained on or searched.
        runs: Words in a row that count as shared wording.
        given: The passages that the questions bring along, such as a benchmark's snippets.

    Raises:
        UsageError: No question, or a run below 1 word.
    """
    if not questions or not runs or min(runs) < 1:
        raise UsageError(
            f"expected questions, and runs of at least 1 word; got {len(questions)} questions and "
            f"runs of {', '.join(map(str, runs)) or 'no words'}"
        )
    mine = [{n: frozenset(ngrams(_stem(one), n)) for n in runs} for one in questions]
    sought = {n: frozenset().union(*(one[n] for one in mine)) for n in runs}
    seen, read = _Seen(sought), _Seen(sought)
    texts, names, count = set[str](), set[str](), 0
    for other in others:
        count += 1
        seen.add(_stem(other))
        texts.add(" ".join(words(_stem(other))))
        names |= _entities(other).keys()
    brought = {" ".join(words(passage.text)) for passage in given}
    known = set[str]()
    for passage in corpus:
        known |= brought & {" ".join(words(passage.text))}
        read.add(f"{passage.title} {passage.text}")
    made = []
    for one, its in zip(questions, mine, strict=True):
        shared = {name: None for key, name in _entities(one).items() if key in names}
        made.append(
            QuestionOverlap(
                question=one.id,
                identical=" ".join(words(_stem(one))) in texts,
                in_questions=seen.shares(its),
                in_corpus=read.shares(its) if read.texts else {},
                entities=tuple(shared),
            )
        )
    return SetOverlap(
        questions=len(questions),
        others=count,
        passages=read.texts,
        identical=sum(one.identical for one in made),
        in_questions=_runs([one.in_questions for one in made], mine, runs),
        in_corpus=_runs([one.in_corpus for one in made], mine, runs) if read.texts else {},
        with_entities=sum(bool(one.entities) for one in made),
        entities=len({name for one in made for name in one.entities}),
        given=len(brought),
        shared_passages=len(known),
        found=tuple(
            sorted((one for one in made if any(one.worst)), key=lambda one: one.worst, reverse=True)
        ),
    )


def _stem(question: Question) -> str:
    """Return the text without the options, which "A. yes, B. no" would make alike."""
    return question.text.rpartition("\n\n")[0] if question.options else question.text


class _Seen:
    """The runs that some texts share with those that are sought.

    Args:
        sought: Words in a row to the runs of that length.
    """

    def __init__(self, sought: Mapping[int, frozenset[str]]) -> None:
        self._sought, self.texts = sought, 0
        self._found: dict[int, set[str]] = {n: set() for n in sought}

    def add(self, text: str) -> None:
        """Look through a text."""
        self.texts += 1
        found = words(text)
        for n, sought in self._sought.items():
            spans = (" ".join(found[at : at + n]) for at in range(len(found) - n + 1))
            self._found[n].update(sought.intersection(spans))

    def shares(self, its: Mapping[int, frozenset[str]]) -> dict[int, float]:
        """Return the share of a question's runs that was found, by length."""
        return {
            n: len(all_of & self._found[n]) / len(all_of) if all_of else 0.0
            for n, all_of in its.items()
        }


def _runs(
    shares: Sequence[Mapping[int, float]],
    mine: Sequence[Mapping[int, frozenset[str]]],
    runs: Sequence[int],
) -> dict[int, RunOverlap]:
    found = {}
    for n in runs:
        long = [share[n] for share, its in zip(shares, mine, strict=True) if its[n]]
        found[n] = RunOverlap(
            questions=sum(share > 0 for share in long),
            share=math.fsum(long) / len(long) if long else 0.0,
            too_short=len(mine) - len(long),
        )
    return found


def _entities(question: Question) -> dict[str, str]:
    """Return what a question is about: folded names and ids of entities, to a name."""
    valued = answer_kind(question) == "value"
    known = () if valued else question.named
    found: dict[str, str] = {}
    for entity in known:
        keys = [fold(name).strip() for name in (entity.name, *entity.aliases)]
        found |= {
            key: entity.name for key in keys if len(key) >= SHORTEST_NAME and key not in _OPINIONS
        }
    by_id = {entity.id: entity.name for entity in known}
    return found | {one: by_id.get(one, one) for one in entities_of(question)}


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
