"""Any ontology in the OBO format as a graph of its terms."""

from __future__ import annotations

from pathlib import Path

from medenv.kg.build import GraphBuilder
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.schema import IS_A
from medenv.kg.sources.obo import read_obo


def load_obo(path: Path | str, *, kind: str = "term", source: str = "", licence: str = "") -> Graph:
    """Return the live terms of an OBO file with their hierarchy.

    Args:
        path: The file, plain or ``.gz``.
        kind: Kind of all its terms, e.g. ``"disease"``.
        source: Name of the source; the file's name without it.
        licence: Terms of use.

    Raises:
        DataError: The file is missing, cut short or malformed.
    """
    path = Path(path)
    ontology = read_obo(path)
    live = [term for term in ontology.terms if not term.obsolete]
    info = GraphInfo(
        source=source or path.name.split(".")[0],
        version=ontology.version,
        licence=licence,
        notes={"obsolete terms": len(ontology.terms) - len(live)},
    )
    builder = GraphBuilder(info)
    for term in live:
        builder.node(
            term.id,
            kind=kind,
            name=term.name,
            aliases=term.synonyms,
            xrefs=term.xrefs,
            text=term.definition,
        )
    builder.relation(IS_A)
    for term in live:
        for parent in term.parents:
            if parent in builder:
                builder.edge(term.id, IS_A.name, parent)
    return builder.build()
