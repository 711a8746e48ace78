"""Builds a `Graph` from nodes and edges in any order."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from medenv.errors import UsageError
from medenv.kg.graph import BoolArray, Column, Graph, GraphInfo, IntArray, Nodes, Prose, Rows
from medenv.kg.graph.schema import Relation


class _Edges:
    """The edges of one relation under construction: node numbers and qualifier codes."""

    def __init__(self, relation: Relation, qualifiers: tuple[str, ...]) -> None:
        self.relation = relation
        self.heads, self.tails = array("i"), array("i")
        self.codes = {name: array("i") for name in qualifiers}
        self.vocabularies: dict[str, dict[str, int]] = {name: {"": 0} for name in qualifiers}

    def add(self, head: int, tail: int, values: Iterable[str]) -> None:
        self.heads.append(head)
        self.tails.append(tail)
        for (name, codes), value in zip(self.codes.items(), values, strict=True):
            vocabulary = self.vocabularies[name]
            codes.append(vocabulary.setdefault(value, len(vocabulary)))


class GraphBuilder:
    """Collects nodes and edges; nodes are numbered in the order of their sorted ids.

    Duplicate edges become one edge whose qualifiers list the different values, separated by ``"|"``
    in the order of insertion.

    Args:
        info: Source, version and licence.
    """

    def __init__(self, info: GraphInfo) -> None:
        self.info = info
        self._numbers: dict[str, int] = {}
        self._kinds: list[str] = []
        self._names: list[str] = []
        self._aliases: list[tuple[str, ...]] = []
        self._accepted: list[tuple[str, ...]] = []
        self._xrefs: list[tuple[str, ...]] = []
        self._texts: list[str] = []
        self._edges: dict[str, _Edges] = {}
        self._replaced: dict[str, str] = {}
        self._prose: list[Prose] = []

    def __contains__(self, entity_id: object) -> bool:
        return entity_id in self._numbers

    def kind(self, entity_id: str) -> str:
        """Return the kind of an existing node."""
        return self._kinds[self._number(entity_id)]

    def node(  # noqa: PLR0913 - the fields of a node; all but the first three have defaults
        self,
        entity_id: str,
        *,
        kind: str,
        name: str,
        aliases: Iterable[str] = (),
        accepted: Iterable[str] = (),
        xrefs: Iterable[str] = (),
        text: str = "",
    ) -> None:
        """Add a node.

        Raises:
            UsageError: The id exists.
        """
        if entity_id in self._numbers:
            raise UsageError(f"duplicate node id {entity_id!r}")
        self._numbers[entity_id] = len(self._numbers)
        self._kinds.append(kind)
        self._names.append(name)
        shown = dict.fromkeys((name, *aliases))
        self._aliases.append(tuple(shown)[1:])
        self._accepted.append(
            tuple(other for other in dict.fromkeys(accepted) if other not in shown)
        )
        self._xrefs.append(tuple(dict.fromkeys(xrefs)))
        self._texts.append(text)

    def relation(self, relation: Relation, qualifiers: tuple[str, ...] = ()) -> None:
        """Add a relation and the names of its edges' qualifiers.

        Raises:
            UsageError: Another relation has one of its names.
        """
        for known in () if relation.name in self._edges else self._edges.values():
            if {known.relation.name, known.relation.inverse} & {relation.name, relation.inverse}:
                raise UsageError(f"the relation {relation} has a name of {known.relation}")
        self._edges.setdefault(relation.name, _Edges(relation, qualifiers))

    def edge(self, head: str, relation: str, tail: str, values: Iterable[str] = ()) -> None:
        """Add an edge between existing nodes, with a value for each qualifier.

        Raises:
            UsageError: The relation or a node does not exist.
        """
        if relation not in self._edges:
            raise UsageError(f"unknown relation {relation!r}: add it before its edges")
        self._edges[relation].add(self._number(head), self._number(tail), values)

    def replace(self, old: str, new: str) -> None:
        """Record that an existing node replaces a former id.

        Raises:
            UsageError: The node `new` does not exist, or `old` is a node.
        """
        if old in self._numbers:
            raise UsageError(f"the node {old!r} cannot be replaced by {new!r}: it is in the graph")
        self._number(new)
        self._replaced[old] = new

    def prose(self, prose: Prose) -> None:
        """Add a text about an existing node.

        Raises:
            UsageError: The node does not exist.
        """
        self._number(prose.entity)
        self._prose.append(prose)

    def _number(self, entity_id: str) -> int:
        try:
            return self._numbers[entity_id]
        except KeyError:
            raise UsageError(f"unknown node {entity_id!r}: add it before its edges") from None

    def build(self) -> Graph:
        """Return the graph."""
        ids = list(self._numbers)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        new_number = np.empty(len(ids), dtype=np.int32)
        new_number[order] = np.arange(len(ids), dtype=np.int32)
        kinds = tuple(sorted(set(self._kinds)))
        codes = {kind: code for code, kind in enumerate(kinds)}
        rows: dict[str, Rows] = {}
        columns: dict[str, dict[str, Column]] = {}
        for name, edges in sorted(self._edges.items()):
            rows[name], rows[edges.relation.inverse], columns[name] = _compress(edges, new_number)
        return Graph(
            info=self.info,
            nodes=Nodes(
                ids=tuple(ids[i] for i in order),
                names=tuple(self._names[i] for i in order),
                aliases=tuple(self._aliases[i] for i in order),
                xrefs=tuple(self._xrefs[i] for i in order),
                texts=tuple(self._texts[i] for i in order),
                accepted=tuple(self._accepted[i] for i in order) if any(self._accepted) else (),
            ),
            kinds=kinds,
            kind_codes=np.array([codes[self._kinds[i]] for i in order], dtype=np.int8),
            relations={name: edges.relation for name, edges in sorted(self._edges.items())},
            rows=rows,
            columns=columns,
            replaced=dict(sorted(self._replaced.items())),
            prose=tuple(sorted(self._prose, key=lambda p: (p.entity, p.source, p.heading))),
        )


def _compress(edges: _Edges, new_number: IntArray) -> tuple[Rows, Rows, dict[str, Column]]:
    """Return forward rows, inverse rows and the columns parallel to the forward rows."""
    heads = new_number[np.array(edges.heads, dtype=np.int32)]
    tails = new_number[np.array(edges.tails, dtype=np.int32)]
    order = np.lexsort((tails, heads))
    heads, tails = heads[order], tails[order]
    first = np.ones(heads.size, dtype=bool)
    first[1:] = (heads[1:] != heads[:-1]) | (tails[1:] != tails[:-1])
    columns = {
        name: _merge(np.array(codes, dtype=np.int32)[order], edges.vocabularies[name], first)
        for name, codes in edges.codes.items()
    }
    heads, tails = heads[first], tails[first]
    return (*_rows_both_ways(heads, tails, new_number.size), columns)


def both_ways(pairs: Sequence[tuple[int, int]], size: int) -> tuple[Rows, Rows]:
    """Return rows from heads to tails and back.

    Args:
        pairs: Head and tail of each edge, sorted, none twice.
        size: Number of nodes.
    """
    heads, tails = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    return _rows_both_ways(heads, tails, size)


def _rows_both_ways(heads: IntArray, tails: IntArray, size: int) -> tuple[Rows, Rows]:
    backward = np.lexsort((heads, tails))
    return Rows(_starts(heads, size), tails.copy()), Rows(_starts(tails, size), heads[backward])


def _starts(sorted_heads: IntArray, size: int) -> IntArray:
    counts = np.bincount(sorted_heads, minlength=size)
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int32)


def _merge(codes: IntArray, vocabulary: dict[str, int], first: BoolArray) -> Column:
    """Return one code per distinct edge; several values of an edge are joined."""
    values = list(vocabulary)
    known = dict(vocabulary)
    merged = codes[first].copy()
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, codes.size))
    for edge in np.flatnonzero(sizes > 1):
        run = codes[starts[edge] : starts[edge] + sizes[edge]]
        union = "|".join(dict.fromkeys(values[code] for code in run if code))
        merged[edge] = known.setdefault(union, len(known))
    return Column(merged, tuple(known))
