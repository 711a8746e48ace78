"""Which edges the sources' texts state, and which they contradict.

A text states an edge from its entity if it names the edge's other end literally, as whole words.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import msgspec

from medenv.kg.graph import Graph, Prose
from medenv.kg.graph.schema import HAS_GENE, HAS_INHERITANCE, HAS_PHENOTYPE, RESPONSE_DEPENDS_ON

_STATED = (HAS_PHENOTYPE.name, HAS_GENE.name, RESPONSE_DEPENDS_ON.name)
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
