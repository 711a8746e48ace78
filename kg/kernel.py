"""The inner loop of the search for long chains, compiled by numba; imported only when searching."""

from __future__ import annotations

from collections.abc import Callable

import numba  # type: ignore[import-untyped]  # ships no types
import numpy as np

from medenv.kg.graph import IntArray


def _longest_path(
    starts: IntArray, tails: IntArray, budget: int, best: IntArray
) -> tuple[int, int, bool]:
    """Write the longest simple path from node 0, the first found of equal ones.

    Args:
        starts: Row starts.
        tails: Neighbours, in the order in which they are visited.
        budget: Most nodes to visit.
        best: Filled with the nodes of the path; as long as there are nodes.

    Returns:
        Length of the path in nodes, nodes visited, and whether the search ran to its end.
    """
    size = starts.size - 1
    path = np.zeros(size, dtype=np.int32)
    place = np.zeros(size, dtype=np.int32)
    on_path = np.zeros(size, dtype=np.bool_)
    on_path[0], place[0], best[0] = True, starts[0], 0
    depth, longest, steps = 1, 1, 1
    while depth > 0:
        node = path[depth - 1]
        at = place[depth - 1]
        while at < starts[node + 1] and on_path[tails[at]]:
            at += 1
        if at == starts[node + 1]:
            on_path[node] = False
            depth -= 1
            continue
        if steps >= budget:
            return longest, steps, False
        place[depth - 1] = at + 1
        tail = tails[at]
        path[depth], place[depth], on_path[tail] = tail, starts[tail], True
        depth += 1
        steps += 1
        if depth > longest:
            longest = depth
            best[:depth] = path[:depth]
            if longest == size:
                return longest, steps, True
    return longest, steps, True


_read_ints = numba.types.Array(numba.int32, 1, "C", readonly=True)
_ints = numba.types.Array(numba.int32, 1, "C")
_signature = numba.types.Tuple((numba.int64, numba.int64, numba.boolean))(
    _read_ints, _read_ints, numba.int64, _ints
)


def _compiled(*, cache: bool) -> Callable[[IntArray, IntArray, int, IntArray], tuple[int, ...]]:
    compiled: Callable[..., tuple[int, ...]] = numba.njit(_signature, nogil=True, cache=cache)(
        _longest_path
    )
    return compiled


try:
    longest_path = _compiled(cache=True)
except RuntimeError:  # neither beside the source nor in the home folder can anything be written
    longest_path = _compiled(cache=False)
"""`_longest_path` compiled once and cached on disk."""
