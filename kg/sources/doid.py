"""The Disease Ontology: further names of diseases, and codes of ICD-10-CM."""

from __future__ import annotations

from pathlib import Path

from medenv.data import require
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.sources.snapshots import read_terms


def load_doid(path: Path | str | None = None) -> Graph:
    """Read the diseases with their names.

    Args:
        path: The folder with ``doid.json``; by default the data set `doid`.

    Raises:
        DataError: The data set is absent, or the file is malformed.
    """
    file = (require("doid") if path is None else Path(path)) / "doid.json"
    info = GraphInfo(
        source="Disease Ontology",
        version="2024-07",
        licence="Human Disease Ontology, CC0 1.0: https://disease-ontology.org",
    )
    builder = GraphBuilder(info)
    for term in read_terms(file, "terms of the Disease Ontology"):
        codes = [f"ICD10CM:{ref.id}" for ref in term.xrefs if ref.namespace == "ICD10CM"]
        builder.node(
            f"DOID:{term.id.removeprefix('DOID:')}",
            kind="disease",
            name=term.name,
            accepted=(term.name, *term.synonyms),
            xrefs=codes,
        )
    return builder.build()
