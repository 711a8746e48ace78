"""Graphs of the terms of any OBO ontology."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import IS_A
from medenv.kg.sources.obo import Ontology, read_obo


def load_obo(path: Path | str, *, kind: str = "term", source: str = "", licence: str = "") -> Graph:
    """Read the live terms of an OBO file with their hierarchy.

    Args:
        path: The file, plain or ``.gz``.
        kind: Node kind of all terms, e.g. ``"disease"``.
        source: Name of the source; by default the file's name.
        licence: Terms of use.

    Raises:
        DataError: The file is missing, truncated or malformed.
    """
    path = Path(path)
    ontology = read_obo(path)
    notes: dict[str, int] = {}
    info = GraphInfo(
        source=source or path.name.split(".")[0],
        version=ontology.version,
        licence=licence,
        notes=notes,
    )
    builder = GraphBuilder(info)
    add_terms(builder, ontology, lambda _: kind)
    return builder.build()


def add_terms(builder: GraphBuilder, ontology: Ontology, kind: Callable[[str], str]) -> None:
    """Add the live terms of an ontology, their hierarchy and the ids that they replace.

    Skipped entries are counted in the notes of the builder's `GraphInfo`.

    Args:
        builder: The builder that receives the terms.
        ontology: The terms.
        kind: Function from a term's id to its node kind.
    """
    notes, replaced = builder.info.notes, ontology.replaced
    notes["obsolete terms"] = len(ontology.terms) - len(ontology.live)
    for term in ontology.live:
        builder.node(
            term.id,
            kind=kind(term.id),
            name=term.name,
            aliases=term.synonyms,
            xrefs=term.xrefs,
            text=term.definition,
        )
    builder.relation(IS_A)
    outside = 0
    for term in ontology.live:
        for parent in dict.fromkeys(replaced.get(old, old) for old in term.parents):
            if parent in builder:
                builder.edge(term.id, IS_A.name, parent)
            else:
                outside += 1
    for old, new in replaced.items():
        builder.replace(old, new)
    if outside:
        notes["parents outside the file"] = outside
    notes |= {f"lines not read: {name}": count for name, count in ontology.ignored.items()}
