"""Merges the extractions of many passages to one graph; aliases of each other are one entity.

An edge keeps the ids of the passages that state it, with a sentence of each. An entity has its most
frequent name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medenv.kg.extraction.extraction import Entry, Extraction, RelationRule, normal
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder

QUALIFIERS = ("passage", "sentence")
"""Qualifiers of an edge: the passages that state it and their sentences."""

_Key = tuple[str, str]


def assembled(
    extractions: Sequence[Extraction], rules: Sequence[RelationRule], info: GraphInfo
) -> Graph:
    """Return the graph of all relations; entities without relations are left out.

    Args:
        extractions: Extractions of different passages.
        rules: The relations.
        info: Source, version and licence.
    """
    ordered = sorted(extractions, key=lambda extraction: extraction.passage)
    entries = [e for found in ordered for link in found.links for e in (link.head, link.tail)]
    groups = _groups(entries)
    names: dict[_Key, Counter[str]] = {}
    for entry in entries:
        counted = names.setdefault(groups[_key(entry.kind, entry.name)], Counter())
        counted.update([entry.name])
        counted.update(dict.fromkeys(entry.aliases, 0))
    builder = GraphBuilder(info)
    ids: dict[_Key, str] = {}
    for group, counted in sorted(names.items()):
        name, *others = sorted(counted, key=lambda known: (-counted[known], known))
        ids[group] = f"{group[0]}:{normal(name).replace(' ', '_')}"
        aliases = {
            normal(other): other for other in reversed(others) if normal(other) != normal(name)
        }
        builder.node(ids[group], kind=group[0], name=name, aliases=sorted(aliases.values()))
    for rule in rules:
        builder.relation(rule.relation, QUALIFIERS)
    for found in ordered:
        for link in found.links:
            head, tail = (ids[groups[_key(e.kind, e.name)]] for e in (link.head, link.tail))
            if head != tail:
                sentence = link.sentence.replace("|", "/")
                builder.edge(head, link.relation, tail, (found.passage, sentence))
    return builder.build()


def _key(kind: str, name: str) -> _Key:
    return kind, normal(name)


def _groups(entries: Sequence[Entry]) -> dict[_Key, _Key]:
    """Return the representative of every name and its aliases, by union-find."""
    parent: dict[_Key, _Key] = {}

    def root(key: _Key) -> _Key:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for entry in entries:
        key = _key(entry.kind, entry.name)
        for alias in entry.aliases:
            first, second = sorted((root(key), root(_key(entry.kind, alias))))
            parent[second] = first
        root(key)
    return {key: root(key) for key in sorted(parent)}
