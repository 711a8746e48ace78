"""What was read in many passages as one graph: names that are aliases of each other are one entity.

An edge keeps the ids of the passages that state it and a sentence of each; the entity's name is the
one that most passages use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medenv.kg.extraction.extraction import Entry, Extraction, RelationRule, normal
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder

QUALIFIERS = ("passage", "sentence")
"""What is known of an edge: the passages that state it, and how they do."""

_Key = tuple[str, str]


def assembled(
    extractions: Sequence[Extraction], rules: Sequence[RelationRule], info: GraphInfo
) -> Graph:
    """Return the graph of all relations; entities without any are left out.

    Args:
        extractions: What was read, at most once in each passage.
        rules: The relations.
        info: Source, version and terms.
    """
    ordered = sorted(extractions, key=lambda one: one.passage)
    entries = [e for one in ordered for link in one.links for e in (link.head, link.tail)]
    groups = _groups(entries)
    names: dict[_Key, Counter[str]] = {}
    for entry in entries:
        counted = names.setdefault(groups[_key(entry.kind, entry.name)], Counter())
        counted.update([entry.name])
        counted.update(dict.fromkeys(entry.aliases, 0))
    builder = GraphBuilder(info)
    ids: dict[_Key, str] = {}
    for group, counted in sorted(names.items()):
        name, *others = sorted(counted, key=lambda one: (-counted[one], one))
        ids[group] = f"{group[0]}:{normal(name).replace(' ', '_')}"
        aliases = {
            normal(other): other for other in reversed(others) if normal(other) != normal(name)
        }
        builder.node(ids[group], kind=group[0], name=name, aliases=sorted(aliases.values()))
    for rule in rules:
        builder.relation(rule.relation, QUALIFIERS)
    for one in ordered:
        for link in one.links:
            head, tail = (ids[groups[_key(e.kind, e.name)]] for e in (link.head, link.tail))
            if head != tail:
                sentence = link.sentence.replace("|", "/")
                builder.edge(head, link.relation, tail, (one.passage, sentence))
    return builder.build()


def _key(kind: str, name: str) -> _Key:
    return kind, normal(name)


def _groups(entries: Sequence[Entry]) -> dict[_Key, _Key]:
    """Return every name of a kind with the one that stands for it and its aliases (union-find)."""
    parent: dict[_Key, _Key] = {}

    def root(key: _Key) -> _Key:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for entry in entries:
        mine = _key(entry.kind, entry.name)
        for alias in entry.aliases:
            first, second = sorted((root(mine), root(_key(entry.kind, alias))))
            parent[second] = first
        root(mine)
    return {key: root(key) for key in sorted(parent)}
