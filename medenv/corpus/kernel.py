"""The inner loop of BM25 retrieval, compiled by numba; imported only when a corpus is searched.

The library's own top-k breaks ties by the state of a heap and reads every posting; this one breaks
them by document number and leaves out postings that cannot matter: words are read from the most to
the least telling, and once the words that are left cannot lift a new document among the best, they
are looked up for the documents already found only (MaxScore; H. Turtle, J. Flood: Query Evaluation:
Strategies and Optimizations, 1995). What is returned is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numba  # type: ignore[import-untyped]  # ships no types
import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int32]
_Longs = NDArray[np.int64]
_Index = tuple[_Floats, _Ints, _Longs]
"""Score and document of each (token, document) pair, by token, and where each token's begin."""
_Scratch = tuple[_Floats, _Ints, _Floats]
"""A score for each document, the documents seen, and room for the k highest scores."""

_Terms = tuple[_Ints, _Floats, _Floats]
"""Distinct tokens of a query, how often each occurs there, and what it can give at most in all."""

_SLACK = np.float32(1e-4)
"""Share by which sums in another order may differ, and far more."""

_LOOKUP_COST = 12
"""How many postings are read in the time in which one is looked up."""


def _distinct(query: _Ints) -> tuple[_Ints, _Floats]:
    """Return the query's tokens without repetition, and how often each occurs."""
    tokens, times = np.empty(len(query), np.int32), np.zeros(len(query), np.float32)
    known = 0
    for token in query:
        i = 0
        while i < known and tokens[i] != token:
            i += 1
        known = max(known, i + 1)
        tokens[i] = token
        times[i] += 1
    return tokens[:known], times[:known]


def _by_bound(query: _Ints, bounds: _Floats, index: _Index) -> _Terms:
    """Return the query's terms, the one that can give the highest score first."""
    data, _, indptr = index
    tokens, times = distinct(query)
    most = np.empty(len(tokens), np.float32)
    places = np.empty(len(tokens), np.int32)
    for i in range(len(tokens)):
        token = tokens[i]
        if bounds[token] < 0:
            highest = np.float32(0)
            for pair in range(indptr[token], indptr[token + 1]):
                highest = max(highest, data[pair])
            bounds[token] = highest
        most[i] = times[i] * bounds[token]
        j = i
        while j > 0 and most[places[j - 1]] < most[i]:
            places[j] = places[j - 1]
            j -= 1
        places[j] = i
    return tokens[places], times[places], most[places]


def _kth(scores: _Floats, touched: _Ints, seen: int, highest: _Floats) -> np.float32:
    """Return the k-th highest score so far, 0 where fewer documents were seen."""
    k = len(highest)
    highest[:] = 0
    for i in range(seen):
        score = scores[touched[i]]
        if score > highest[k - 1]:
            j = k - 1
            while j > 0 and highest[j - 1] < score:
                highest[j] = highest[j - 1]
                j -= 1
            highest[j] = score
    return np.float32(highest[k - 1])


def _lookup(document: int, token: int, index: _Index) -> np.float32:
    """Return what a token gives a document."""
    data, indices, indptr = index
    low, end = indptr[token], indptr[token + 1]
    high = end
    while low < high:
        middle = (low + high) // 2
        if indices[middle] < document:
            low = middle + 1
        else:
            high = middle
    return data[low] if low < end and indices[low] == document else np.float32(0)


def _keep(scores: _Floats, touched: _Ints, seen: int, least: np.float32) -> int:
    """Move the documents of at least that score to the front; return how many they are."""
    kept = 0
    for i in range(seen):
        document = touched[i]
        if scores[document] >= least:
            touched[i], touched[kept] = touched[kept], document
            kept += 1
    return kept


def _insert(document: int, score: np.float32, found: int, best: _Ints, best_scores: _Floats) -> int:
    """Put a document where it belongs among the best; return how many there are now."""
    place = found
    while place > 0 and (
        score > best_scores[place - 1]
        or (score == best_scores[place - 1] and document < best[place - 1])
    ):
        place -= 1
    if place == len(best):
        return found
    found = min(found + 1, len(best))
    for j in range(found - 1, place, -1):
        best[j], best_scores[j] = best[j - 1], best_scores[j - 1]
    best[place], best_scores[place] = document, score
    return found


distinct, kth, lookup, keep, insert = (
    numba.njit(one) for one in (_distinct, _kth, _lookup, _keep, _insert)
)
by_bound = numba.njit(_by_bound)


def _gather(terms: _Terms, index: _Index, scratch: _Scratch) -> tuple[int, int, np.float32]:
    """Add up terms, the most telling first, while a document not seen yet may be among the best.

    Returns:
        How many documents were seen, how many terms were read, and what the others give at most.
    """
    tokens, times, most = terms
    data, indices, indptr = index
    scores, touched, best = scratch
    left, seen = most.sum(), 0
    for place in range(len(tokens)):
        begin, end = indptr[tokens[place]], indptr[tokens[place] + 1]
        worth_the_look = end - begin > seen
        if worth_the_look and left * (1 + _SLACK) < kth(scores, touched, seen, best):
            return seen, place, left
        for pair in range(begin, end):
            document = indices[pair]
            if scores[document] == 0.0:
                touched[seen] = document
                seen += 1
            scores[document] += times[place] * data[pair]
        left = max(left - most[place], np.float32(0))
    return seen, len(tokens), np.float32(0)


def _refine(
    terms: _Terms, index: _Index, scratch: _Scratch, seen: int, read: int, left: np.float32
) -> int:
    """Add up the terms not read yet for documents that may still be among the best.

    Returns:
        How many documents those are in the end; they stand at the front of `touched`.
    """
    tokens, times, most = terms
    data, indices, indptr = index
    scores, touched, best = scratch
    kept = seen
    for place in range(read, len(tokens)):
        token = tokens[place]
        floor = kth(scores, touched, kept, best) * (1 - _SLACK)
        kept = keep(scores, touched, kept, floor - left * (1 + _SLACK))
        begin, end = indptr[token], indptr[token + 1]
        if end - begin < kept * _LOOKUP_COST:
            for pair in range(begin, end):
                if scores[indices[pair]] != 0.0:
                    scores[indices[pair]] += times[place] * data[pair]
        else:
            for i in range(kept):
                scores[touched[i]] += times[place] * lookup(touched[i], token, index)
        left = max(left - most[place], np.float32(0))
    last: int = keep(scores, touched, kept, kth(scores, touched, kept, best) * (1 - _SLACK))
    return last


gather, refine = numba.njit(_gather), numba.njit(_refine)


def _top_k(  # noqa: PLR0913 - flat arrays are what numba compiles to a loop
    data: _Floats,
    indices: _Ints,
    indptr: _Longs,
    bounds: _Floats,
    query: _Ints,
    scores: _Floats,
    touched: _Ints,
    best: _Ints,
    best_scores: _Floats,
) -> int:
    """Write the best documents of a query, best first, ties by document number.

    Args:
        data: Score of each (token, document) pair, by token.
        indices: Document of each pair, ascending for each token.
        indptr: Where each token's pairs begin, one more than there are tokens.
        bounds: Highest score of each token; negative where it is not known yet, and then filled.
        query: Token ids; a token that occurs twice counts twice.
        scores: Scratch of one zero for each document; zero again afterwards.
        touched: Scratch of the same length.
        best: Filled with document numbers; its length is k.
        best_scores: Filled with their scores.

    Returns:
        How many documents were found, at most k.
    """
    index, scratch = (data, indices, indptr), (scores, touched, best_scores)
    terms = by_bound(query, bounds, index)
    seen, read, left = gather(terms, index, scratch)
    kept = refine(terms, index, scratch, seen, read, left)
    found = 0
    for i in range(kept):
        score = np.float32(0)
        for token in query:  # the order of the sum is the query's
            score += lookup(touched[i], token, index)
        found = insert(touched[i], score, found, best, best_scores)
    for i in range(seen):
        scores[touched[i]] = 0.0
    return found


_read_floats = numba.types.Array(numba.float32, 1, "C", readonly=True)
_read_ints = numba.types.Array(numba.int32, 1, "C", readonly=True)
_read_longs = numba.types.Array(numba.int64, 1, "C", readonly=True)
_floats = numba.types.Array(numba.float32, 1, "C")
_ints = numba.types.Array(numba.int32, 1, "C")

_signature = numba.int64(
    _read_floats,
    _read_ints,
    _read_longs,
    _floats,
    _read_ints,
    _floats,
    _ints,
    _ints,
    _floats,
)


def _compiled(*, cache: bool) -> Callable[..., int]:
    compiled: Callable[..., int] = numba.njit(_signature, nogil=True, cache=cache)(_top_k)
    return compiled


try:
    top_k = _compiled(cache=True)
except RuntimeError:  # neither beside the source nor in the home folder can anything be written
    top_k = _compiled(cache=False)
"""`_top_k` compiled once, for read-only (memory-mapped) index arrays, and cached on disk."""
