"""Batch verification of questions, including search ranks and grades."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from medenv.kg.certificates.certificate import rank_among, verify
from medenv.kg.certificates.queries import evaluate
from medenv.kg.graph import Graph
from medenv.kg.questions.difficulty import Found, difficulty, grade, search_parts
from medenv.records import Passage, Question, Retriever

BATCH = 64
"""Number of questions per search."""


def prove_all(
    questions: Iterable[Question], graph: Graph, retriever: Retriever | None = None
) -> Iterator[tuple[Question, list[str]]]:
    """Yield every question with its problems, one line each; no problems mean that it is proved.

    Args:
        questions: The questions.
        graph: The graph of the questions.
        retriever: Retriever to verify search ranks and grades of graded questions, or None.

    Raises:
        CorpusUnavailableError: The retriever did not answer.
    """
    known: dict[str, list[Passage]] = {}
    for batch in _batches(questions):
        problems = [verify(question, graph) for question in batch]
        graded = [i for i, question in enumerate(batch) if question.grades and not problems[i]]
        if retriever is not None and graded:
            found = search_parts(retriever, [batch[i] for i in graded], known)
            for i, results in zip(graded, found, strict=True):
                problems[i] = _graded(batch[i], graph, results)
        yield from zip(batch, problems, strict=True)


def _batches(questions: Iterable[Question]) -> Iterator[list[Question]]:
    batch: list[Question] = []
    for question in questions:
        batch.append(question)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _graded(question: Question, graph: Graph, found: Found) -> list[str]:
    """Verify the search rank, grades and difficulty of a question."""
    certificate = question.proof
    problems = []
    rank = rank_among(certificate, found.whole)
    if rank != certificate.search_rank:
        problems.append(f"search_rank is {certificate.search_rank!r}, the search says {rank!r}")
    grades = grade(graph, question, evaluate(graph, certificate.query), found)
    if grades != question.grades:
        problems.append(f"grades are {question.grades!r}, the solvers say {grades!r}")
    hardness = round(difficulty(grades), 4)
    if hardness != question.difficulty:
        problems.append(f"difficulty is {question.difficulty!r}, the solvers say {hardness!r}")
    return problems
