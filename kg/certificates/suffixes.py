"""What of a chain its answer needs: where else than at its beginning one can start and arrive.

Somebody who reads only the end of a chain starts from the entities that fit the clues of one step
and takes the steps after it literally: each has to have exactly one outcome. Where all that can be
walked so ends at the answer, the steps before are not needed, however long they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np

from medenv.kg.certificates.conditions import (
    Clue,
    bearers,
    entailed_rows,
    fitting,
    inverse,
    narrow,
    reach,
    read_clues,
)
from medenv.kg.certificates.queries import Outcome
from medenv.kg.graph import BoolArray, Graph
from medenv.kg.graph.kernel import advance
from medenv.kg.graph.traversal import ascending


class Suffix(NamedTuple):
    """The end of a chain, read without what stands before it.

    Args:
        hops: Its steps; 0 is the answer with the clues of the last step.
        entries: Entities that fit the clues on the entity that it starts from.
        walked: How many of the ways from there have exactly one outcome at each step.
        arriving: How many of those end at the answer.
    """

    hops: int
    entries: int
    walked: int
    arriving: int

    @property
    def fixes(self) -> bool:
        """Whether it can end nowhere else."""
        return 0 < self.walked == self.arriving


class Need(NamedTuple):
    """What of a question its answer needs.

    Args:
        hops: Effective hops: steps of the shortest suffix that fixes the answer.
        entries: Entities from which that suffix can be walked; 1 for the topic.
        clues: Clues in it, the topic included, of which none can be left out.
    """

    hops: int
    entries: int
    clues: int


class _Chain(NamedTuple):
    """A walk or chain: its nodes, and relation and clues of each step."""

    nodes: list[int]
    relations: list[str]
    clues: list[list[Clue]]
    distinct: bool


def _read(graph: Graph, query: list[Any], outcome: Outcome) -> _Chain:
    nodes = [outcome.topic, *(tail for _, _, tail in outcome.path)]
    if query[0] == "walk":
        return _Chain(nodes, list(query[2]), [[] for _ in query[2]], distinct=False)
    clues = [read_clues(graph, written) for _, written in query[2]]
    return _Chain(nodes, [relation for relation, _ in query[2]], clues, distinct=True)


def suffixes(graph: Graph, query: list[Any], outcome: Outcome) -> Iterator[Suffix]:
    """Yield all ends of a walk or chain, the shortest first; none contains the first step.

    Args:
        graph: The graph.
        query: The query; others than ``["walk", ...]`` and ``["chain", ...]`` have none.
        outcome: What it came to.
    """
    if query[0] in ("walk", "chain"):
        ends = _ends(graph, msgspec.json.encode(query), outcome)
        for place in range(len(outcome.path), 0, -1):
            yield ends.from_place(place)


class _Ends:
    """The suffixes of one chain, each worked out when it is first asked for."""

    def __init__(self, graph: Graph, query: list[Any], outcome: Outcome) -> None:
        self._graph, self._chain = graph, _read(graph, query, outcome)
        self._fits = [_mask(graph, clues) for clues in self._chain.clues]
        self._known: dict[int, Suffix] = {}

    def from_place(self, place: int) -> Suffix:
        """Return the suffix that starts at the entity in a place of the chain."""
        if place not in self._known:
            self._known[place] = _suffix(self._graph, self._chain, self._fits, place)
        return self._known[place]


@lru_cache(maxsize=4)
def _ends(graph: Graph, query: bytes, outcome: Outcome) -> _Ends:
    """Return the suffixes of a query, which is proved, certified and graded one after the other."""
    return _Ends(graph, msgspec.json.decode(query), outcome)


def _mask(graph: Graph, clues: Sequence[Clue]) -> BoolArray:
    """Return for each node whether it fits every clue."""
    fit = np.ones(len(graph), dtype=bool)
    for clue in clues:
        one = np.zeros(len(graph), dtype=bool)
        one[bearers(graph, clue.relation, clue.entity)] = True
        fit &= one
    return fit


def _suffix(graph: Graph, chain: _Chain, fits: Sequence[BoolArray], place: int) -> Suffix:
    """Return the suffix that starts at the entity in a place of the chain."""
    begin = fitting(graph, graph.kind(chain.nodes[place]), chain.clues[place - 1])
    seen = begin[:, None]
    for step in range(place, len(chain.relations)):
        relation = chain.relations[step]
        # The entity before the first one is not known, and an outcome of a step back from there.
        back = (
            chain.distinct
            and step == place
            and relation == inverse(graph, chain.relations[step - 1])
        )
        starts, tails = entailed_rows(graph, relation)
        out = np.empty((2 * len(seen), seen.shape[1] + (2 if back else 1)), dtype=np.int32)
        size = advance(starts, tails, seen, fits[step], back, out)
        seen = out[:size] if chain.distinct else np.ascontiguousarray(out[:size, -1:])
    ends = seen[:, -1]
    arriving = int((ends == chain.nodes[-1]).sum())
    return Suffix(len(chain.relations) - place, int(begin.size), int(ends.size), arriving)


def need_of(graph: Graph, query: list[Any], outcome: Outcome) -> Need:
    """Return what of a question its answer needs; a question without a chain needs one hop.

    Args:
        graph: The graph.
        query: The query.
        outcome: What it came to.
    """
    shortest = next((end for end in suffixes(graph, query, outcome) if end.fixes), None)
    if query[0] not in ("walk", "chain"):
        return Need(1, 1, len(query[2]) if query[0] == "where" else 1)
    chain = _read(graph, query, outcome)
    begin = 0 if shortest is None else len(chain.relations) - shortest.hops
    first: list[Clue | None] = [*(chain.clues[begin - 1] if begin else _topic(graph, query))]
    if not begin and not first:
        first = [None]  # the topic itself
    kept = [(begin, clue) for clue in first]
    kept += [(i + 1, clue) for i in range(begin, len(chain.clues)) for clue in chain.clues[i]]
    for clue in list(kept):
        fewer = [one for one in kept if one != clue]
        if _arrives(graph, chain, begin, fewer):
            kept = fewer
    hops = len(chain.relations) - begin
    return Need(hops, 1 if shortest is None else shortest.walked, len(kept))


def _topic(graph: Graph, query: list[Any]) -> list[Clue]:
    """Return the clues that give a topic; none where it is named or defined."""
    match query[1]:
        case ["where", _, [*written]]:
            return read_clues(graph, written)
    return []


_MOST = 400
"""Entities at a step from which on fewer clues are held not to be enough; so few are opened."""


def _arrives(
    graph: Graph, chain: _Chain, begin: int, clues: Sequence[tuple[int, Clue | None]]
) -> bool:
    """Whether some clues leave the answer alone, each by the place of the entity that it is on.

    The steps without their clues lead to every outcome, as one takes them who does not know which
    one is meant.
    """
    first = chain.nodes[begin]
    if (begin, None) in clues:
        found = np.array([first], dtype=np.int32)
    else:
        found = graph.of_kind(graph.kind(first))
    on = [[clue for place, clue in clues if place == i and clue] for i in range(len(chain.nodes))]
    for clue in on[begin]:
        found = narrow(graph, found, clue)
    for i in range(begin, len(chain.relations)):
        if not 0 < found.size <= _MOST:
            return False
        outcomes = [reach(graph, node, chain.relations[i]) for node in found.tolist()]
        found = ascending(np.concatenate(outcomes))
        for clue in on[i + 1]:
            found = narrow(graph, found, clue)
    return bool(found.size == 1 and found[0] == chain.nodes[-1])


def hidden_bits(graph: Graph, query: list[Any], topic: int) -> float:
    """Return how much of a topic stays hidden from who looks up one of its clues, in bits.

    That is the logarithm of the number of entities that the most telling single clue leaves: 0 for
    a topic that is named, or defined in words that its own document has.

    Args:
        graph: The graph.
        query: The query.
        topic: The topic.
    """
    given = _topic(graph, query) if query[0] == "chain" else []
    if not given:
        return 0.0
    kind = graph.kind(topic)
    return float(np.log2(min(fitting(graph, kind, [clue]).size for clue in given)))
