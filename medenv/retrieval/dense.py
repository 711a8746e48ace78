"""Dense and hybrid retrieval through the interface of all retrievers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from medenv.errors import UsageError
from medenv.records import Passage, Retriever
from medenv.retrieval.disk import stored

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors, float, shape [texts, dimensions]: any embedding model."""

_BATCH = 256


class DenseRetriever:
    """Ranks passages by the cosine between vectors of query and passage, exactly.

    Args:
        passages: The corpus.
        encode: Makes the vectors, of queries and of ``"title: text"`` of passages.

    Raises:
        UsageError: No passages, or vectors of another shape than asked for.
    """

    def __init__(self, passages: Iterable[Passage], encode: Encode) -> None:
        self.passages = stored(passages)
        if not len(self.passages):
            raise UsageError("a dense corpus needs at least one passage, got none")
        self._encode = encode
        texts = (f"{one.title}: {one.text}" for one in self.passages)
        batches = iter(lambda: list(itertools.islice(texts, _BATCH)), [])
        self._vectors = np.concatenate([self._unit(batch) for batch in batches])

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query the `k` nearest passages with their cosines, ties by id.

        Args:
            queries: What is searched.
            k: How many, at least 1.

        Raises:
            UsageError: `k` below 1.
        """
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}")
        if not queries:
            return []
        scores = self._unit(list(queries)) @ self._vectors.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [
            [(self.passages[number], float(row[number])) for number in best]
            for row, best in zip(scores, order.tolist(), strict=True)
        ]

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None where there is none."""
        return self.passages.get(passage_id)

    def _unit(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.asarray(self._encode(texts), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise UsageError(
                f"encode must give vectors of shape [{len(texts)}, dimensions], "
                f"got {list(vectors.shape)}"
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)


class HybridRetriever:
    """Joins the rankings of several retrievers: sum over them of ``1 / (60 + rank)``.

    Args:
        retrievers: At least one; passages of one id count as one.
        depth: How far down each ranking is read.

    Raises:
        UsageError: No retrievers, or `depth` below 1.

    Source:
        G. Cormack, C. Clarke, S. Büttcher: Reciprocal Rank Fusion Outperforms Condorcet (2009).
    """

    def __init__(self, retrievers: Sequence[Retriever], *, depth: int = 50) -> None:
        if not retrievers or depth < 1:
            raise UsageError(
                f"expected retrievers and a depth >= 1, got {len(retrievers)}, {depth}"
            )
        self._retrievers, self._depth = tuple(retrievers), depth
        self.local = all(getattr(one, "local", True) for one in retrievers)

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query the best `k` passages of the joint ranking, ties by id.

        Args:
            queries: What is searched.
            k: How many, at least 1.

        Raises:
            CorpusUnavailableError: A backend did not answer.
        """
        found = [one.search(queries, max(k, self._depth)) for one in self._retrievers]
        return [_fused([hits[i] for hits in found])[:k] for i in range(len(queries))]

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id from the first retriever that has it."""
        for one in self._retrievers:
            passage = one.get(passage_id)
            if passage is not None:
                return passage
        return None


def _fused(rankings: Sequence[Sequence[tuple[Passage, float]]]) -> list[tuple[Passage, float]]:
    scores: dict[str, float] = {}
    passages: dict[str, Passage] = {}
    for ranking in rankings:
        for rank, (passage, _) in enumerate(ranking, 1):
            scores[passage.id] = scores.get(passage.id, 0.0) + 1 / (60 + rank)
            passages.setdefault(passage.id, passage)
    order = sorted(scores, key=lambda one: (-scores[one], one))
    return [(passages[one], scores[one]) for one in order]
