"""Texts of MedQuAD about diseases, see `medenv.retrieval.medquad`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medenv.data import require_file
from medenv.kg.graph import Graph, GraphInfo, Prose
from medenv.kg.graph.builder import GraphBuilder
from medenv.retrieval.medquad import QA, Document, read_medquad
from medenv.text import slug

LICENCE = "MedQuAD, CC BY 4.0: https://github.com/abachaa/MedQuAD"


def load_medquad(path: Path | str | None = None) -> Graph:
    """Read diseases by name with what patients are told about them.

    Args:
        path: The archive or file; by default the data set `medquad`.

    Raises:
        DataError: The data set is absent, or the file is malformed.
    """
    builder = GraphBuilder(GraphInfo(source="MedQuAD", version="2019", licence=LICENCE))
    for document in read_medquad(_file(path)):
        entity = f"MEDQUAD:{slug(document.focus)}"
        if entity not in builder:
            builder.node(entity, kind="disease", name=document.focus)
        for pair in document.qa:
            builder.prose(_prose(entity, document, pair))
    return builder.build()


def with_medquad(graph: Graph, path: Path | str | None = None) -> tuple[Graph, dict[str, int]]:
    """Return a graph with the answers about diseases that it knows by name, and counts.

    Args:
        graph: The graph.
        path: The archive or file; by default the data set `medquad`.

    Raises:
        DataError: The data set is absent, or the file is malformed.
    """
    found, unknown = list[Prose](), 0
    for document in read_medquad(_file(path)):
        meant = [node for node in graph.find(document.focus) if graph.kind(node) == "disease"]
        if len(meant) == 1:
            entity = graph.nodes.ids[meant[0]]
            found += [_prose(entity, document, pair) for pair in document.qa]
        else:
            unknown += len(document.qa)
    prose = sorted((*graph.prose, *found), key=lambda p: (p.entity, p.source, p.heading))
    counts = {
        "MedQuAD: answers": len(found),
        "MedQuAD: answers about no single disease here, dropped": unknown,
    }
    return replace(graph, prose=tuple(prose)), counts


def _file(path: Path | str | None) -> Path:
    return require_file("medquad") if path is None else Path(path)


def _prose(entity: str, document: Document, pair: QA) -> Prose:
    return Prose(
        entity=entity,
        source=f"MedQuAD ({document.source})",
        text=pair.answer,
        heading=pair.qtype.capitalize(),
        evidence="consumer",
    )
