"""Drugs whose effect depends on genes, with dosing recommendations, by CPIC.

Source: the Clinical Pharmacogenetics Implementation Consortium, as the package pypgx carries it.
Levels of PharmGKB, which have another licence, are not read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from medenv.data import require
from medenv.errors import DataError
from medenv.io import read_text
from medenv.kg.graph import Graph, GraphInfo, Prose
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import RESPONSE_DEPENDS_ON
from medenv.text import slug

_QUALIFIERS = {"level": "CPICLevel", "label": "FDALabel", "reference": "PMID"}
_NONE = ("", "None")


def load_cpic(path: Path | str | None = None) -> Graph:
    """Read pairs of drug and gene with CPIC's level, and recommendations by phenotype.

    Args:
        path: The folder with the tables; by default the data set `cpic`.

    Raises:
        DataError: The data set is absent, or a table is malformed.
    """
    folder = require("cpic") if path is None else Path(path)
    info = GraphInfo(
        source="CPIC",
        version="pypgx 0.27.0",
        licence="CPIC, CC0 1.0: https://cpicpgx.org/license",
        acknowledgement="Pharmacogenetics: CPIC.",
    )
    builder = GraphBuilder(info)
    builder.relation(RESPONSE_DEPENDS_ON, tuple(_QUALIFIERS))
    for row in _rows(folder / "cpic-table.csv", ("Gene", "Drug", *_QUALIFIERS.values())):
        drug = _drug(builder, row["Drug"])
        if f"SYMBOL:{row['Gene']}" not in builder:
            builder.node(f"SYMBOL:{row['Gene']}", kind="gene", name=row["Gene"])
        values = [row[column].replace(";", "|") for column in _QUALIFIERS.values()]
        builder.edge(drug, RESPONSE_DEPENDS_ON.name, f"SYMBOL:{row['Gene']}", values)
    for row in _rows(folder / "recommendation-table.csv", ("Drug", "Recommendation", "Gene1")):
        of = [
            f"{row[f'Gene{n}']} {row[f'Phenotype{n}']}".strip()
            for n in (1, 2)
            if row.get(f"Gene{n}", "") not in _NONE
        ]
        if row["Recommendation"] in _NONE:
            continue
        builder.prose(
            Prose(
                entity=_drug(builder, row["Drug"]),
                source="CPIC",
                text=row["Recommendation"],
                heading=f"Recommendation for {' and '.join(of)}",
                evidence="guideline",
            )
        )
    return builder.build()


def _drug(builder: GraphBuilder, name: str) -> str:
    entity = f"CPIC:{slug(name)}"
    if entity not in builder:
        builder.node(entity, kind="drug", name=name)
    return entity


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    rows = csv.DictReader(read_text(file).splitlines())
    if absent := [name for name in columns if name not in (rows.fieldnames or ())]:
        raise DataError(file, f"expected the column {absent[0]!r}, got {rows.fieldnames}")
    for row in rows:
        if None in row or None in row.values():
            raise DataError(file, f"expected {len(rows.fieldnames or ())} cells", rows.line_num)
        yield row
