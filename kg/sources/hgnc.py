"""Genes as the HUGO Gene Nomenclature Committee names them, with their enzyme activities."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from medenv.data import require
from medenv.errors import DataError
from medenv.io import read_text
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import HAS_ACTIVITY
from medenv.kg.sources.snapshots import read_terms

_COLUMNS = (
    "Approved symbol",
    "Approved name",
    "Status",
    "Alias symbols",
    "Previous symbols",
    "NCBI Gene ID(supplied by NCBI)",
    "Enzyme IDs",
)


def load_hgnc(path: Path | str | None = None) -> Graph:
    """Read genes with former and other symbols, and the enzyme activities of their products.

    Args:
        path: The folder with ``hgnc_entries.tsv`` and ``eccode.json``; by default the data set
            `hgnc`.

    Raises:
        DataError: The data set is absent, or a file is malformed.
    """
    folder = require("hgnc") if path is None else Path(path)
    genes = [gene for gene in _genes(folder) if gene["NCBI Gene ID(supplied by NCBI)"]]
    approved = {gene["Approved symbol"] for gene in genes}
    used = Counter(other for gene in genes for other in {*_others(gene)})
    enzymes = {term.id: term for term in read_terms(folder / "eccode.json", "enzymes") if term.name}
    notes: Counter[str] = Counter()
    info = GraphInfo(
        source="HGNC",
        version="2024-07",
        licence="HGNC, CC0 1.0: https://www.genenames.org. ExplorEnz, CC BY 4.0",
        acknowledgement="Names of enzymes: the ExplorEnz database.",
        notes=notes,
    )
    builder = GraphBuilder(info)
    builder.relation(HAS_ACTIVITY)
    for gene in genes:
        entity, name = _id(gene), gene["Approved symbol"]
        if entity in builder:
            notes["genes with a gene id of another, dropped"] += 1
            continue
        own = [o for o in _others(gene) if used[o] == 1 and o not in approved]
        notes["symbols of several genes, dropped"] += len(_others(gene)) - len(own)
        builder.node(entity, kind="gene", name=name, aliases=(*own, gene["Approved name"]))
        for code in _split(gene["Enzyme IDs"]):
            if code not in enzymes or code.count(".") < 3:
                notes["enzyme classes without a name or number, dropped"] += 1
                continue
            if f"EC:{code}" not in builder:
                builder.node(
                    f"EC:{code}",
                    kind="enzyme",
                    name=enzymes[code].name,
                    aliases=(*enzymes[code].synonyms, f"EC {code}"),
                )
            builder.edge(entity, HAS_ACTIVITY.name, f"EC:{code}")
    return builder.build()


def present_symbols(path: Path | str | None = None) -> Mapping[str, str]:
    """Return former symbols that belong to one gene, with its present symbol.

    Args:
        path: The folder with ``hgnc_entries.tsv``; by default the data set `hgnc`.

    Raises:
        DataError: The data set is absent, or the file is malformed.
    """
    genes = list(_genes(require("hgnc") if path is None else Path(path)))
    approved = {gene["Approved symbol"] for gene in genes}
    former = [(o, gene["Approved symbol"]) for gene in genes for o in {*_others(gene)}]
    used = Counter(old for old, _ in former)
    return {old: new for old, new in former if used[old] == 1 and old not in approved}


def _genes(folder: Path) -> Iterator[dict[str, str]]:
    file = folder / "hgnc_entries.tsv"
    rows = csv.DictReader(read_text(file).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    if absent := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise DataError(file, f"expected the column {absent[0]!r}, got {rows.fieldnames}")
    for row in rows:
        if None in row or None in row.values():
            raise DataError(file, f"expected {len(rows.fieldnames or ())} cells", rows.line_num)
        if row["Status"] == "Approved":
            yield row


def _id(gene: Mapping[str, str]) -> str:
    return f"NCBIGene:{gene['NCBI Gene ID(supplied by NCBI)']}"


def _others(gene: Mapping[str, str]) -> list[str]:
    others = [*_split(gene["Alias symbols"]), *_split(gene["Previous symbols"])]
    return [symbol for symbol in dict.fromkeys(others) if symbol != gene["Approved symbol"]]


def _split(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(",") if part.strip()]
