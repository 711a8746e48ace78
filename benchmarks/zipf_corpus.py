"""Passages and queries drawn as often as English draws its words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medenv.records import Passage
from medenv.retrieval import BM25Retriever


def drawn_words(size: int) -> NDArray[np.int64]:
    """Return 60 words for each passage, as often as English has them (Zipf and Mandelbrot)."""
    share = 1 / (np.arange(50_000) + 2.7)
    return np.random.default_rng(0).choice(50_000, (size, 60), p=share / share.sum())


def queries(words: NDArray[np.int64], count: int) -> list[str]:
    """Return queries of six words of one passage each, as one who looks for it would ask."""
    rng = np.random.default_rng(1)
    rows = words[rng.integers(len(words), size=count)]
    return [" ".join(f"w{word}" for word in rng.choice(row, 6, replace=False)) for row in rows]


def corpus(words: NDArray[np.int64]) -> BM25Retriever:
    """Return an index of these passages."""
    return BM25Retriever(
        Passage(id=f"Z:{i}#0", title=f"w{row[0]}", text=" ".join(f"w{word}" for word in row))
        for i, row in enumerate(words.tolist())
    )
