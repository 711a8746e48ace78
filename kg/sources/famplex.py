"""FamPlex: families and complexes of human proteins.

Source: J. A. Bachman, B. M. Gyori, P. K. Sorger: FamPlex (BMC Bioinformatics, 2018).
"""

from __future__ import annotations

import csv
from pathlib import Path

from medenv.data import require
from medenv.errors import DataError
from medenv.io import read_text
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import IN_FAMILY

_COLUMNS = 5


def load_famplex(path: Path | str | None = None) -> Graph:
    """Read families and complexes with the genes and families that belong to them.

    Args:
        path: The folder with ``relations.csv``; by default the data set `famplex`.

    Raises:
        DataError: The data set is absent, or the file is malformed.
    """
    file = (require("famplex") if path is None else Path(path)) / "relations.csv"
    info = GraphInfo(
        source="FamPlex",
        version="2024-07",
        licence="FamPlex, CC0 1.0: https://github.com/sorgerlab/famplex",
    )
    builder = GraphBuilder(info)
    builder.relation(IN_FAMILY)
    for number, row in enumerate(csv.reader(read_text(file).splitlines()), 1):
        if len(row) != _COLUMNS:
            raise DataError(file, f"expected {_COLUMNS} cells, got {len(row)}", number)
        member, family = _node(builder, *row[:2]), _node(builder, *row[3:])
        if member and family:
            builder.edge(member, IN_FAMILY.name, family)
    return builder.build()


def _node(builder: GraphBuilder, namespace: str, name: str) -> str | None:
    """Return the id of a gene, family or complex, or None for another kind of member."""
    if namespace not in ("HGNC", "FPLX"):
        return None
    entity, kind = (f"SYMBOL:{name}", "gene") if namespace == "HGNC" else (f"FPLX:{name}", "")
    if entity not in builder:
        builder.node(entity, kind=kind or "gene_family", name=name.replace("_", " "))
    return entity
