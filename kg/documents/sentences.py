"""Renders a node's document as sentences, where `GraphInfo.rendering` is ``"sentences"``.

The wording of a relation varies between entities and is the same each time. Lists of more than
`LONGEST_LIST` entries are tables that say so. Names are those of the sources, unchanged.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from medenv.kg.documents.frequencies import bounds, in_words
from medenv.kg.graph import Graph, Prose
from medenv.kg.graph.mechanisms import MECHANISMS
from medenv.kg.graph.schema import (
    HAS_ACTIVITY,
    HAS_COURSE,
    HAS_GENE,
    HAS_HISTORY,
    HAS_INHERITANCE,
    HAS_KEYWORD,
    HAS_MODIFIER,
    HAS_ONSET,
    HAS_PHENOTYPE,
    HAS_PREVALENCE,
    HAS_ROLE,
    HAS_VARIANT,
    IN_CLASS,
    IN_FAMILY,
    IN_PATHWAY,
    INHIBITS,
    IS_A,
    LACKS_PHENOTYPE,
    LOCATED_AT,
    REPORTED_TARGET,
    REPORTED_TREATMENT,
    RESPONSE_DEPENDS_ON,
    TREATMENT_NAMES,
    VARIANT_IN,
)
from medenv.kg.graph.systems import systems_of
from medenv.retrieval.documents import pieces

Edge = tuple[str, int]
"""Relation and tail of an edge from the document's node."""

LONGEST_LIST = 24
"""Most entries of a list in sentences; more are a table."""

_A_SENTENCE = 6
_PROSE_ONLY = 3  # of one in so many entities, findings in a source's text stand there alone

_WORDINGS: dict[str, tuple[str, ...]] = {
    HAS_GENE.name: (
        "{name} is associated with variants in {list}.",
        "Variants in {list} have been linked to {name}.",
        "In patients with {name}, variants have been found in {list}.",
    ),
    HAS_GENE.inverse: (
        "Variants in {name} are associated with {list}.",
        "{name} has been linked to {list}.",
    ),
    HAS_INHERITANCE.name: (
        "Mode of inheritance: {list}.",
        "The mode of inheritance is recorded as {list}.",
    ),
    HAS_ONSET.name: ("The age of onset is recorded as {list}.", "Recorded onset: {list}."),
    HAS_COURSE.name: ("The course is described as {list}.",),
    HAS_HISTORY.name: ("Patients may have a history of {list}.",),
    HAS_MODIFIER.name: ("Its manifestations are described with {list}.",),
    HAS_PREVALENCE.name: ("Prevalence: {list}.",),
    HAS_PHENOTYPE.inverse: (
        "{name} has been reported in {list}.",
        "Diseases in which {name} occurs include {list}.",
    ),
    LACKS_PHENOTYPE.name: (
        "Looked for in {name} and not found: {list}.",
        "Patients with {name} have been examined for {list} without finding it.",
    ),
    LACKS_PHENOTYPE.inverse: ("{name} has been looked for and not found in {list}.",),
    IS_A.name: ("{name} is a kind of {list}.",),
    IN_CLASS.name: (
        "{name} is classified under {list}.",
        "{name} belongs to these groups of diseases: {list}.",
    ),
    IN_CLASS.inverse: ("The group {name} includes {list}.",),
    IN_PATHWAY.name: (
        "The product of {name} takes part in {list}.",
        "Pathways with the product of {name}: {list}.",
    ),
    IN_PATHWAY.inverse: ("Genes whose products take part in it include {list}.",),
    IN_FAMILY.name: ("{name} is a member of {list}.",),
    IN_FAMILY.inverse: ("Its members are {list}.",),
    HAS_ACTIVITY.name: ("{name} encodes an enzyme: {list}.",),
    HAS_ACTIVITY.inverse: ("The enzyme is encoded by {list}.",),
    HAS_VARIANT.name: ("Disease is caused by {list} of {name}.",),
    HAS_VARIANT.inverse: ("{name} is a variant of {list}.",),
    VARIANT_IN.name: ("{name} has been found in patients with {list}.",),
    VARIANT_IN.inverse: ("Patients with {name} have been found to carry {list}.",),
    INHIBITS.name: ("{name} inhibits {list}.",),
    INHIBITS.inverse: ("{name} is inhibited by {list}.",),
    RESPONSE_DEPENDS_ON.name: (
        "The response to {name} depends on {list}.",
        "Before {name} is prescribed, variants of {list} matter.",
    ),
    RESPONSE_DEPENDS_ON.inverse: ("Variants of {name} affect the response to {list}.",),
    HAS_ROLE.name: ("ChEBI lists {name} as {list}.",),
    HAS_ROLE.inverse: ("Substances with this role include {list}.",),
    HAS_KEYWORD.name: ("UniProt files {name} under {list}.",),
    HAS_KEYWORD.inverse: ("Diseases filed under {name} include {list}.",),
    LOCATED_AT.name: ("{name} lies at {list}.",),
    LOCATED_AT.inverse: ("Genes at {name} include {list}.",),
}
for _one in MECHANISMS.values():
    _WORDINGS[_one.name] = (f"{{name}} {_one.verb} {{list}}.",)
    _WORDINGS[_one.inverse] = (f"{{name}} {_one.passive} {{list}}.",)
_SYSTEMS = {
    "disease": (HAS_PHENOTYPE.name, "By its findings {name} comes with {list}."),
    "phenotype": (IS_A.name, "More broadly, {name} falls under {list}."),
}
_SILENT = {
    relation.inverse
    for relation in (HAS_INHERITANCE, HAS_ONSET, HAS_COURSE, HAS_HISTORY, HAS_MODIFIER, IS_A)
} | {
    name
    for relation in (TREATMENT_NAMES, REPORTED_TREATMENT, REPORTED_TARGET)
    for name in (relation.name, relation.inverse)
}
"""Relations that the documents leave out; what texts alone say stands there alone."""
_FIRST = (HAS_GENE.name, HAS_GENE.inverse, *(r.name for r in (HAS_INHERITANCE, HAS_ONSET)))
_GROUPS = (
    (0.8, "Nearly all patients have {list}."),
    (0.3, "Many patients have {list}."),
    (0.0, "Some patients have {list}."),
    (-1.0, "Also reported: {list}."),
)
"""Smallest share of patients to the sentence about findings of at least that share."""


class Sentence(NamedTuple):
    """A sentence with the edges that it states.

    Attributes:
        text: The sentence.
        edges: The edges.
        apart: Whether it starts a new passage.
        opening: How it is worded as the first of a passage, if otherwise.
    """

    text: str
    edges: tuple[Edge, ...] = ()
    apart: bool = False
    opening: str = ""


def sentences(graph: Graph, node: int) -> Iterator[Sentence]:
    """Yield the sentences of a node's document, long tables last; a node without facts has none.

    Args:
        graph: The graph.
        node: Number of the node.
    """
    if graph.kind(node) in ("inheritance", "onset", "course", "frequency"):
        return
    stated = [name for name in _stated_of(graph, graph.kind(node)) if graph.step(node, name).size]
    if not stated:
        return
    name = graph.nodes.names[node]
    others = [relation for relation in stated if relation != HAS_PHENOTYPE.name]
    tables = [one for one in others if graph.step(node, one).size > LONGEST_LIST]
    for relation in others:
        if relation not in tables:
            yield from _about(graph, node, relation)
    if HAS_PHENOTYPE.name in stated:
        yield from _findings(graph, node)
    if affected := systems_of(graph, node):
        relation, wording = _SYSTEMS[graph.kind(node)]
        named = [(graph.nodes.names[one], (relation, one)) for one in affected]
        yield from _listed(wording, name, named, f"Systems of {name}")
    if text := graph.nodes.texts[node]:
        lead = "Change of the protein: " if graph.kind(node) == "variant" else ""
        yield Sentence(f"{lead}{text}" if text[-1] in ".!?" else f"{lead}{text}.")
    if aliases := graph.nodes.aliases[node]:
        yield Sentence(_worded("{name} is also known as {list}.", name, aliases[:LONGEST_LIST]))
    for relation in tables:
        yield from _about(graph, node, relation)


@lru_cache(maxsize=64)
def _stated_of(graph: Graph, kind: str) -> tuple[str, ...]:
    """Return the relations that documents of a kind of entity state, in their order."""
    of_kind = graph.of_kind(kind)
    found = [r for r in graph.rows if r not in _SILENT and graph.degrees(r)[of_kind].any()]
    return tuple(sorted(found, key=lambda r: _FIRST.index(r) if r in _FIRST else len(_FIRST)))


def _about(graph: Graph, node: int, relation: str) -> Iterator[Sentence]:
    """Yield the sentences about one relation of a node, or rows of a table."""
    name = graph.nodes.names[node]
    tails = graph.step(node, relation).tolist()
    named = [(graph.nodes.names[tail], (relation, tail)) for tail in tails]
    wordings = _WORDINGS.get(relation, (f"{_title(relation)}: {{list}}.",))
    wording = wordings[_hash(graph, node, relation) % len(wordings)]
    yield from _listed(wording, name, named, wording.format(name=name, list="").strip(" .:"))


def _findings(graph: Graph, node: int) -> Iterator[Sentence]:
    """Yield the sentences about a disease's findings, the frequent ones first."""
    relation, name = HAS_PHENOTYPE.name, graph.nodes.names[node]
    told = _told_in_prose(graph, node)
    known = graph.qualifier_row(node, relation, "frequency") or ()
    groups: dict[str, list[tuple[str, Edge]]] = {wording: [] for _, wording in _GROUPS}
    tails = graph.step(node, relation).tolist()
    for tail, frequency in zip(tails, known or [""] * len(tails), strict=True):
        if tail in told:
            continue
        share = (bounds(frequency.split("|")[0]) or (-1.0, 0.0))[0]
        wording = next(wording for least, wording in _GROUPS if share >= least)
        finding = graph.nodes.names[tail]
        groups[wording].append((_with_share(finding, frequency), (relation, tail)))
    # In a new passage, so that no passage states both a finding and the gene.
    apart = True
    for wording, named in groups.items():
        for sentence in _listed(wording, name, named, f"Findings in {name}"):
            yield sentence._replace(apart=apart)
            apart = False


def _told_in_prose(graph: Graph, node: int) -> set[int]:
    """Return the findings that stand in a source's text alone."""
    if _hash(graph, node, "prose") % _PROSE_ONLY:
        return set()
    return {
        graph.number(tail)
        for prose in graph.prose_of(node)
        for _, relation, tail in prose.states
        if relation == HAS_PHENOTYPE.name
    }


def _with_share(finding: str, frequency: str) -> str:
    if not frequency:
        return finding
    values = in_words(frequency).replace("/", " of ")
    return f"{finding} ({values})"


def _listed(
    wording: str, name: str, named: Sequence[tuple[str, Edge]], title: str
) -> Iterator[Sentence]:
    """Yield sentences over a list, or rows of a table where it is long."""
    if not named:
        return
    if len(named) > LONGEST_LIST:
        for start in range(0, len(named), LONGEST_LIST):
            rows = named[start : start + LONGEST_LIST]
            head = f"Table: {title}" if not start else f"Table (continued): {title}"
            text = f"{head} | {' | '.join(entry for entry, _ in rows)}."
            yield Sentence(text, tuple(edge for _, edge in rows))
        return
    for start in range(0, len(named), _A_SENTENCE):
        part = named[start : start + _A_SENTENCE]
        entries, edges = [entry for entry, _ in part], tuple(edge for _, edge in part)
        whole = _worded(wording, name, entries)
        text = _worded("Also {list}.", name, entries) if start else whole
        yield Sentence(text, edges, opening=whole)


def _worded(wording: str, name: str, entries: Sequence[str]) -> str:
    *most, last = entries
    comma = "; " if any(", " in entry for entry in entries) else ", "
    return wording.format(name=name, list=f"{comma.join(most)} and {last}" if most else last)


def _title(relation: str) -> str:
    words = relation.replace("_", " ")
    return words[:1].upper() + words[1:]


def _hash(graph: Graph, node: int, about: str) -> int:
    return zlib.crc32(f"{graph.nodes.ids[node]} {about}".encode())


def prose_pieces(
    graph: Graph, prose: Prose
) -> Iterator[tuple[str, frozenset[tuple[str, str, str]]]]:
    """Yield the pieces of a source's text with the edges that each states.

    Args:
        graph: The graph.
        prose: The text.
    """
    head = "" if prose.heading in ("", "Description", "Definition") else f"{prose.heading}: "
    cut = list(pieces(f"{head}{prose.text}"))
    for number, piece in enumerate(cut):
        lower = piece.lower()
        yield (
            piece,
            frozenset(
                edge
                for edge in prose.states
                if len(cut) == 1
                or number == 0
                or graph.nodes.names[graph.number(edge[2])].lower() in lower
            ),
        )
