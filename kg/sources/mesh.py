"""Medical Subject Headings: further names of diseases and drugs."""

from __future__ import annotations

from pathlib import Path

from medenv.data import require
from medenv.errors import DataError
from medenv.io import read_rows
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder

_CELLS = 5
_KINDS = {"C": "disease", "F03": "disease", "D": "drug"}
"""Branch of a tree number to the kind of the descriptor."""


def load_mesh(path: Path | str | None = None) -> Graph:
    """Read the descriptors of diseases and drugs with their entry terms.

    Args:
        path: The folder with ``mesh_id_label_mappings.tsv``; by default the data set `mesh`.

    Raises:
        DataError: The data set is absent, or the file is malformed.
    """
    file = (require("mesh") if path is None else Path(path)) / "mesh_id_label_mappings.tsv"
    info = GraphInfo(
        source="MeSH",
        version="2025-07",
        licence="NLM terms: https://www.nlm.nih.gov/databases/download/terms_and_conditions.html",
        acknowledgement="Courtesy of the U.S. National Library of Medicine.",
    )
    builder = GraphBuilder(info)
    for number, row in read_rows(file, "\t"):
        if len(row) != _CELLS:
            raise DataError(file, f"expected {_CELLS} cells, got {len(row)}", number)
        descriptor, name, entries, trees, _ = row
        kinds = {
            kind for tree in trees.split("|") for b, kind in _KINDS.items() if tree.startswith(b)
        }
        if len(kinds) != 1:
            continue
        kind = kinds.pop()
        # Drugs are merged by name, which ChEBI and CPIC write in small letters.
        name = name.lower() if kind == "drug" and name[1:].islower() else name
        accepted = [entry for entry in entries.split("|") if entry]
        builder.node(f"MESH:{descriptor}", kind=kind, name=name, accepted=(name, *accepted))
    return builder.build()
