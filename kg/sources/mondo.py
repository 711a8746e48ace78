"""The Mondo Disease Ontology: which entries of OMIM and Orphanet are one disease, and its classes.

The snapshot has synonyms without scope and references without predicate. So synonyms are names that
are accepted and not shown, and a reference counts as identity only where it is one to one.
"""

from __future__ import annotations

import graphlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from medenv.data import require
from medenv.errors import DataError
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import IN_CLASS
from medenv.kg.sources.snapshots import Term, read_terms

_NAMESPACES = {"OMIM": "OMIM", "Orphanet": "ORPHA", "DECIPHER": "DECIPHER"}
_OTHERS = {"DOID": "DOID", "MESH": "MESH"}
_ANIMAL = "0005583"  # non-human animal disease
_TRIVIAL = frozenset(
    (
        "0000001",  # disease
        "0700096",  # human disease
        "0003847",  # hereditary disease
        "0021198",  # disease of genetic origin
        "0002254",  # syndromic disease
        "0042489",  # disease susceptibility
        "0021199",  # disease by anatomical system
        "0024237",  # inherited neurodegenerative disorder
        "0700002",  # disease by sex
        "0700003",  # obstetric disorder
        "0021200",  # disease by developmental or physiological process
        "0042976",  # disease by subcellular system affected
    )
)
_NO_DISEASE = re.compile(r"(?i)susceptib|modifier|predispos|protection against|resistance to")


class Links(NamedTuple):
    """What references of Mondo say about diseases of other vocabularies.

    Attributes:
        same: Mondo id to the ids of diseases that it is the same as.
        classed: Mondo id to the ids of diseases that share its classes and not its identity.
        notes: Counts of what was linked and why others were not.
    """

    same: dict[str, tuple[str, ...]]
    classed: dict[str, tuple[str, ...]]
    notes: dict[str, int]


def load_mondo(path: Path | str | None = None) -> Graph:
    """Read diseases, their names and their classes.

    Args:
        path: The folder with ``mondo.json``; by default the data set `mondo`.

    Raises:
        DataError: The data set is absent, the file is malformed, or classes are cyclic.
    """
    terms = read_mondo(path)
    listed = {disease: () for term in terms for disease in _diseases(term)}
    return mondo_graph(terms, link(terms, listed))


def read_mondo(path: Path | str | None = None) -> list[Term]:
    """Read the terms that are about people.

    Args:
        path: The folder with ``mondo.json``; by default the data set `mondo`.

    Raises:
        DataError: The data set is absent, the file is malformed, or classes are cyclic.
    """
    file = (require("mondo") if path is None else Path(path)) / "mondo.json"
    terms = {term.id: term for term in read_terms(file, "terms of Mondo")}
    order = graphlib.TopologicalSorter({t.id: t.relations.get("is_a", ()) for t in terms.values()})
    try:
        downwards = tuple(order.static_order())
    except graphlib.CycleError as error:
        cycle = " is a ".join(f"MONDO:{term}" for term in error.args[1])
        raise DataError(file, f"expected classes without a cycle, got {cycle}") from error
    animal = {_ANIMAL}
    for term in (terms[one] for one in downwards if one in terms):
        if animal & {*term.relations.get("is_a", ())} or _names_animal(term):
            animal.add(term.id)
    return [term for term in terms.values() if term.id not in animal]


def _names_animal(term: Term) -> bool:
    return any(reference.namespace == "OMIA" for reference in term.xrefs)


def _diseases(term: Term) -> list[str]:
    """Return the ids of a term's references to OMIM, Orphanet and DECIPHER."""
    return [
        f"{_NAMESPACES[reference.namespace]}:{reference.id}"
        for reference in term.xrefs
        if reference.namespace in _NAMESPACES
    ]


def _others(term: Term) -> list[str]:
    """Return the ids of a term's references to vocabularies of names."""
    return [f"{_OTHERS[ref.namespace]}:{ref.id}" for ref in term.xrefs if ref.namespace in _OTHERS]


def link(terms: list[Term], genes: Mapping[str, tuple[str, ...]]) -> Links:
    """Return which diseases are the same, by one-to-one references and their genes.

    A term with one disease of a vocabulary is the same as it. A term with one disease of OMIM and
    one of Orphanet makes them the same, unless both have genes and share none.

    Args:
        terms: Terms of Mondo.
        genes: The diseases in question, each with its genes.
    """
    notes: Counter[str] = Counter()
    named = Counter(disease for term in terms for disease in _diseases(term) if disease in genes)
    same, classed = dict[str, tuple[str, ...]](), dict[str, tuple[str, ...]]()
    for term in terms:
        known = [disease for disease in _diseases(term) if disease in genes]
        by_namespace: dict[str, list[str]] = {}
        for disease in known:
            by_namespace.setdefault(disease.partition(":")[0], []).append(disease)
        own = [
            several[0]
            for several in by_namespace.values()
            if len(several) == 1 and named[several[0]] == 1
        ]
        notes["references that are not one to one, not merged"] += len(known) - len(own)
        if len(own) > 1 and differ(own, genes):
            notes["pairs of diseases with different genes, not merged"] += 1
            own = own[:1]
        if len(own) > 1:
            notes["diseases of several vocabularies that are one"] += 1
        if own:
            same[term.id] = tuple(own)
        if others := tuple(disease for disease in known if disease not in own):
            classed[term.id] = others
    return Links(same, classed, dict(notes))


def differ(diseases: list[str], genes: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether two of the diseases have genes and share none.

    Args:
        diseases: Ids of the diseases.
        genes: Each disease's genes.
    """
    known = [{*genes[disease]} for disease in diseases if genes[disease]]
    return any(not known[0] & other for other in known[1:])


def mondo_graph(terms: list[Term], links: Links) -> Graph:
    """Return diseases and disease classes, named and linked.

    A term that is the same as a disease is a disease, others are classes.

    Args:
        terms: Terms of Mondo.
        links: What its references say.
    """
    info = GraphInfo(
        source="Mondo",
        version="2023",
        licence="Mondo Disease Ontology, CC BY 4.0: https://mondo.monarchinitiative.org",
        acknowledgement="Mondo Disease Ontology, Monarch Initiative.",
        notes=dict(links.notes),
    )
    builder = GraphBuilder(info)
    builder.relation(IN_CLASS)
    kept = [term for term in terms if term.id not in _TRIVIAL]
    single = Counter(ref for term in kept for ref in _others(term))
    for term in kept:
        names = [n for n in (term.name, *term.synonyms) if not _NO_DISEASE.search(n)]
        same = links.same.get(term.id, ())
        # A reference that several terms have, or of which a term has several, is no identity.
        others = [ref for ref in _others(term) if single[ref] == 1]
        spaces = Counter(ref.partition(":")[0] for ref in others)
        others = [ref for ref in others if spaces[ref.partition(":")[0]] == 1]
        builder.node(
            f"MONDO:{term.id}",
            kind="disease" if same else "disease_class",
            name=term.name,
            accepted=names,
            xrefs=(*same, *others) if same else others,
        )
    present = {term.id for term in kept}
    apart = sorted({disease for others in links.classed.values() for disease in others})
    taken = {disease for same in links.same.values() for disease in same}
    for disease in apart:
        if disease not in taken:
            builder.node(disease, kind="disease", name=disease)
    for term in kept:
        for parent in term.relations.get("is_a", ()):
            if parent not in present:
                continue
            builder.edge(f"MONDO:{term.id}", IN_CLASS.name, f"MONDO:{parent}")
            for disease in links.classed.get(term.id, ()):
                if disease not in taken:
                    builder.edge(disease, IN_CLASS.name, f"MONDO:{parent}")
    return builder.build()
