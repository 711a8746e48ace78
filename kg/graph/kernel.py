"""Inner loops of graph search, compiled where that pays."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from medenv.compiled import Loop
from medenv.kg.graph import BoolArray, IntArray


def _longest_path(
    starts: IntArray, tails: IntArray, budget: int, best: IntArray
) -> tuple[int, int, bool]:
    """Find the longest simple path from node 0; of equal paths, the first one found.

    Args:
        starts: Row starts.
        tails: Neighbours, in the order of visits.
        budget: Maximum number of nodes to visit.
        best: Output, the nodes of the path; its size is the number of nodes.

    Returns:
        Length of the path in nodes, number of nodes visited, and whether the search was complete.
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


def _distance(starts: IntArray, tails: IntArray, start: int, goal: int, limit: int) -> int:
    """Return the distance between two nodes in edges, at most `limit`, by breadth-first search."""
    size = starts.size - 1
    far = np.full(size, -1, dtype=np.int32)
    queue = np.empty(size, dtype=np.int32)
    far[start], queue[0] = 0, start
    head, end = 0, 1
    while head < end:
        node = queue[head]
        head += 1
        if node == goal or far[node] == limit:
            return int(far[node])
        for at in range(starts[node], starts[node + 1]):
            tail = tails[at]
            if far[tail] < 0:
                far[tail] = far[node] + 1
                if tail == goal:
                    return int(far[tail])
                queue[end] = tail
                end += 1
    return limit


def _place(
    starts: IntArray, tails: IntArray, ranks: IntArray, ends: IntArray, out: IntArray
) -> None:
    """Append the rank of each tail to its head's row, if both nodes have a rank.

    Args:
        starts: Row starts.
        tails: Neighbours.
        ranks: Rank of each node, or -1 to skip it.
        ends: Present end of each row of `out`; updated.
        out: The rows.
    """
    for head in range(starts.size - 1):
        if ranks[head] >= 0:
            for at in range(starts[head], starts[head + 1]):
                tail = tails[at]
                if tail != head and ranks[tail] >= 0:
                    out[ends[head]] = ranks[tail]
                    ends[head] += 1


def _settle(
    begins: IntArray, ends: IntArray, by_rank: IntArray, starts: IntArray, rows: IntArray
) -> None:
    """Sort and deduplicate each row of ranks, compact the rows, and convert ranks to nodes.

    Args:
        begins: Start of each row.
        ends: End of each row.
        by_rank: Node of each rank.
        starts: Output, the row starts; its size is the number of rows plus one.
        rows: The rows, changed in place; values beyond the last start are undefined.
    """
    at = 0
    for head in range(ends.size):
        row = np.sort(rows[begins[head] : ends[head]])
        starts[head] = at
        last = -1
        for rank in row:
            if rank != last:
                rows[at] = by_rank[rank]
                at += 1
            last = rank
    starts[ends.size] = at


def _shared(some: IntArray, others: IntArray) -> int:
    """Return the size of the intersection of two strictly ascending arrays."""
    fewer, more = (some, others) if some.size <= others.size else (others, some)
    shared, low = 0, 0
    for node in fewer:
        high, stride = low, 1
        while high < more.size and more[high] < node:
            low, high, stride = high + 1, high + stride, 2 * stride
        high = min(high, more.size)
        while low < high:
            middle = (low + high) // 2
            if more[middle] < node:
                low = middle + 1
            else:
                high = middle
        if low == more.size:
            break
        shared += more[low] == node
    return shared


def _advance(
    starts: IntArray, tails: IntArray, seen: IntArray, fits: BoolArray, back: bool, out: IntArray
) -> int:
    """Take one step of every walk that has exactly one outcome there.

    Args:
        starts: Row starts of the step's relation.
        tails: Its targets.
        seen: Nodes of each walk in the order in which they were met, int32, shape [walks, met];
            none is an outcome again.
        fits: Whether each node fits the clues of the step, bool, shape [nodes].
        back: Whether the walks began behind a node that is not known and that the step leads to as
            well: any outcome may be that node, if another one is left.
        out: Output, the walks after the step, int32, shape [2 walks, met + 1]; with `back`
            shape [2 walks, met + 2], as the node not known, or -1, stands before the outcome.

    Returns:
        Number of walks after the step.
    """
    size, met, width = 0, seen.shape[1], out.shape[1]
    for walk in range(seen.shape[0]):
        first, second, found, others = _new_outcomes(starts, tails, seen[walk], fits, back)
        if found == 1 and (not back or others > 1):
            out[size, :met] = seen[walk]
            out[size, met] = -1
            out[size, width - 1] = first
            size += 1
        elif back and found == 2:
            for unknown, outcome in ((first, second), (second, first)):
                out[size, :met] = seen[walk]
                out[size, met] = unknown
                out[size, met + 1] = outcome
                size += 1
    return size


def _new_outcomes(
    starts: IntArray, tails: IntArray, seen: IntArray, fits: BoolArray, back: bool
) -> tuple[int, int, int, int]:
    """Return two new outcomes of a walk that fit, the number of those, and of all new ones.

    The numbers are right as far as they decide: up to two of those that fit, or three with `back`,
    and with `back` up to two of all new ones.
    """
    node = seen[-1]
    first, second, found, others = -1, -1, 0, 0
    for at in range(starts[node], starts[node + 1]):
        tail = tails[at]
        if not fits[tail] and (not back or others > 1):
            continue
        new = True
        for met in seen:
            new &= met != tail
        if new:
            others += 1
            if fits[tail]:
                found += 1
                first, second = (tail, second) if found == 1 else (first, tail)
                if found > 1 + back:
                    break
    return first, second, found, others


def _ints(types: ModuleType, *, readonly: bool = False, dimensions: int = 1) -> object:
    return types.Array(types.int32, dimensions, "C", readonly=readonly)


def _of_longest_path(types: ModuleType) -> object:
    read, found = (
        _ints(types, readonly=True),
        types.Tuple((types.int64, types.int64, types.boolean)),
    )
    return found(read, read, types.int64, _ints(types))


def _of_distance(types: ModuleType) -> object:
    read = _ints(types, readonly=True)
    return types.int64(read, read, types.int64, types.int64, types.int64)


def _of_shared(types: ModuleType) -> object:
    return types.int64(_ints(types, readonly=True), _ints(types, readonly=True))


def _of_advance(types: ModuleType) -> object:
    read, table = _ints(types, readonly=True), _ints(types, readonly=True, dimensions=2)
    flags = types.Array(types.boolean, 1, "C", readonly=True)
    return types.int64(read, read, table, flags, types.boolean, _ints(types, dimensions=2))


def _of_rows(types: ModuleType) -> object:
    read = _ints(types, readonly=True)
    return types.void(read, read, read, _ints(types), _ints(types))


longest_path = Loop(_longest_path, _of_longest_path)
"""`_longest_path`, compiled where that pays."""

distance = Loop(_distance, _of_distance)
"""`_distance`, compiled where that pays."""

shared = Loop(_shared, _of_shared)
"""`_shared`, compiled where that pays."""

advance = Loop(_advance, _of_advance, (_new_outcomes,))
"""`_advance`, compiled where that pays."""

place = Loop(_place, _of_rows)
"""`_place`, compiled where that pays."""

settle = Loop(_settle, _of_rows)
"""`_settle`, compiled where that pays."""
