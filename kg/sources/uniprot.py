"""Diseases and disease-causing variants of UniProt, from the data files of GNU Health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from medenv.data import require
from medenv.kg.graph import Graph, GraphInfo, Prose
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import HAS_KEYWORD, HAS_VARIANT, VARIANT_IN
from medenv.kg.sources.tryton import read_records_of
from medenv.text import slug

SOURCE = "UniProtKB (GNU Health 5.0.4)"
_PATHOGENIC = "lpp"


def load_uniprot(
    path: Path | str | None = None, *, symbols: Mapping[str, str] | None = None
) -> Graph:
    """Read diseases with descriptions and keywords, and variants that are likely pathogenic.

    A variant is named by its dbSNP id, which does not tell the gene, or by its UniProt id where
    several variants share the dbSNP id.

    Args:
        path: The folder with the files; by default the data set `uniprot`.
        symbols: Former symbols of genes to present ones.

    Raises:
        DataError: The data set is absent, or a file is malformed.
    """
    folder, present = require("uniprot") if path is None else Path(path), symbols or {}
    notes: Counter[str] = Counter()
    info = GraphInfo(
        source="UniProtKB",
        version="GNU Health 5.0.4",
        licence="UniProt, CC BY 4.0: https://www.uniprot.org/help/license. Files of GNU Health: "
        "GPL-3.0-or-later",
        acknowledgement="Diseases and variants: the UniProt Consortium, by way of GNU Health.",
        notes=notes,
    )
    builder = GraphBuilder(info)
    for relation in (HAS_KEYWORD, HAS_VARIANT, VARIANT_IN):
        builder.relation(relation)
    diseases = _add_diseases(builder, folder, notes)
    linked: dict[str, list[str]] = {}
    for _, link in read_records_of(
        folder / "variant_phenotypes.xml", "gnuhealth.gene.variant.phenotype"
    ):
        if link["phenotype"] in diseases:
            linked.setdefault(link["variant"], []).append(diseases[link["phenotype"]])
    variants = [
        (entity, variant)
        for entity, variant in read_records_of(
            folder / "gene_variants.xml", "gnuhealth.gene.variant"
        )
        if variant["significance"] == _PATHOGENIC and entity in linked
    ]
    shared = Counter(variant["dbsnp"] for _, variant in variants)
    for entity, variant in variants:
        known = variant["dbsnp"].startswith("rs")
        notes["variants without a dbSNP id, dropped"] += not known
        if not known:
            continue
        symbol = present.get(variant["gene"], variant["gene"])
        if f"SYMBOL:{symbol}" not in builder:
            builder.node(f"SYMBOL:{symbol}", kind="gene", name=symbol)
        own = shared[variant["dbsnp"]] == 1
        notes["variants that share a dbSNP id, named by their UniProt id"] += not own
        builder.node(
            entity,
            kind="variant",
            name=variant["dbsnp"] if own else entity,
            aliases=(entity,) if own else (),
            accepted=(f"{symbol} {variant['aa_change']}",),
            text=variant["aa_change"],
        )
        builder.edge(f"SYMBOL:{symbol}", HAS_VARIANT.name, entity)
        for disease in linked[entity]:
            builder.edge(entity, VARIANT_IN.name, disease)
    return builder.build()


def _add_diseases(builder: GraphBuilder, folder: Path, notes: Counter[str]) -> dict[str, str]:
    """Add the diseases with a MIM number, and return UniProt's ids with ours."""
    diseases = {}
    for entry, disease in read_records_of(
        folder / "protein_diseases.xml", "gnuhealth.protein.disease"
    ):
        number = disease.get("mim_reference", "").removeprefix("MIM:")
        entity = f"OMIM:{number}"
        if not number.isdigit() or entity in builder:
            notes["diseases without a MIM number of their own, dropped"] += 1
            continue
        diseases[entry] = entity
        acronym = disease.get("acronym", "")
        builder.node(
            entity,
            kind="disease",
            name=disease["disease_name"],
            aliases=(acronym,) if acronym else (),
        )
        if text := disease.get("description", ""):
            builder.prose(
                Prose(
                    entity=entity,
                    source=SOURCE,
                    text=text,
                    heading="Description",
                    evidence="curated",
                )
            )
        for keyword in filter(None, disease.get("keywords", "").split(",")):
            name = keyword.strip()
            if f"KW:{slug(name)}" not in builder:
                builder.node(f"KW:{slug(name)}", kind="keyword", name=name)
            builder.edge(entity, HAS_KEYWORD.name, f"KW:{slug(name)}")
    return diseases
