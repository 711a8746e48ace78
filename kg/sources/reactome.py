"""Pathways of Reactome with their genes, from the package pathway-assessor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from medenv.data import load_plain, require
from medenv.errors import DataError
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import IN_PATHWAY
from medenv.text import slug

FEWEST_GENES = 3
"""Pathways of fewer genes are reactions rather than pathways."""

MOST_GENES = 60
"""Pathways of more genes are parts of biology rather than pathways."""


def load_reactome(
    path: Path | str | None = None,
    *,
    symbols: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> Graph:
    """Read pathways of 3 to 60 genes.

    Args:
        path: The folder with ``reactome.pkl``; by default the data set `reactome`.
        symbols: Former symbols of genes to present ones.
        only: Present symbols of the genes that count; others are dropped, e.g. those of viruses.

    Raises:
        DataError: The data set is absent, or the file is not a table of pathways.
    """
    file = (require("reactome") if path is None else Path(path)) / "reactome.pkl"
    table = load_plain(file)
    if not isinstance(table, dict) or not all(
        isinstance(genes, set | list | tuple | frozenset) for genes in table.values()
    ):
        raise DataError(file, f"expected pathways with their genes, got {table!r:.80}")
    notes: Counter[str] = Counter()
    info = GraphInfo(
        source="Reactome",
        version="2019",
        licence="Reactome, CC BY 4.0: https://reactome.org/license",
        acknowledgement="Pathways: Reactome.",
        notes=notes,
    )
    builder, present = GraphBuilder(info), symbols or {}
    builder.relation(IN_PATHWAY)
    for pathway, listed in sorted(table.items()):
        genes = sorted({present.get(symbol, symbol) for symbol in map(str, listed)})
        if only is not None:
            notes["genes of other species or without a present symbol, dropped"] += sum(
                gene not in only for gene in genes
            )
            genes = [gene for gene in genes if gene in only]
        if not FEWEST_GENES <= len(genes) <= MOST_GENES:
            notes["pathways of fewer than 3 or more than 60 genes, dropped"] += 1
            continue
        entity = f"REACT:{slug(pathway)}"
        if entity in builder:
            notes["pathways with a name of another, dropped"] += 1
            continue
        builder.node(entity, kind="pathway", name=pathway)
        for gene in genes:
            if f"SYMBOL:{gene}" not in builder:
                builder.node(f"SYMBOL:{gene}", kind="gene", name=gene)
            builder.edge(f"SYMBOL:{gene}", IN_PATHWAY.name, entity)
    return builder.build()
