"""Several graphs as one: entities that name each other in their cross-references become one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from medenv.errors import UsageError
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder


def merge(
    graphs: Sequence[Graph], namespaces: Iterable[str] = (), same_name: Iterable[str] = ()
) -> Graph:
    """Return one graph; ids that were merged into others are among its `Graph.replaced`.

    Two entities of one kind are the same if one lists the other's id among its cross-references, or
    if one graph records the other's id as one that was replaced. The entity of the first namespace
    named, else of the first graph, keeps its id and name; the other names become aliases. Edges
    keep the qualifiers that all graphs with the relation have. `GraphInfo.notes` counts the merged
    entities, the edges that several graphs state, the edges within one merged entity, which are
    dropped, and the dropped qualifiers.

    Args:
        graphs: The graphs, the most trusted first.
        namespaces: Namespaces whose ids are kept before others, e.g. ``("OMIM",)``.
        same_name: Kinds in which the same name in two graphs means the same entity, e.g. genes.

    Raises:
        UsageError: There is no graph, or one relation is declared in two ways.
    """
    if not graphs:
        raise UsageError("expected at least one graph to merge")
    order = list(namespaces)
    table = _alias_table(graphs, order, set(same_name))
    builder = GraphBuilder(_info(graphs))
    _add_nodes(builder, graphs, table)
    within = dropped = 0
    for name in sorted({name for graph in graphs for name in graph.relations}):
        mine = [graph for graph in graphs if name in graph.relations]
        declared = {graph.relations[name] for graph in mine}
        if len(declared) > 1:
            ways = sorted(map(str, declared))
            raise UsageError(f"the relation {name!r} is declared in two ways: {ways}")
        named = list(dict.fromkeys(q for graph in mine for q in graph.columns.get(name, {})))
        qualifiers = [q for q in named if all(q in g.columns.get(name, {}) for g in mine)]
        dropped += len(named) - len(qualifiers)
        builder.relation(declared.pop(), tuple(qualifiers))
        within += sum(_add_edges(builder, graph, name, qualifiers, table) for graph in mine)
    _add_prose(builder, graphs, table)
    moved = {old: new for old, new in sorted(table.items()) if old != new}
    for old, new in moved.items():
        builder.replace(old, new)
    for graph in reversed(graphs):
        for old, new in graph.replaced.items():
            if old not in builder and old not in moved:
                builder.replace(old, table[new])
    built = builder.build()
    stated = sum(graph.edge_count for graph in graphs)
    notes = {
        "entities merged into others": len(moved),
        "edges that several graphs state": stated - within - built.edge_count,
        "edges within one entity, dropped": within,
        "qualifiers that not all graphs have, dropped": dropped,
    }
    info = msgspec.structs.replace(built.info, notes=built.info.notes | notes)
    return dataclasses.replace(built, info=info)


def _info(graphs: Sequence[Graph]) -> GraphInfo:
    infos = [graph.info for graph in graphs]
    return GraphInfo(
        source=" + ".join(info.label for info in infos),
        version="",
        licence=" ".join(dict.fromkeys(info.licence for info in infos if info.licence)),
        acknowledgement=" ".join(
            dict.fromkeys(info.acknowledgement for info in infos if info.acknowledgement)
        ),
        notes={f"{info.source}: {name}": n for info in infos for name, n in info.notes.items()},
    )


def _alias_table(graphs: Sequence[Graph], order: list[str], same_name: set[str]) -> dict[str, str]:
    """Return every id with the id that stands for it and all that are the same (union-find)."""
    kinds: dict[str, str] = {}
    place: dict[str, tuple[int, int, str]] = {}
    retired = {old for graph in graphs for old in graph.replaced}
    for number, graph in enumerate(graphs):
        for node, entity in enumerate(graph.nodes.ids):
            kinds.setdefault(entity, graph.kind(node))
            namespace = entity.partition(":")[0]
            rank = order.index(namespace) if namespace in order else len(order)
            rank += len(order) + 1 if entity in retired else 0
            place.setdefault(entity, (rank, number, entity))
    parent = {entity: entity for entity in kinds}

    def root(entity: str) -> str:
        while parent[entity] != entity:
            parent[entity] = parent[parent[entity]]
            entity = parent[entity]
        return entity

    for one, other in _same(graphs, kinds, same_name):
        first, second = sorted((root(one), root(other)), key=place.__getitem__)
        parent[second] = first
    return {entity: root(entity) for entity in sorted(kinds)}


def _same(
    graphs: Sequence[Graph], kinds: dict[str, str], same_name: set[str]
) -> Iterator[tuple[str, str]]:
    """Yield pairs of ids that mean the same entity."""
    named: dict[tuple[str, str], str] = {}
    for graph in graphs:
        for old, new in graph.replaced.items():
            if kinds.get(old) == kinds[new]:
                yield old, new
        mine: dict[tuple[str, str], str] = {}
        for node, entity in enumerate(graph.nodes.ids):
            for other in graph.nodes.xrefs[node]:
                if other in kinds and kinds[other] == kinds[entity]:
                    yield entity, other
            key = graph.kind(node), graph.nodes.names[node]
            if key[0] in same_name and key in named:
                yield entity, named[key]
            mine.setdefault(key, entity)
        named = mine | named


def _add_nodes(builder: GraphBuilder, graphs: Sequence[Graph], table: dict[str, str]) -> None:
    members: dict[str, list[tuple[Graph, int]]] = {}
    for graph in graphs:
        for node, entity in enumerate(graph.nodes.ids):
            members.setdefault(table[entity], []).append((graph, node))
    for entity, same in sorted(members.items()):
        same.sort(key=lambda one: one[0].nodes.ids[one[1]] != entity)
        graph, node = same[0]
        builder.node(
            entity,
            kind=graph.kind(node),
            name=graph.nodes.names[node],
            aliases=[a for g, n in same for a in (g.nodes.names[n], *g.nodes.aliases[n])],
            accepted=[a for g, n in same if g.nodes.accepted for a in g.nodes.accepted[n]],
            xrefs=[x for g, n in same for x in (*g.nodes.xrefs[n], g.nodes.ids[n]) if x != entity],
            text=next((t for g, n in same if (t := g.nodes.texts[n])), ""),
        )


def _add_edges(
    builder: GraphBuilder, graph: Graph, name: str, qualifiers: list[str], table: dict[str, str]
) -> int:
    """Add the edges of a relation, and return how many lie within one merged entity."""
    ids, within = graph.nodes.ids, 0
    for head in range(len(graph)):
        row = graph.step(head, name)
        columns = [graph.qualifier_row(head, name, q) for q in qualifiers]
        for place, tail in enumerate(row.tolist()):
            ends = table[ids[head]], table[ids[tail]]
            if ends[0] == ends[1]:
                within += 1
                continue
            builder.edge(ends[0], name, ends[1], [column[place] for column in columns])
    return within


def _add_prose(builder: GraphBuilder, graphs: Sequence[Graph], table: dict[str, str]) -> None:
    def present(edges: tuple[tuple[str, str, str], ...]) -> tuple[tuple[str, str, str], ...]:
        return tuple((table[head], name, table[tail]) for head, name, tail in edges)

    for prose in (prose for graph in graphs for prose in graph.prose):
        states, contradicts = present(prose.states), present(prose.contradicts)
        entity = table[prose.entity]
        builder.prose(
            msgspec.structs.replace(prose, entity=entity, states=states, contradicts=contradicts)
        )
