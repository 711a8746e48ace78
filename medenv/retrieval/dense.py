"""Dense and hybrid retrieval through the interface of all retrievers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medenv.errors import DataError, UsageError
from medenv.io import atomic_folder, read_json, write_json
from medenv.records import Passage, Record, Retriever
from medenv.retrieval.bm25 import BM25Retriever, open_bm25
from medenv.retrieval.disk import (
    PASSAGES,
    Passages,
    read_passages,
    stored,
    write_passages,
)
from medenv.retrieval.encoders import Encode, identity_of, open_encoder
from medenv.retrieval.loaders import open_passages
from medenv.text import AnalysisLike

ENCODER = "encoder.json"
"""File in a saved index that names the encoder of its vectors."""

_VECTORS = "vectors.npy"
_BATCH = 256


class _Header(Record, frozen=True, kw_only=True):
    """What the vectors of a saved index are of.

    Args:
        encoder: Identity of the encoder.
        passages: SHA-256 of the file of passages.
    """

    encoder: str
    passages: str


class DenseRetriever:
    """Ranks passages by the cosine between vectors of query and passage, exactly.

    Args:
        passages: The corpus.
        encode: Makes the vectors, of queries and of ``"title: text"`` of passages.

    Raises:
        UsageError: No passages, or vectors of another shape than asked for.
    """

    local = False

    def __init__(self, passages: Iterable[Passage], encode: Encode) -> None:
        store = stored(passages)
        if not len(store):
            raise UsageError("a dense corpus needs at least one passage, got none")
        texts = (f"{one.title}: {one.text}" for one in store)
        batches = iter(lambda: list(itertools.islice(texts, _BATCH)), [])
        self._attach(store, encode, np.concatenate([_unit(encode, batch) for batch in batches]))

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query the `k` nearest passages with their cosines, ties by id.

        Args:
            queries: What is searched.
            k: How many, at least 1.

        Raises:
            UsageError: `k` below 1, or an encoder of other dimensions.
        """
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}")
        if not queries:
            return []
        asked = _unit(self._encode, list(queries))
        if asked.shape[1] != self._vectors.shape[1]:
            raise UsageError(
                f"the passages have vectors of {self._vectors.shape[1]} dimensions, "
                f"the encoder makes {asked.shape[1]}: index the corpus again"
            )
        results = []
        for vector in asked:  # one at a time, so that a score does not depend on the other queries
            scores = self._vectors @ vector
            best = np.argsort(-scores, kind="stable")[:k].tolist()
            results.append([(self.passages[number], float(scores[number])) for number in best])
        return results

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None where there is none."""
        return self.passages.get(passage_id)

    def save(self, folder: Path | str) -> None:
        """Write passages and vectors into a new folder, whole or not at all.

        Args:
            folder: The folder, made where it does not exist.

        Raises:
            DataError: The folder holds something already, or cannot be written.
        """
        with atomic_folder(folder) as built:
            self.write_into(built, write_passages(self.passages, built))

    def write_into(self, folder: Path, passages: str) -> None:
        """Write the vectors beside the passages of a folder.

        Args:
            folder: The folder.
            passages: SHA-256 of its file of passages.
        """
        np.save(folder / _VECTORS, self._vectors, allow_pickle=False)
        write_json(folder / ENCODER, _Header(encoder=identity_of(self._encode), passages=passages))

    @classmethod
    def load(cls, folder: Path | str, encode: Encode) -> DenseRetriever:
        """Open a saved index: its vectors are memory-mapped, its passages read when asked for.

        Args:
            folder: What `save` or `save_hybrid` wrote.
            encode: The encoder that the index was made with.

        Raises:
            DataError: A file is missing or damaged, or the vectors are of other passages.
            UsageError: The index was made with another encoder.
        """
        store, digest = read_passages(folder)
        header = read_json(Path(folder) / ENCODER, _Header, "an index with embeddings")
        if header.encoder != identity_of(encode):
            raise UsageError(
                f"{folder} was made with encoder {header.encoder!r}, asked for is "
                f"{identity_of(encode)!r}: name that encoder, or index the corpus again"
            )
        try:
            vectors = np.load(Path(folder) / _VECTORS, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(Path(folder) / _VECTORS, f"cannot be read: {error}") from error
        whole = vectors.ndim == 2 and vectors.dtype == np.float32 and len(vectors) == len(store)
        if not whole or header.passages != digest:
            raise DataError(folder, "the vectors are of other passages: index the corpus again")
        retriever = cls.__new__(cls)
        retriever._attach(store, encode, vectors.view(np.ndarray))
        return retriever

    def _attach(self, store: Passages, encode: Encode, vectors: NDArray[np.float32]) -> None:
        self.passages, self._encode, self._vectors = store, encode, vectors


def _unit(encode: Encode, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of some texts, each of length one."""
    vectors = np.asarray(encode(texts), np.float32)
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


def save_dense(
    passages: Iterable[Passage],
    folder: Path | str,
    *,
    encoder: str | Encode = "hashed",
    encoder_options: Mapping[str, Any] | None = None,
) -> None:
    """Index passages for dense retrieval.

    Args:
        passages: The corpus.
        folder: Where the index is written.
        encoder: The encoder, see `medenv.retrieval.encoders.open_encoder`.
        encoder_options: Its options.

    Raises:
        DataError: The folder holds something already, or cannot be written.
        UsageError: No passages, or an encoder that does not fit.
    """
    DenseRetriever(passages, open_encoder(encoder, encoder_options)).save(folder)


def open_dense(
    corpus: Path | str | Iterable[Passage],
    *,
    encoder: str | Encode = "hashed",
    encoder_options: Mapping[str, Any] | None = None,
) -> DenseRetriever:
    """Open a saved dense or hybrid index, or embed passages.

    Args:
        corpus: Folder of the index, a path that `medenv.retrieval.loaders.open_passages` takes, or
            passages.
        encoder: The encoder, see `medenv.retrieval.encoders.open_encoder`.
        encoder_options: Its options.

    Raises:
        DataError: A file is missing or damaged.
        UsageError: The index was made with another encoder.
    """
    encode = open_encoder(encoder, encoder_options)
    if isinstance(corpus, str | Path):
        if (Path(corpus) / PASSAGES).is_file():
            return DenseRetriever.load(corpus, encode)
        corpus = open_passages(corpus)
    return DenseRetriever(corpus, encode)


def save_hybrid(
    passages: Iterable[Passage],
    folder: Path | str,
    *,
    encoder: str | Encode = "hashed",
    encoder_options: Mapping[str, Any] | None = None,
    analysis: AnalysisLike = "plain",
) -> None:
    """Index passages for hybrid retrieval; the retrievers bm25 and dense open the folder, too.

    Args:
        passages: The corpus.
        folder: Where the index is written.
        encoder: The encoder, see `medenv.retrieval.encoders.open_encoder`.
        encoder_options: Its options.
        analysis: How text becomes terms, see `medenv.text.Analysis`.

    Raises:
        DataError: The folder holds something already, or cannot be written.
        UsageError: No passages, or an encoder or analysis that does not fit.
    """
    store = stored(passages)
    terms = BM25Retriever(store, analysis=analysis)
    vectors = DenseRetriever(store, open_encoder(encoder, encoder_options))
    with atomic_folder(folder) as built:
        vectors.write_into(built, terms.write_into(built))


def open_hybrid(
    corpus: Path | str | Iterable[Passage],
    *,
    encoder: str | Encode = "hashed",
    encoder_options: Mapping[str, Any] | None = None,
    analysis: AnalysisLike | None = None,
    depth: int = 50,
) -> HybridRetriever:
    """Open a saved hybrid index, or index passages: BM25 and dense, fused by their ranks.

    Args:
        corpus: Folder of the index, a path that `medenv.retrieval.loaders.open_passages` takes, or
            passages.
        encoder: The encoder, see `medenv.retrieval.encoders.open_encoder`.
        encoder_options: Its options.
        analysis: As `medenv.retrieval.bm25.open_bm25` takes it.
        depth: How far down each ranking is read.

    Raises:
        DataError: A file is missing or damaged.
        UsageError: The index was made with another encoder or analysis.
    """
    terms = open_bm25(corpus, analysis=analysis)
    saved = isinstance(corpus, str | Path) and (Path(corpus) / PASSAGES).is_file()
    vectors = open_dense(
        corpus if saved else terms.passages, encoder=encoder, encoder_options=encoder_options
    )
    return HybridRetriever([terms, vectors], depth=depth)
