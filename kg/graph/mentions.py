"""Which edges the sources' texts state, and which they contradict.

A text states an edge from its entity if it names the edge's other end literally, as whole words.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import msgspec

from medenv.kg.graph import Graph, Prose
from medenv.kg.graph.builder import both_ways
from medenv.kg.graph.schema import (
    HAS_GENE,
    HAS_INHERITANCE,
    HAS_PHENOTYPE,
    HAS_ROLE,
    RESPONSE_DEPENDS_ON,
    TREATMENT_NAMES,
)

_STATED = (
    *(HAS_PHENOTYPE.name, HAS_GENE.name, RESPONSE_DEPENDS_ON.name),
    TREATMENT_NAMES.name,
)
_WORD = re.compile(r"[^\W_]+")
_MODES = {
    "autosomal dominant": ("HP:0000006",),
    "autosomal recessive": ("HP:0000007",),
    "x linked": ("HP:0001417", "HP:0001419", "HP:0001423"),
}
"""Words for a mode of inheritance to the terms that they mean."""


def mark_stated(graph: Graph) -> tuple[Graph, dict[str, int]]:
    """Return the graph with the edges that its texts state or contradict, and their numbers.

    A text contradicts a recorded inheritance if it names one mode, and only other modes are
    recorded. A text that names several modes says nothing of this kind.

    Args:
        graph: The graph.
    """
    counts: Counter[str] = Counter()
    marked = []
    for prose in graph.prose:
        text = _words(prose.text)
        stated, contradicted = _stated(graph, prose, text), _contradicted(graph, prose, text)
        counts["edges that texts state"] += len(stated)
        counts["edges that texts contradict"] += len(contradicted)
        marked.append(
            msgspec.structs.replace(
                prose,
                states=tuple(dict.fromkeys((*prose.states, *stated))),
                contradicts=tuple(dict.fromkeys((*prose.contradicts, *contradicted))),
            )
        )
    return replace(graph, prose=tuple(marked)), dict(counts)


def with_treatments(graph: Graph) -> tuple[Graph, dict[str, int]]:
    """Return the graph with an edge from a disease to each drug that texts on its treatment name.

    A drug is a substance to whose roles in ChEBI a kind of drug, agent or inhibitor belongs: salts
    and sugars are named in texts on treatment as well.

    Args:
        graph: The graph.
    """
    drugs: dict[str, int] = {}
    for drug in graph.of_kind("drug").tolist() if HAS_ROLE.name in graph.rows else ():
        roles = " ".join(graph.nodes.names[role] for role in graph.step(drug, HAS_ROLE.name))
        if re.search(r"drug|agent|inhibitor|antagonist|agonist", roles):
            for name in (graph.nodes.names[drug], *graph.nodes.aliases[drug]):
                if len(name) >= _LEAST_CHARS and name.isalpha():
                    drugs[name.lower()] = drug
    pairs = {
        (graph.number(prose.entity), drugs[word])
        for prose in graph.prose
        if prose.heading == "Treatment"
        for word in set(_words(prose.text).split()) & set(drugs)
    }
    rows = both_ways(sorted(pairs), len(graph))
    relation = TREATMENT_NAMES
    added = replace(
        graph,
        relations={**graph.relations, relation.name: relation},
        rows={**graph.rows, relation.name: rows[0], relation.inverse: rows[1]},
        columns={**graph.columns, relation.name: {}},
    )
    return added, {"drugs that texts on treatment name": len(pairs)}


_LEAST_CHARS = 6
"""Shorter names of drugs are words of other meanings."""


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _stated(graph: Graph, prose: Prose, text: str) -> list[tuple[str, str, str]]:
    node, ids = graph.number(prose.entity), graph.nodes.ids
    found = []
    for name in _STATED:
        if name not in graph.rows:
            continue
        for tail in graph.step(node, name).tolist():
            names = (graph.nodes.names[tail], *graph.nodes.aliases[tail])
            # A gene's symbol may be a word: capitals count.
            whole = prose.text if graph.kind(tail) == "gene" else ""
            if any(
                re.search(rf"\b{re.escape(known)}\b", whole) if whole else _words(known) in text
                for known in (names[:1] if whole else names)
            ):
                found.append((ids[node], name, ids[tail]))
    return found


def _contradicted(graph: Graph, prose: Prose, text: str) -> list[tuple[str, str, str]]:
    if HAS_INHERITANCE.name not in graph.rows:
        return []
    modes = [terms for words, terms in _MODES.items() if f" {words} " in text]
    if len(modes) != 1:
        return []
    node, ids = graph.number(prose.entity), graph.nodes.ids
    recorded = [ids[tail] for tail in graph.step(node, HAS_INHERITANCE.name).tolist()]
    known = {term for terms in _MODES.values() for term in terms}
    if {*recorded} & {*modes[0]} or not {*recorded} <= known:
        return []
    return [(ids[node], HAS_INHERITANCE.name, term) for term in recorded]
