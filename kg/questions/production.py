"""Sets of any size: attempts in order, over any number of processes, resumable after any end.

Attempt i is made from (seed, split, i) alone, attempts are judged in the order of their numbers,
and every judged attempt is one line of a journal. So the bytes do not depend on the number of
workers, and a run that was killed goes on where its journal ends; a line cut short is made again.
"""

from __future__ import annotations

import gc
import hashlib
import os
import threading
from array import array
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from medenv.errors import UsageError
from medenv.io import Journal, digest, write_json
from medenv.kg.certificates.constants import MAX_SHARE, constant, is_drawn_evenly
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph
from medenv.kg.graph.archive import fingerprint
from medenv.kg.questions.drafts import Rejected, Rejection
from medenv.kg.questions.generator import SPLITS, QuestionGenerator, QuestionSpec
from medenv.kg.questions.store import (
    LeakageCertificate,
    decode,
    encode,
    leakage_certificate,
    write_questions,
)
from medenv.records import Question, Record, Retriever

BLOCK = 32
"""Attempts that a worker makes at a time."""

_MAKER = "8"  # raise it when the same attempt makes another question than before

PATIENCE = 2_000
"""Attempts without a new question after which the graph is held to be exhausted."""


class Judged(Record, frozen=True, kw_only=True):
    """One line of a journal: an attempt and what came of it.

    Args:
        i: Number of the attempt.
        line: The question as a line of its file, or ``""``.
        reason: Why there is no question, or None.
    """

    i: int
    line: str = ""
    reason: Rejection | None = None


class Produced(NamedTuple):
    """The questions of one split, and why other attempts came to nothing.

    Args:
        questions: The questions, numbered.
        rejected: Number of attempts by reason.
        attempts: Number of all attempts, topics without a fair short walk included.
    """

    questions: tuple[Question, ...]
    rejected: dict[str, int]
    attempts: int


class Unproved(NamedTuple):
    """A screened question without passages and grades.

    Args:
        question: The question.
        reason: Why it cannot be proved; None where nobody tried, as it was asked before or its
            answer is asked for often enough.
    """

    question: Question
    reason: Rejection | None = None


Attempt = Question | Rejection | Unproved
"""What comes of an attempt."""

Taken = Question | Rejection
"""Result of an attempt."""


class _Judge:
    """Takes attempts in order; refuses what was asked before and answers asked for too often.

    Attributes:
        settled: Hashes of the queries and answers that are refused from now on, whatever comes.
    """

    def __init__(self, max_per_answer: int) -> None:
        self.max_per_answer = max_per_answer
        self.questions: list[Question] = []
        self.rejected: Counter[Rejection] = Counter()
        self.attempts = self.idle = 0
        self._queries: set[int] = set()
        self._asked: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._kinds: Counter[str] = Counter()
        self.settled: set[int] = set()

    def take(self, attempt: Attempt) -> Taken:
        """Return the question with its number, or why it is refused."""
        self.attempts += 1
        self.idle += 1
        found: Taken
        if isinstance(attempt, Rejection):
            found = attempt
        elif isinstance(attempt, Unproved):
            # Without either, two queries or answers have one hash, which nobody will see.
            found = self._refusal(attempt.question) or attempt.reason or Rejection.ASKED_BEFORE
        else:
            found = self._refusal(attempt) or self._numbered(attempt)
        if isinstance(found, Rejection):
            self.rejected[found] += 1
        else:
            self.questions.append(found)
            self.idle = 0
        return found

    def _refusal(self, question: Question) -> Rejection | None:
        """Return why a question is not taken, or None."""
        if _marks(question)[0] in self._queries:
            return Rejection.ASKED_BEFORE
        most = float(self.max_per_answer)
        if is_drawn_evenly(question):
            most = min(most, 1 + MAX_SHARE * (self._kinds[question.kind] + 1))
        enough = self._asked[question.kind, constant(question)] + 1 > most
        return Rejection.ANSWER_REPEATED if enough else None

    def _numbered(self, question: Question) -> Question:
        """Return a question with its number; its query and answer count from now on."""
        asked = (question.kind, constant(question))
        self._asked[asked] += 1
        self._kinds[question.kind] += 1
        by_query, by_answer = _marks(question)
        self._queries.add(by_query)
        self.settled.add(by_query)
        if self._asked[asked] >= self.max_per_answer:
            self.settled.add(by_answer)
        number = len(self.questions)
        return msgspec.structs.replace(question, id=f"{question.split}:{number}")


def _marks(question: Question) -> tuple[int, int]:
    """Return a question's query, however it is worded, and its answer, as numbers of 64 bits."""
    query = _without_order(question.proof.query)
    return _mark(query), _mark((question.kind, *constant(question)))


def _mark(what: Any) -> int:
    return int.from_bytes(hashlib.blake2b(msgspec.json.encode(what), digest_size=8).digest(), "big")


def _without_order(query: Any) -> Any:
    """Return a query with its clues sorted: in another order they ask the same."""
    if not isinstance(query, list):
        return query
    parts = [_without_order(part) for part in query]
    clues = all(isinstance(part, list) and all(isinstance(x, str) for x in part) for part in parts)
    return sorted(parts) if clues else parts


Attempts = Callable[[str, int, int, set[int]], Iterator[list[Attempt]]]
"""Makes attempts of a split, from a number on, a block at a time, without end.

What is marked in the set, which grows meanwhile, need not be proved: it is refused."""


def produce(
    workshop: QuestionGenerator,
    split: str,
    n: int,
    journal: Path | None = None,
    attempts: Attempts | None = None,
    made: Callable[[int], object] = lambda _: None,
) -> Produced:
    """Make the questions of one split, going on where the journal ends.

    Args:
        workshop: Where they are made.
        split: ``"train"`` or ``"test"``.
        n: How many.
        journal: The journal; made where it is missing. None keeps none.
        attempts: Makes the attempts; None makes them in this process.
        made: Told the number of questions so far, from time to time.

    Raises:
        FolderInUseError: Another process makes questions with this journal.
        DataError: The journal belongs to another run, or is damaged before its last line.
        UsageError: The graph holds fewer questions.
        CorpusUnavailableError: The retriever did not answer.
    """
    _enough(workshop, split, n)
    judge = _Judge(workshop.config.max_per_answer)
    identity = _identity(workshop, split)
    with Journal(journal, identity, Judged) if journal else nullcontext() as kept:
        for known in _replay(kept) if kept else ():
            if len(judge.questions) < n:
                judge.take(known)
        made(len(judge.questions))
        if len(judge.questions) < n:
            make = attempts or _inline(workshop)
            for block in make(split, judge.attempts, BLOCK, judge.settled):
                judged = []
                for attempt in block:
                    if len(judge.questions) < n:
                        judged.append(_judged(judge.attempts, judge.take(attempt)))
                if kept is not None:
                    kept.append(*judged)
                made(len(judge.questions))
                if len(judge.questions) >= n:
                    break
                _not_in_vain(judge, split, n)
    rejected = judge.rejected + workshop.unfair(split)
    counts = {reason.value: count for reason, count in sorted(rejected.items())}
    return Produced(tuple(judge.questions), counts, len(judge.questions) + rejected.total())


def _enough(workshop: QuestionGenerator, split: str, n: int) -> None:
    most = workshop.capacity(split)
    if most is not None and n > most:
        raise UsageError(
            f"asked for {n:,} {split} questions, the graph holds {most:,}; ask for fewer, add "
            "kinds, or change test_share, max_name_chars or max_per_answer"
        )


def _not_in_vain(judge: _Judge, split: str, n: int) -> None:
    if judge.idle >= PATIENCE:
        common = ", ".join(f"{why}: {count:,}" for why, count in judge.rejected.most_common(3))
        raise UsageError(
            f"asked for {n:,} {split} questions, {judge.attempts:,} attempts made "
            f"{len(judge.questions):,} ({common}); ask for fewer, or change kinds, levels, "
            "rare_percent, test_share or max_per_answer"
        )


def _identity(workshop: QuestionGenerator, split: str) -> dict[str, str]:
    """Return what tells this run from others, by name: all but the size."""
    # Decoded once more, so that 100 and 100.0 are the same setting.
    config = msgspec.json.decode(msgspec.json.encode(workshop.config), type=QuestionSpec)
    return {
        "maker": _MAKER,
        "graph": fingerprint(workshop.graph),
        "configuration": digest(config, 16),
        "seed": str(workshop.seed),
        "split": split,
        "graded": "yes" if workshop.retriever else "no",
    }


def _judged(i: int, attempt: Taken) -> Judged:
    if isinstance(attempt, Rejection):
        return Judged(i=i, reason=attempt)
    return Judged(i=i, line=encode(attempt, sealed=attempt.split == "test").decode())


def _replay(journal: Journal[Judged]) -> Iterator[Taken]:
    """Yield the attempts of a journal."""
    for i, judged in enumerate(journal.known):
        if judged.i != i:
            raise journal.damaged(i, f"expected attempt {i}, got {judged.i}")
        try:
            yield judged.reason or decode(judged.line.encode())
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise journal.damaged(i, str(error)) from error


def _attempt(workshop: QuestionGenerator, split: str, i: int, settled: Container[int]) -> Attempt:
    try:
        question, outcome = workshop.screened(split, i)
    except Rejected as rejected:
        return rejected.reason
    if any(mark in settled for mark in _marks(question)):
        return Unproved(question)
    try:
        return workshop.proved(question, outcome)
    except Rejected as rejected:
        return Unproved(question, rejected.reason)


def _inline(workshop: QuestionGenerator) -> Attempts:
    def attempts(split: str, first: int, block: int, settled: set[int]) -> Iterator[list[Attempt]]:
        while True:
            yield [_attempt(workshop, split, i, settled) for i in range(first, first + block)]
            first += block

    return attempts


class GenerationSpec(NamedTuple):
    """What a worker process needs to set up its own workshop.

    Args:
        graph: Folder of the saved graph.
        config: What to make.
        seed: Seed of all randomness.
        open_retriever: Opens the retriever, importable by name; None makes ungraded questions.
        corpus: What it opens.
    """

    graph: Path
    config: QuestionSpec
    seed: int
    open_retriever: Callable[[Path], Retriever] | None = None
    corpus: Path = Path()

    def generator(self) -> QuestionGenerator:
        """Set up a workshop.

        Raises:
            DataError: The graph or the index cannot be read.
        """
        documents = Documents(Graph.load(self.graph))
        retriever = self.open_retriever(self.corpus) if self.open_retriever else None
        return QuestionGenerator(documents, self.config, self.seed, retriever)


_OWN: dict[str, QuestionGenerator] = {}
"""A worker process's workshop; no other process has one."""


def _set_up(recipe: GenerationSpec) -> None:
    """Begin a worker, which ends as soon as the process that started it has ended."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _OWN["workshop"] = recipe.generator()
    gc.freeze()  # the graph lives as long as the process: nothing in it is ever to be collected


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _block(split: str, first: int, block: int, settled: bytes) -> list[Attempt]:
    known = set(array("Q", settled))
    return [_attempt(_OWN["workshop"], split, i, known) for i in range(first, first + block)]


@contextmanager
def workers(recipe: GenerationSpec, number: int) -> Iterator[Attempts]:
    """Start worker processes and yield what makes attempts with them, in order.

    Args:
        recipe: What each worker sets up.
        number: How many, at least 1.

    Raises:
        UsageError: `number` is below 1.
    """
    if number < 1:
        raise UsageError(f"expected at least 1 worker, got {number}")
    context = get_context("spawn")
    with ProcessPoolExecutor(number, context, _set_up, (recipe,)) as pool:

        def attempts(
            split: str, first: int, block: int, settled: set[int]
        ) -> Iterator[list[Attempt]]:
            waiting: deque[Future[list[Attempt]]] = deque()
            try:
                while True:
                    while len(waiting) < 3 * number:
                        known = array("Q", settled).tobytes()
                        waiting.append(pool.submit(_block, split, first, block, known))
                        first += block
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

        yield attempts


def write_set(folder: Path, produced: Iterable[Produced]) -> LeakageCertificate:
    """Write ``train.jsonl``, the sealed ``test.jsonl`` and ``leakage.json``, which is returned.

    Args:
        folder: Where to.
        produced: The training questions, then the test questions.
    """
    train, test = (p.questions for p in produced)
    write_questions(folder / "train.jsonl", train)
    write_questions(folder / "test.jsonl", test, sealed=True)
    certificate = leakage_certificate(train, test)
    write_json(folder / "leakage.json", certificate)
    return certificate


__all__ = ["SPLITS", "GenerationSpec", "Judged", "Produced", "produce", "workers", "write_set"]
