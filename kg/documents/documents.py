"""Renders a graph as text: one document per disease, gene and phenotype, split into passages.

A passage states facts before prose, since tools show only its beginning. Names and definitions are
those of the source, unchanged. The edges that each passage states are recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from medenv.kg.documents.frequencies import bounds, in_words
from medenv.kg.documents.sentences import Sentence, prose_pieces, sentences
from medenv.kg.graph import Graph
from medenv.kg.graph.schema import (
    HAS_COURSE,
    HAS_GENE,
    HAS_HISTORY,
    HAS_INHERITANCE,
    HAS_MODIFIER,
    HAS_ONSET,
    HAS_PHENOTYPE,
    HAS_PREVALENCE,
    IS_A,
    LACKS_PHENOTYPE,
)
from medenv.kg.graph.systems import systems_of
from medenv.records import Passage
from medenv.text import slug

PASSAGE_CHARS = 1_200
"""Maximum length of a passage, characters; a longer single name gets its own passage."""

_CACHED_DOCUMENTS = 20_000
"""Maximum number of cached documents."""

_ATTRIBUTES = (
    ("Inheritance", HAS_INHERITANCE),
    ("Onset", HAS_ONSET),
    ("Course", HAS_COURSE),
    ("History", HAS_HISTORY),
    ("Modifiers", HAS_MODIFIER),
)
_Edge = tuple[str, int]  # relation and tail; the head is the document's node


_Item = tuple[str, _Edge | None]
"""One entry of a section, with the edge that it states, or None."""


class _Section(NamedTuple):
    """A labelled list, or prose with words as items; `apart` starts a new passage."""

    label: str
    items: list[_Item]
    separator: str = "; "
    end: str = "."
    apart: bool = False


class Stated(NamedTuple):
    """A passage and the edges that it states, as (head, relation, tail) in both directions."""

    passage: Passage
    edges: frozenset[tuple[int, str, int]]


@dataclass(frozen=True, eq=False)
class Documents:
    """All documents of a graph, rendered on demand.

    Args:
        graph: The graph.
        hidden: Ids of withheld passages.
    """

    graph: Graph
    hidden: frozenset[str] = frozenset()

    @cached_property
    def _rendered(self) -> dict[int, tuple[Stated, ...]]:
        return {}

    def of(self, node: int) -> tuple[Stated, ...]:
        """Return the passages of a node's document, from a cache."""
        cache = self._rendered
        if node not in cache:
            if len(cache) >= _CACHED_DOCUMENTS:
                cache.clear()
            cache[node] = self._shown(node)
        return cache[node]

    def _shown(self, node: int) -> tuple[Stated, ...]:
        stated = render(self.graph, node)
        if not self.hidden:
            return stated
        return tuple(part for part in stated if part.passage.id not in self.hidden)

    @cached_property
    def passages(self) -> tuple[Passage, ...]:
        """All passages: documents in the order of entity ids, passages in reading order."""
        nodes = range(len(self.graph))
        return tuple(stated.passage for node in nodes for stated in self._shown(node))

    def supporting(self, head: str, relation: str, tail: str) -> tuple[str, ...]:
        """Return the ids of all passages that state an edge, in the order of `passages`.

        Raises:
            UsageError: An entity is not in the graph.
        """
        graph = self.graph
        edge = (graph.number(head), relation, graph.number(tail))
        return tuple(
            stated.passage.id
            for node in sorted({edge[0], edge[2]})
            for stated in self.of(node)
            if edge in stated.edges
        )


def render(graph: Graph, node: int) -> tuple[Stated, ...]:
    """Return the passages of a node's document, or none if its kind has no document."""
    if graph.info.rendering == "sentences":
        packed = _pack_sentences(sentences(graph, node))
    else:
        packed = _pack(_SECTIONS.get(graph.kind(node), _anything)(graph, node))
    written = graph.info.rendering == "sentences"
    out = []
    for number, (text, edges) in enumerate(packed):
        passage = Passage(
            id=f"{graph.nodes.ids[node]}#{number}",
            title=graph.nodes.names[node],
            text=text,
            source=graph.info.label,
            entity=graph.nodes.ids[node],
            evidence="reference" if written else "",
        )
        forward = ((node, relation, tail) for relation, tail in edges)
        back = ((tail, graph.inverses[relation], node) for relation, tail in edges)
        out.append(Stated(passage, frozenset(chain(forward, back))))
    return (*out, *_prose_passages(graph, node))


def _prose_passages(graph: Graph, node: int) -> Iterator[Stated]:
    """Yield the passages of the sources' texts about a node, each with its source and date."""
    numbers: Counter[str] = Counter()
    for prose in graph.prose_of(node):
        for piece, edges in prose_pieces(graph, prose):
            source = slug(prose.source)
            numbers[source] += 1
            passage = Passage(
                id=f"{prose.entity}#{source}_{numbers[source]}",
                title=graph.nodes.names[node],
                text=piece,
                source=prose.source,
                entity=prose.entity,
                date=prose.date,
                evidence=prose.evidence,
            )
            stated = {(graph.number(h), r, graph.number(t)) for h, r, t in edges}
            stated |= {(tail, graph.inverses[r], head) for head, r, tail in stated}
            yield Stated(passage, frozenset(stated))


def _pack_sentences(written: Iterable[Sentence]) -> Iterator[tuple[str, list[_Edge]]]:
    """Join sentences to passages; one that is longer than a passage gets its own."""
    text, edges = "", list[_Edge]()
    for sentence in written:
        if text and (sentence.apart or len(text) + 1 + len(sentence.text) > PASSAGE_CHARS):
            yield text, edges
            text, edges = "", []
        text = f"{text} {sentence.text}" if text else sentence.opening or sentence.text
        edges += sentence.edges
    if text:
        yield text, edges


def _pack(sections: Iterable[_Section]) -> Iterator[tuple[str, list[_Edge]]]:
    """Split sections into passages; the label is repeated when a list continues."""
    text, edges = "", list[_Edge]()
    for label, items, separator, end, apart in sections:
        if apart and text and items:
            yield text, edges
            text, edges = "", []
        lead = f" {label}: " if text else f"{label}: "
        whole = separator.join([item for item, _ in items])
        if items and len(text) + len(lead) + len(whole) + len(end) <= PASSAGE_CHARS:
            text += lead + whole + end
            edges += [edge for _, edge in items if edge is not None]
            continue
        for item, edge in items:
            room = PASSAGE_CHARS - len(text) - len(lead) - len(item) - len(end)
            if text and room < 0:
                opened = lead == separator
                yield (text + end if opened else text), edges
                text, edges = "", []
                lead = f"{label} (continued): " if opened else f"{label}: "
            text += lead + item
            lead = separator
            if edge is not None:
                edges.append(edge)
        if lead == separator:
            text += end
    if text:
        yield text, edges


def _disease(graph: Graph, node: int) -> Iterator[_Section]:
    genes = _named(graph, node, HAS_GENE.name)
    yield _Section("Associated genes" if len(genes) > 1 else "Associated gene", genes)
    for label, relation in _ATTRIBUTES[:3]:
        yield _Section(label, _named(graph, node, relation.name))
    # In a new passage, so that no passage states both a finding and the gene.
    yield _Section("Findings", _findings(graph, node), apart=True)
    yield _Section("Looked for and not found", _named(graph, node, LACKS_PHENOTYPE.name))
    yield _Section("Systems", _systems(graph, node, HAS_PHENOTYPE.name))
    for label, relation in _ATTRIBUTES[3:]:
        yield _Section(label, _named(graph, node, relation.name))
    yield from _facts(graph, node)
    yield _Section("Prevalence", _named(graph, node, HAS_PREVALENCE.name))
    yield _prose(graph, node)
    yield _Section("Also known as", _aliases(graph, node))


def _gene(graph: Graph, node: int) -> Iterator[_Section]:
    diseases = _named(graph, node, HAS_GENE.inverse)
    yield _Section("Associated diseases" if len(diseases) > 1 else "Associated disease", diseases)
    yield from _facts(graph, node)
    yield _Section("Also known as", _aliases(graph, node))


def _phenotype(graph: Graph, node: int) -> Iterator[_Section]:
    yield _Section("Reported in", _named(graph, node, HAS_PHENOTYPE.inverse))
    yield from _facts(graph, node)
    yield _prose(graph, node)
    yield _Section("Synonyms", _aliases(graph, node))
    yield _Section("Kind of", _named(graph, node, IS_A.name))
    yield _Section("Systems", _systems(graph, node, IS_A.name))


def _prose(graph: Graph, node: int) -> _Section:
    words = graph.nodes.texts[node].split(" ") if graph.nodes.texts[node] else []
    return _Section("Definition", [(word, None) for word in words], separator=" ", end="")


def _anything(graph: Graph, node: int) -> Iterator[_Section]:
    """Yield the factual relations of a node of another kind; attributes and hubs have none."""
    facts = list(_facts(graph, node))
    if not any(section.items for section in facts):
        return
    yield _Section("Kind", [(graph.kind(node).replace("_", " "), None)])
    yield from facts
    yield _prose(graph, node)
    yield _Section("Also known as", _aliases(graph, node))


def _facts(graph: Graph, node: int) -> Iterator[_Section]:
    """Yield the factual relations without a section of their own."""
    for name in graph.factual:
        if name not in _WITH_SECTION:
            yield _Section(_title(name), _named(graph, node, name))


_WITH_SECTION = {name for r in (HAS_GENE, HAS_PHENOTYPE) for name in (r.name, r.inverse)}


def _title(relation: str) -> str:
    words = relation.replace("_", " ")
    back = words.removeprefix("inverse ")
    return words[:1].upper() + words[1:] if back == words else f"Stands after “{back}” of"


_SECTIONS = {"disease": _disease, "gene": _gene, "phenotype": _phenotype}
"""Node kind to the function that renders its sections; inheritance and onset have no documents."""


def _named(graph: Graph, node: int, relation: str) -> list[_Item]:
    """Return the targets of a relation as items, in the order of their ids."""
    if relation not in graph.rows:
        return []
    names = graph.nodes.names
    return [(names[tail], (relation, tail)) for tail in graph.step(node, relation).tolist()]


def _systems(graph: Graph, node: int, relation: str) -> list[_Item]:
    """Return the systems of a finding or disease that its document does not name yet."""
    names = graph.nodes.names
    return [
        (names[one], (relation, one))
        for one in systems_of(graph, node)
        if not graph.has_edge(node, relation, one)
    ]


def _aliases(graph: Graph, node: int) -> list[_Item]:
    return [(alias, None) for alias in graph.nodes.aliases[node]]


def _findings(graph: Graph, node: int) -> list[_Item]:
    """Return a disease's findings with their frequencies, most frequent first."""
    relation = HAS_PHENOTYPE.name
    items = _named(graph, node, relation)
    known = graph.qualifier_row(node, relation, "frequency") if items else ()
    ranked = sorted(zip(known, items, strict=True), key=lambda pair: -_share(pair[0]))
    return [
        (f"{name} ({in_words(frequency)})" if frequency else name, edge)
        for frequency, (name, edge) in ranked
    ]


def _share(frequency: str) -> float:
    """Return the share of patients of a frequency, or 0 if unknown."""
    found = bounds(frequency.split("|")[0])
    return found[0] if found else 0.0
