"""Corpora in which answers are not to be found, and what that makes of the questions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from medenv.errors import NoCertificateError, UsageError
from medenv.records import Passage, Question, Retriever


class FilteredRetriever:
    """A corpus without some of its passages.

    Args:
        retriever: The whole corpus.
        hidden: Ids of passages that are not found and cannot be read.
    """

    def __init__(self, retriever: Retriever, hidden: frozenset[str]) -> None:
        self._retriever, self._hidden = retriever, hidden

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query up to `k` passages that are not hidden, best first.

        Args:
            queries: What is searched.
            k: How many, at least 1.

        Raises:
            CorpusUnavailableError: The backend did not answer.
        """
        wanted = k
        while True:
            found = self._retriever.search(queries, wanted)
            kept = [[hit for hit in hits if hit[0].id not in self._hidden] for hits in found]
            short = any(
                len(some) < k and len(hits) == wanted
                for some, hits in zip(kept, found, strict=True)
            )
            if not short:
                return [hits[:k] for hits in kept]
            wanted *= 2

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None where there is none or it is hidden."""
        return None if passage_id in self._hidden else self._retriever.get(passage_id)


UNKNOWN = "unknown"
"""The answer to a question that has none."""

ABSTAIN = " If the corpus does not say, answer: unknown."
"""What every question of an environment with withheld passages ends with."""


def withhold(
    questions: Sequence[Question], share: float
) -> tuple[tuple[Question, ...], frozenset[str]]:
    """Make a part of the questions unanswerable by withholding what states their last hop.

    Every n-th question loses its last hop, n = 1 / `share`. A question that thereby loses all
    passages of one of its hops has no answer any more; so what counts is what is left, not what was
    chosen. Questions that some other direct edge might answer are left out.

    Args:
        questions: Questions with certificates.
        share: Share of the questions to take the last hop from, in (0, 1].

    Returns:
        The questions, and the ids of the passages to hide.

    Raises:
        UsageError: A share outside (0, 1].
        NoCertificateError: A question has no certificate.
    """
    if not 0 < share <= 1:
        raise UsageError(f"the share to withhold must be in (0, 1], got {share}")
    for one in questions:
        if one.certificate is None:
            raise NoCertificateError(one.id, "withholding its passages")
    asked = [one for one in questions if not one.proof.shortcuts]
    chosen = [one for i, one in enumerate(asked) if int((i + 1) * share) > int(i * share)]
    hidden = frozenset(passage for one in chosen for passage in one.proof.path[-1].passages)
    return tuple(_without_passages(one, hidden) for one in asked), hidden


def _without_passages(question: Question, hidden: frozenset[str]) -> Question:
    """Return the question without the hidden passages in its evidence."""
    proof = question.proof
    lost = any(hop.passages and hidden.issuperset(hop.passages) for hop in proof.path)
    path = tuple(
        msgspec.structs.replace(
            hop, passages=tuple(one for one in hop.passages if one not in hidden)
        )
        for hop in proof.path
    )
    return msgspec.structs.replace(
        question,
        text=question.text + ABSTAIN,
        answers=() if lost else question.answers,
        certificate=msgspec.structs.replace(proof, path=path),
    )


def answer_name(question: Question) -> str:
    """Return what to answer: a name, all names where all are asked for, `UNKNOWN` for no answer.

    Args:
        question: What is asked.
    """
    names = [answer.name for answer in question.answers] or [UNKNOWN]
    return "; ".join(names) if question.asks_for_all else names[0]


def answer_kind(question: Question) -> str:
    """Return the kind of what is asked for, also where there is no answer.

    Args:
        question: What is asked.
    """
    form, colon, _ = question.kind.partition(":")
    if question.answers:
        return question.answers[0].kind
    kind = "value" if colon and form == "quantity" else question.kind
    return kind.replace(":", ">").split(">")[-1]
