"""The inner loop of BM25 retrieval, compiled by numba; imported only when a corpus is searched.

The library's own top-k breaks ties by the state of a heap and looks at every document; this one
breaks them by document number and looks only at documents that share a word with the query.
"""

from __future__ import annotations

from collections.abc import Callable

import numba  # type: ignore[import-untyped]  # ships no types
import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int32]


def _top_k(  # noqa: PLR0913 - flat arrays are what numba compiles to a loop
    data: _Floats,
    indices: _Ints,
    indptr: NDArray[np.int64],
    query: _Ints,
    scores: _Floats,
    touched: _Ints,
    best: _Ints,
    best_scores: _Floats,
) -> int:
    """Write the best documents of a query, best first, ties by document number.

    Args:
        data: Score of each (token, document) pair, by token.
        indices: Document of each pair.
        indptr: Where each token's pairs begin, one more than there are tokens.
        query: Token ids; a token that occurs twice counts twice.
        scores: Scratch of one zero for each document; zero again afterwards.
        touched: Scratch of the same length.
        best: Filled with document numbers; its length is k.
        best_scores: Filled with their scores.

    Returns:
        How many documents were found, at most k.
    """
    seen = 0
    for token in query:
        for pair in range(indptr[token], indptr[token + 1]):
            document = indices[pair]
            if scores[document] == 0.0:
                touched[seen] = document
                seen += 1
            scores[document] += data[pair]
    k, found = len(best), 0
    for i in range(seen):
        document = touched[i]
        score = scores[document]
        scores[document] = 0.0
        place = found
        while place > 0 and (
            score > best_scores[place - 1]
            or (score == best_scores[place - 1] and document < best[place - 1])
        ):
            place -= 1
        if place == k:
            continue
        if found < k:
            found += 1
        for j in range(found - 1, place, -1):
            best[j], best_scores[j] = best[j - 1], best_scores[j - 1]
        best[place], best_scores[place] = document, score
    return found


_read_floats = numba.types.Array(numba.float32, 1, "C", readonly=True)
_read_ints = numba.types.Array(numba.int32, 1, "C", readonly=True)
_read_longs = numba.types.Array(numba.int64, 1, "C", readonly=True)
_floats = numba.types.Array(numba.float32, 1, "C")
_ints = numba.types.Array(numba.int32, 1, "C")

_signature = numba.int64(
    _read_floats, _read_ints, _read_longs, _read_ints, _floats, _ints, _ints, _floats
)


def _compiled(*, cache: bool) -> Callable[..., int]:
    compiled: Callable[..., int] = numba.njit(_signature, nogil=True, cache=cache)(_top_k)
    return compiled


try:
    top_k = _compiled(cache=True)
except RuntimeError:  # neither beside the source nor in the home folder can anything be written
    top_k = _compiled(cache=False)
"""`_top_k` compiled once, for read-only (memory-mapped) index arrays, and cached on disk."""
