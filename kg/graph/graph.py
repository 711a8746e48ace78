"""An immutable typed knowledge graph in compressed sparse rows.

Nodes are numbered in the order of their sorted ids. Every relation is stored in both directions, so
`step` is a slice of one array. Qualifiers of edges (frequency, evidence, ...) are columns parallel
to the edges of the forward direction, with codes into a vocabulary.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from medenv.errors import UnknownNameError, UsageError, require
from medenv.kg.graph.schema import Relation
from medenv.records import Entity, Record
from medenv.text import name_key

if TYPE_CHECKING:
    import networkx as nx  # type: ignore[import-untyped]  # ships no types

IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

Rendering = Literal["lists", "sentences"]


class GraphInfo(Record, frozen=True, kw_only=True):
    """Origin and licence of a graph.

    Args:
        source: Name of the source, e.g. ``"HPO"``.
        version: Version or date stated in the source's files.
        licence: Terms of use, as text or link.
        acknowledgement: Sentence that users of the data must show.
        notes: Counts of skipped or unusual entries by name.
        world: Kind of alteration, which makes the graph fiction; ``""`` for the original content.
        rendering: How documents are written: ``"lists"`` of names, or ``"sentences"``.
    """

    source: str
    version: str
    licence: str = ""
    acknowledgement: str = ""
    notes: dict[str, int] = msgspec.field(default_factory=dict)
    world: str = ""
    rendering: Rendering = "lists"

    @property
    def label(self) -> str:
        """Source and version as one string, e.g. ``"HPO 2025-01-16"``."""
        return f"{self.source} {self.version}".strip()


class Nodes(Record, frozen=True, kw_only=True):
    """The texts of all nodes, each field a tuple parallel to `ids`.

    Args:
        ids: Sorted identifiers with their namespace.
        names: Preferred names.
        aliases: Other names of the same entity.
        accepted: Names that mean the entity when others write them and that are never shown:
            archaic, offensive or of unknown scope. Empty where no node has any.
        xrefs: Identifiers of the same entity in other vocabularies.
        texts: Definitions, or ``""``.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    xrefs: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]
    accepted: tuple[tuple[str, ...], ...] = ()


class Prose(Record, frozen=True, kw_only=True):
    """A text about one entity, as a source has it.

    Args:
        entity: Id of the entity.
        source: Name of the source and its version, e.g. ``"UniProtKB 2024"``.
        text: The text, unchanged; paragraphs are separated by empty lines.
        heading: What the text is about, e.g. ``"Treatment"``, or ``""``.
        date: Date of the text, as precise as the source has it, or ``""``.
        evidence: Kind of source, one of `medenv.records.EVIDENCE`.
        states: Edges that the text states, as (head, relation, tail) ids, forward.
        contradicts: Edges that the text contradicts, in the same form.
    """

    entity: str
    source: str
    text: str
    heading: str = ""
    date: str = ""
    evidence: str = "reference"
    states: tuple[tuple[str, str, str], ...] = ()
    contradicts: tuple[tuple[str, str, str], ...] = ()


class Rows(NamedTuple):
    """Compressed sparse rows: node n has the tails ``tails[starts[n]:starts[n + 1]]``, sorted."""

    starts: IntArray
    tails: IntArray

    def of(self, node: int) -> IntArray:
        """Return the tails of a node, ascending."""
        return self.tails[self.starts[node] : self.starts[node + 1]]

    def has(self, node: int, tail: int) -> bool:
        """Return whether a node has a tail."""
        end = int(self.starts[node + 1])
        place = bisect_left(self.tails, tail, int(self.starts[node]), end)
        return place < end and int(self.tails[place]) == tail

    def heads(self) -> IntArray:
        """Return the head of every edge, int32, shape [edges]."""
        return np.repeat(np.arange(self.starts.size - 1, dtype=np.int32), np.diff(self.starts))

    def where(self, keep: BoolArray) -> Rows:
        """Return the rows with some of the edges alone.

        Args:
            keep: Whether each edge stays, bool, shape [edges].
        """
        counts = np.bincount(self.heads()[keep], minlength=self.starts.size - 1)
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return Rows(starts, self.tails[keep])


class Column(NamedTuple):
    """One qualifier of a relation's edges: ``values[codes[e]]`` belongs to forward edge e."""

    codes: IntArray
    values: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """An immutable typed graph. Build one with `GraphBuilder`, or read one with `Graph.load`.

    Args:
        info: Source, version and licence.
        nodes: Texts of the nodes.
        kinds: Sorted node kinds.
        kind_codes: Kind of each node as an index into `kinds`, int8, shape [nodes].
        relations: The relations by their forward names.
        rows: Edges by relation name, forward and inverse.
        columns: Qualifiers by forward relation name and qualifier name.
        replaced: Ids of merged and withdrawn entities to their present ids.
        prose: Texts of the sources, sorted by entity, source and heading.
    """

    info: GraphInfo
    nodes: Nodes
    kinds: tuple[str, ...]
    kind_codes: npt.NDArray[np.int8]
    relations: Mapping[str, Relation]
    rows: Mapping[str, Rows]
    columns: Mapping[str, Mapping[str, Column]]
    replaced: Mapping[str, str] = field(default_factory=dict)
    prose: tuple[Prose, ...] = ()

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.nodes.ids)

    def __repr__(self) -> str:
        return f"Graph({self.info.label!r}, nodes={len(self):,}, edges={self.edge_count:,})"

    @property
    def edge_count(self) -> int:
        """The number of edges, without inverse directions."""
        return sum(self.rows[name].tails.size for name in self.relations)

    @cached_property
    def inverses(self) -> dict[str, str]:
        """Every relation name, forward or inverse, to the name of the opposite direction."""
        forward = {r.name: r.inverse for r in self.relations.values()}
        return forward | {inverse: name for name, inverse in forward.items()}

    @cached_property
    def factual(self) -> tuple[str, ...]:
        """Names of the factual relations in both directions, sorted."""
        facts = [r for r in self.relations.values() if r.factual]
        return tuple(sorted({r.name for r in facts} | {r.inverse for r in facts}))

    @cached_property
    def factual_rows(self) -> Rows:
        """Undirected adjacency of all factual edges, with unique neighbours."""
        size = len(self)
        keys = [np.empty(0, dtype=np.int64)]
        for name in self.factual:
            starts, tails = self.rows[name]
            keys.append(np.repeat(np.arange(size, dtype=np.int64), np.diff(starts)) * size + tails)
        pairs = np.unique(np.concatenate(keys))
        counts = np.bincount(pairs // size, minlength=size)
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return Rows(starts, (pairs % size).astype(np.int32))

    def number(self, entity_id: str) -> int:
        """Return the node number of an entity id or of its replacement.

        Raises:
            UsageError: The graph has no such entity.
        """
        ids = self.nodes.ids
        position = bisect_left(ids, entity_id)
        if position < len(ids) and ids[position] == entity_id:
            return position
        if entity_id in self.replaced:
            return self.number(self.replaced[entity_id])
        near = ", ".join(ids[max(0, position - 1) : position + 1]) or "none, the graph is empty"
        raise UsageError(f"{self.info.label} has no entity {entity_id!r}; next to it: {near}")

    def entity(self, node: int) -> Entity:
        """Return a node as an `Entity`."""
        nodes = self.nodes
        return Entity(
            id=nodes.ids[node],
            kind=self.kind(node),
            name=nodes.names[node],
            aliases=self.names_of(node)[1:],
        )

    def names_of(self, node: int) -> tuple[str, ...]:
        """Return all names of a node: the preferred one, its aliases, and those only accepted."""
        nodes = self.nodes
        accepted = nodes.accepted[node] if nodes.accepted else ()
        return (nodes.names[node], *nodes.aliases[node], *accepted)

    def kind(self, node: int) -> str:
        """Return the kind of a node."""
        return self.kinds[int(self.kind_codes[node])]

    def of_kind(self, kind: str) -> IntArray:
        """Return the numbers of all nodes of a kind, as an ascending read-only array.

        Raises:
            UnknownNameError: No node has that kind.
        """
        if kind not in self._by_kind:
            raise UnknownNameError("node kind", kind, self.kinds)
        return self._by_kind[kind]

    @cached_property
    def _by_kind(self) -> dict[str, IntArray]:
        found = {
            kind: np.flatnonzero(self.kind_codes == code).astype(np.int32)
            for code, kind in enumerate(self.kinds)
        }
        for nodes in found.values():
            nodes.flags.writeable = False  # shared by all callers
        return found

    def prose_of(self, node: int) -> tuple[Prose, ...]:
        """Return the texts about a node, in the order of `prose`."""
        return self._prose.get(self.nodes.ids[node], ())

    @cached_property
    def _prose(self) -> dict[str, tuple[Prose, ...]]:
        grouped = itertools.groupby(self.prose, key=lambda prose: prose.entity)
        return {entity: tuple(texts) for entity, texts in grouped}

    def find(self, name: str) -> tuple[int, ...]:
        """Return the nodes with a name in any spelling, ascending."""
        return tuple(self._by_name.get(name_key(name), ()))

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for node in range(len(self)):
            for key in {name_key(text) for text in self.names_of(node)}:
                index.setdefault(key, []).append(node)
        return index

    def _rows(self, relation: str) -> Rows:
        try:
            return self.rows[relation]
        except KeyError:
            raise UnknownNameError("relation", relation, self.rows) from None

    def step(self, node: int, relation: str) -> IntArray:
        """Return the targets of a relation, ascending, as a view of the stored row.

        Raises:
            UnknownNameError: The graph has no such relation.
        """
        starts, tails = self._rows(relation)
        return tails[starts[node] : starts[node + 1]]

    def has_edge(self, head: int, relation: str, tail: int) -> bool:
        """Return whether a relation leads from head to tail."""
        return self._rows(relation).has(head, tail)

    def degrees(self, relation: str | None = None) -> IntArray:
        """Return each node's degree in one or all relations, int32, shape [nodes]."""
        if relation is not None:
            return np.diff(self._rows(relation).starts)
        return np.asarray(sum(np.diff(rows.starts) for rows in self.rows.values()), dtype=np.int32)

    def qualifiers(self, head: int, relation: str, tail: int) -> dict[str, str]:
        """Return the non-empty qualifiers of an edge.

        Raises:
            UsageError: The edge does not exist.
        """
        if not self.has_edge(head, relation, tail):
            ids = self.nodes.ids
            raise UsageError(f"there is no edge {ids[head]} {relation} {ids[tail]}")
        if relation not in self.relations:
            head, relation, tail = tail, self.inverses[relation], head
        starts, tails = self.rows[relation]
        edge = int(starts[head] + np.searchsorted(tails[starts[head] : starts[head + 1]], tail))
        found = {
            name: column.values[column.codes[edge]]
            for name, column in self.columns.get(relation, {}).items()
        }
        return {name: value for name, value in found.items() if value}

    def qualifier_row(self, head: int, relation: str, qualifier: str) -> tuple[str, ...]:
        """Return one qualifier of all edges of a forward row, parallel to `step`."""
        starts, _ = self._rows(relation)
        start, stop = int(starts[head]), int(starts[head + 1])
        column = self.columns.get(relation, {}).get(qualifier)
        if column is None:
            return ("",) * (stop - start)
        return tuple(column.values[code] for code in column.codes[start:stop])

    def to_networkx(self, nodes: Iterable[int] | None = None) -> nx.MultiDiGraph[str]:
        """Return the graph, or the subgraph induced by some nodes, as a networkx graph.

        Nodes are entity ids with ``kind`` and ``name``. Edges are forward only, keyed by relation,
        with ``relation`` and their qualifiers. The graph has ``source``, ``licence`` and
        ``acknowledgement``.

        Args:
            nodes: Node numbers; None takes all.
        """
        require("networkx", "analysis", "graphs of networkx")
        import networkx as nx

        ids, names = self.nodes.ids, self.nodes.names
        chosen = sorted(set(range(len(self)) if nodes is None else nodes))
        inside = np.zeros(len(self), dtype=bool)
        inside[chosen] = True
        out: nx.MultiDiGraph[str] = nx.MultiDiGraph(
            source=self.info.label,
            licence=self.info.licence,
            acknowledgement=self.info.acknowledgement,
        )
        for node in chosen:
            out.add_node(ids[node], kind=self.kind(node), name=names[node])
        for relation in self.relations:
            qualifiers = list(self.columns.get(relation, {}))
            for node in chosen:
                columns = [self.qualifier_row(node, relation, name) for name in qualifiers]
                for place, tail in enumerate(self.step(node, relation).tolist()):
                    if inside[tail]:
                        known = {
                            name: column[place]
                            for name, column in zip(qualifiers, columns, strict=True)
                            if column[place]
                        }
                        out.add_edge(ids[node], ids[tail], relation, relation=relation, **known)
        return out

    def save(self, folder: Path | str) -> None:
        """Write the graph to a folder atomically; an identical existing graph is kept.

        Raises:
            DataError: The folder exists and contains something other than this graph.
        """
        from medenv.kg.graph.archive import save_graph

        save_graph(self, Path(folder))

    @classmethod
    def load(cls, folder: Path | str) -> Graph:
        """Read a saved graph with memory-mapped arrays.

        Raises:
            DataError: A file is missing, truncated or malformed.
        """
        from medenv.kg.graph.archive import load_graph

        return load_graph(Path(folder))
