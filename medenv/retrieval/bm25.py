"""BM25 over titles and texts, in memory or memory-mapped, with deterministic order."""

from __future__ import annotations

import array
import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medenv.compiled import warn_if_slow
from medenv.errors import DataError, UsageError
from medenv.io import atomic_folder, read_bytes, write_bytes
from medenv.records import Passage
from medenv.retrieval.disk import (
    PASSAGES,
    Passages,
    read_passages,
    stored,
    write_passages,
)
from medenv.retrieval.kernel import top_k
from medenv.text import Analysis, AnalysisLike, analyser, analysis_of, read_analysis, write_analysis

ANALYSIS = "analysis.json"
"""File in a saved index that states its analysis."""


class BM25Retriever:
    """Ranks passages by BM25 in its Lucene form.

    For a query of terms q and a passage d of |d| terms (title and text), with N passages, of which
    n(w) contain w, and mean length L, the score is the sum over all terms w of the query of

        ln(1 + (N - n(w) + 0.5) / (n(w) + 0.5)) * f / (f + k1 * (1 - b + b * |d| / L))

    where f is how often w occurs in d; a term that the query repeats counts each time. Terms of the
    title count `title_weight` times, in f and in |d|, as in the simple extension of BM25 to fields.
    Passages that share no term with the query are not returned; ties go by passage id. Safe to call
    from many threads.

    Args:
        passages: The corpus.
        analysis: How passages and queries become terms, see `medenv.text.Analysis`:
            ``"plain"`` for their words, ``"english"`` for prose.
        k1: How slowly repeated words saturate, at least 0.
        b: How much long passages are discounted, in [0, 1].
        title_weight: How often a title is counted, at least 1.

    Raises:
        UsageError: No words at all, two passages of one id, or a parameter out of range.

    Source:
        S. Robertson, H. Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond (2009);
        C. Kamphuis et al.: Which BM25 Do You Mean? (2020); S. Robertson, H. Zaragoza,
        M. Taylor: Simple BM25 Extension to Multiple Weighted Fields (2004); index by X. H. Lu:
        BM25S (2024).
    """

    def __init__(
        self,
        passages: Iterable[Passage],
        *,
        analysis: AnalysisLike = "plain",
        k1: float = 1.5,
        b: float = 0.75,
        title_weight: int = 1,
    ) -> None:
        if k1 < 0 or not 0 <= b <= 1 or title_weight < 1:
            raise UsageError(
                "BM25 needs k1 >= 0, 0 <= b <= 1 and title_weight >= 1, got "
                f"k1={k1}, b={b}, title_weight={title_weight}"
            )
        analysis = analysis_of(analysis)
        analyse = analyser(analysis)
        store = stored(passages)
        bm25s = _bm25s()

        vocabulary: dict[str, int] = {}
        ids = [  # packed, since boxed numbers would take more room than the texts
            array.array(
                "i",
                [
                    vocabulary.setdefault(word, len(vocabulary))
                    for word in analyse(passage.title) * title_weight + analyse(passage.text)
                ],
            )
            for passage in store
        ]
        if not vocabulary:
            raise UsageError(f"a corpus needs at least one word, got {len(store)} empty passages")
        index = bm25s.BM25(method="lucene", k1=k1, b=b, csc_backend="numpy")
        vocabulary.setdefault("", len(vocabulary))
        index.index((ids, vocabulary), show_progress=False)
        self._attach(store, index, analysis)

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query up to `k` passages with their scores, best first.

        Args:
            queries: Plain words, no operators.
            k: How many, at least 1.

        Raises:
            UsageError: `k` below 1.
        """
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}")
        scratch = self._scratch()
        best, best_scores = np.empty(k, np.int32), np.empty(k, np.float32)
        results, look = [], top_k.ready or top_k
        for query in queries:
            known = [i for i in map(self._vocabulary.get, self._analyse(query)) if i is not None]
            terms = np.array(known, np.int32)
            found = look(*self._arrays, terms, *scratch, best, best_scores)
            ranked = zip(best[:found].tolist(), best_scores[:found].tolist(), strict=True)
            results.append([(self.passages[number], score) for number, score in ranked])
        return results

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None where there is none."""
        return self.passages.get(passage_id)

    def save(self, folder: Path | str) -> None:
        """Write passages and index into a folder, whole or not at all; an index there is replaced.

        Args:
            folder: The folder, made where it does not exist.

        Raises:
            DataError: The folder holds something else, or cannot be written.
        """
        there = (Path(folder) / PASSAGES).exists()
        with atomic_folder(folder, existing="replace" if there else "refuse") as built:
            self.write_into(built)

    def write_into(self, folder: Path) -> str:
        """Write passages and index into an empty folder, and return the SHA-256 of the passages."""
        self._index.save(folder, show_progress=False)
        write_bytes(folder / ANALYSIS, write_analysis(self.analysis))
        return write_passages(self.passages, folder)

    @classmethod
    def load(cls, folder: Path | str, *, analysis: AnalysisLike | None = None) -> BM25Retriever:
        """Open a saved index: its arrays are memory-mapped, its passages read when asked for.

        Args:
            folder: What `save` wrote.
            analysis: The analysis that it has to be of; queries are analysed as its passages were.

        Raises:
            DataError: A file is missing or damaged, or the index is of other passages or another
                release.
            UsageError: It is of another analysis.
        """
        bm25s = _bm25s()

        store, _ = read_passages(folder)
        try:
            index = bm25s.BM25.load(folder, mmap=True, show_progress=False)
        except (OSError, ValueError, EOFError, TypeError) as error:
            raise DataError(folder, f"no readable BM25 index: {error}") from error
        if index.scores["num_docs"] != len(store):
            problem = f"index of {index.scores['num_docs']} passages, file of {len(store)}"
            raise DataError(folder, f"{problem}: build it again")
        retriever = cls.__new__(cls)
        retriever._attach(store, index, saved_analysis(folder, analysis))
        return retriever

    def _attach(self, store: Passages, index: Any, analysis: Analysis) -> None:
        warn_if_slow(f"searching {len(store):,} passages", len(store), 20_000)
        self.analysis, self._analyse = analysis, analyser(analysis)
        self.passages, self._index = store, index
        self._vocabulary: dict[str, int] = index.vocab_dict
        self._arrays = (
            _flat(index.scores["data"], np.float32),
            _flat(index.scores["indices"], np.int32).view(np.uint32),
            _flat(index.scores["indptr"], np.int64),
            np.full(len(index.scores["indptr"]) - 1, -1, np.float32),
        )
        self._local = threading.local()

    def _scratch(self) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
        """Return this thread's own working arrays."""
        scratch: tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]] | None
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            size = len(self.passages)
            scratch = self._local.scratch = (
                np.zeros(len(self._arrays[-1]), np.int32),
                np.zeros(size, np.float32),
                np.empty(size + 1, np.int32),
            )
        return scratch

    def __getstate__(self) -> dict[str, Any]:
        return {"passages": self.passages, "_index": self._index, "analysis": self.analysis}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._attach(state["passages"], state["_index"], state["analysis"])


def saved_analysis(folder: Path | str, expected: AnalysisLike | None = None) -> Analysis:
    """Return the analysis that a saved index was made by.

    Args:
        folder: The index.
        expected: The analysis that it has to be, or None for any.

    Raises:
        DataError: The note of it is missing or damaged.
        UsageError: It is another one.
    """
    path = Path(folder) / ANALYSIS
    if not path.exists():
        raise DataError(folder, f"has no {ANALYSIS}, so it is no BM25 index: build it again")
    return read_analysis(read_bytes(path), folder, expected)


def save_bm25(
    passages: Iterable[Passage], folder: Path | str, *, analysis: AnalysisLike | None = None
) -> None:
    """Index passages for BM25.

    Args:
        passages: The corpus.
        folder: Where the index is written.
        analysis: How text becomes terms, see `medenv.text.Analysis`; None for ``"plain"``.

    Raises:
        DataError: The folder holds something else, or cannot be written.
        UsageError: No words at all, or two passages of one id.
    """
    BM25Retriever(passages, analysis=analysis or "plain").save(folder)


def open_bm25(
    corpus: Path | str | Iterable[Passage], *, analysis: AnalysisLike | None = None
) -> BM25Retriever:
    """Open a saved index, or index passages.

    Args:
        corpus: A folder that `BM25Retriever.save` wrote, a path that
            `medenv.retrieval.loaders.open_passages` takes, or passages.
        analysis: How passages are analysed, ``"plain"`` by default, or the analysis that a saved
            index has to be of.

    Raises:
        DataError: A file is missing or damaged.
        UsageError: The index is of another analysis.
    """
    from medenv.retrieval.loaders import open_passages  # here, since loaders make BM25 indexes

    if isinstance(corpus, str | Path):
        if (Path(corpus) / PASSAGES).is_file():
            return BM25Retriever.load(corpus, analysis=analysis)
        corpus = open_passages(corpus)
    return BM25Retriever(corpus, analysis="plain" if analysis is None else analysis)


def _bm25s() -> Any:
    """Import the indexing library, which takes longer than all of medenv, when it is needed."""
    import bm25s  # type: ignore[import-untyped]  # ships no types

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
    return bm25s


def _flat(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Return the array as a plain contiguous one, without copying where it already is."""
    return np.asarray(array).astype(dtype, copy=False).view(np.ndarray)
