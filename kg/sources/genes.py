"""Positions of human genes on chromosomes, from the gene table of GNU Health."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from medenv.data import require
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import LOCATED_AT
from medenv.kg.sources.tryton import read_records_of


def load_genes(path: Path | str | None = None, *, only: Collection[str] | None = None) -> Graph:
    """Read genes with their chromosome bands.

    Args:
        path: The folder with ``human_genes_grch38.xml``; by default the data set `genes`.
        only: Symbols of the genes to read; all by default.

    Raises:
        DataError: The data set is absent, or the file is malformed.
    """
    file = (require("genes") if path is None else Path(path)) / "human_genes_grch38.xml"
    info = GraphInfo(
        source="GNU Health genes",
        version="5.0.4",
        licence="GNU Health, GPL-3.0-or-later; content of HGNC, CC0 1.0",
        acknowledgement="Gene table: GNU Health, GNU Solidario.",
    )
    builder = GraphBuilder(info)
    builder.relation(LOCATED_AT)
    for _, gene in read_records_of(file, "gnuhealth.gene"):
        number, band = gene.get("gene_id", ""), gene.get("location", "")
        if not number or not band[:1].isalnum() or " " in band:
            continue
        if (only is not None and gene["name"] not in only) or f"NCBIGene:{number}" in builder:
            continue
        builder.node(f"NCBIGene:{number}", kind="gene", name=gene["name"])
        if f"BAND:{band}" not in builder:
            builder.node(f"BAND:{band}", kind="band", name=band)
        builder.edge(f"NCBIGene:{number}", LOCATED_AT.name, f"BAND:{band}")
    return builder.build()
