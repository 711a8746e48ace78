"""The inner loop of BM25 retrieval, compiled where that pays.

The library's own top-k breaks ties by the state of a heap and reads every posting; this one breaks
them by document number and leaves out postings that cannot matter: words are read from the most to
the least telling for the work, and once the words that are left cannot lift a new document among
the best, they are added to the documents already found only, those that can no longer win being
dropped on the way (MaxScore; H. Turtle, J. Flood: Query Evaluation: Strategies and Optimizations,
1995). What is returned is the same to the last bit.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from medenv.compiled import Loop

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int32]
_Unsigned = NDArray[np.uint32]
_Longs = NDArray[np.int64]
_Index = tuple[_Floats, _Unsigned, _Longs]
"""Score and document of each (token, document) pair, by token, and where each token's begin."""
_Scratch = tuple[_Floats, _Ints, _Floats]
"""A score for each document, the documents seen, and room for the k highest scores."""

_Query = tuple[_Ints, _Floats]
"""Distinct tokens of a query, and how often each occurs there."""

_Terms = tuple[_Ints, _Floats, _Floats]
"""The same, and what each can give at most in all."""

_ZERO = np.float32(0)

_SLACK = np.float32(1e-4)
"""Share by which sums in another order may differ, and far more."""

_LOOKUP_COST = 20
"""How many postings are read in the time in which one is looked up."""

_LOOK_COST = 3
"""Postings read for each document kept before those are looked through for who can still win."""


def _distinct(query: _Ints, places: _Ints) -> _Query:
    """Return the query's tokens in their order without repetition, and how often each occurs."""
    tokens, times = np.empty(len(query), np.int32), np.zeros(len(query), np.float32)
    known = 0
    for token in query:
        if places[token] == 0:
            tokens[known] = token
            known += 1
            places[token] = known
        times[places[token] - 1] += 1
    tokens = tokens[:known]
    for token in tokens:
        places[token] = 0
    return tokens, times[:known]


def _by_worth(query: _Query, bounds: _Floats, index: _Index) -> _Terms:
    """Return the query's terms, the one that can give the highest score for a posting first."""
    data, _, indptr = index
    tokens, times = query
    most, worth = np.empty(len(tokens), np.float32), np.empty(len(tokens), np.float32)
    for i in range(len(tokens)):
        token = tokens[i]
        if bounds[token] < 0:
            highest = np.float32(0)
            for pair in range(indptr[token], indptr[token + 1]):
                highest = max(highest, data[pair])
            bounds[token] = highest
        most[i] = times[i] * bounds[token]
        worth[i] = most[i] / max(indptr[token + 1] - indptr[token], 1)
    places = np.argsort(-worth, kind="mergesort")
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


def _accumulate(terms: _Terms, index: _Index, scratch: _Scratch) -> tuple[int, int]:
    """Add up terms, the most telling first, for all documents that may be among the best.

    Returns:
        How many documents were seen, and how many of them, at the front of `touched`, may be among
        the best; those have their whole scores, but for the order of the sum.
    """
    tokens, times, most = terms
    data, indices, indptr = index
    scores, touched, best = scratch
    total = left = most.sum()
    seen, kept, since, open_to_all = 0, 0, 0, True
    for place in range(len(tokens)):
        token, weight = tokens[place], times[place]
        begin, end = indptr[token], indptr[token + 1]
        closable = open_to_all and left < total - left  # no score is above what was read so far
        if since + end - begin > _LOOK_COST * kept or (closable and end - begin > kept):
            floor = _kth(scores, touched, kept, best) * (1 - _SLACK)
            open_to_all = open_to_all and left * (1 + _SLACK) >= floor
            if not open_to_all:
                kept = _keep(scores, touched, kept, floor - left * (1 + _SLACK))
            since = 0
        if open_to_all:
            for pair in range(begin, end):
                document = indices[pair]
                score = scores[document]
                touched[kept] = document  # kept only where it is new: no branch to guess
                kept += score == 0.0
                scores[document] = score + weight * data[pair]
            seen, since = kept, since + end - begin
        elif end - begin < kept * _LOOKUP_COST:
            for pair in range(begin, end):
                if scores[indices[pair]] != 0.0:
                    scores[indices[pair]] += weight * data[pair]
            since += end - begin
        else:
            for i in range(kept):
                scores[touched[i]] += weight * _lookup(touched[i], token, index)
            since += kept * _LOOKUP_COST
        left = max(left - most[place], np.float32(0))
    floor = _kth(scores, touched, kept, best) * (1 - _SLACK)
    return seen, _keep(scores, touched, kept, floor)


def _rescore(query: _Query, index: _Index, scores: _Floats, kept: _Ints) -> None:
    """Write the scores of some documents, added up in the order of the query.

    Args:
        query: Tokens and how often each counts.
        index: Scores and documents by token.
        scores: Zero for all other documents.
        kept: The documents.
    """
    data, indices, indptr = index
    tokens, times = query
    scores[kept] = -1  # none of its terms met yet; the scores of all others are zero
    for place in range(len(tokens)):
        token, weight = tokens[place], times[place]
        begin, end = indptr[token], indptr[token + 1]
        if end - begin < len(kept) * _LOOKUP_COST:
            for pair in range(begin, end):
                document = indices[pair]
                if scores[document] != 0.0:
                    scores[document] = max(scores[document], _ZERO) + weight * data[pair]
        else:
            for document in kept:
                score = _lookup(document, token, index)
                if score != 0.0:
                    scores[document] = max(scores[document], _ZERO) + weight * score


def _top_k(  # noqa: PLR0913 - flat arrays are what numba compiles to a loop
    data: _Floats,
    indices: _Unsigned,
    indptr: _Longs,
    bounds: _Floats,
    query: _Ints,
    places: _Ints,
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
        places: Scratch of one zero for each token; zero again afterwards.
        scores: Scratch of one zero for each document; zero again afterwards.
        touched: Scratch of one more.
        best: Filled with document numbers; its length is k.
        best_scores: Filled with their scores.

    Returns:
        How many documents were found, at most k.
    """
    asked, index = _distinct(query, places), (data, indices, indptr)
    terms = _by_worth(asked, bounds, index)
    seen, kept = _accumulate(terms, index, (scores, touched, best_scores))
    for i in range(kept, seen):
        scores[touched[i]] = 0.0
    _rescore(asked, index, scores, touched[:kept])
    found = 0
    for i in range(kept):
        document = touched[i]
        found = _insert(document, scores[document], found, best, best_scores)
        scores[document] = 0.0
    return found


def _signature(types: ModuleType) -> object:
    """Return the types of `_top_k`: read-only (memory-mapped) arrays of the index, and scratch."""

    def array(of: object, *, readonly: bool = False) -> object:
        return types.Array(of, 1, "C", readonly=readonly)

    return types.int64(
        array(types.float32, readonly=True),
        array(types.uint32, readonly=True),  # never from the end
        array(types.int64, readonly=True),
        array(types.float32),
        array(types.int32, readonly=True),
        array(types.int32),
        array(types.float32),
        array(types.int32),
        array(types.int32),
        array(types.float32),
    )


_PARTS = (_distinct, _by_worth, _kth, _lookup, _keep, _insert, _accumulate, _rescore)

top_k = Loop(_top_k, _signature, _PARTS)
"""`_top_k`, compiled where that pays."""
