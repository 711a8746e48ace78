"""Orphanet's orphapackets: rare diseases with definitions, genes, findings and prevalence.

Reads one JSON object a line (the content of a packet). Format:
https://github.com/Orphanet/orphapacket
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import DataError
from medenv.io import numbered_lines
from medenv.kg.build import GraphBuilder
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.schema import (
    HAS_GENE,
    HAS_INHERITANCE,
    HAS_ONSET,
    HAS_PHENOTYPE,
    HAS_PREVALENCE,
    IS_A,
    QUALIFIERS,
)

LICENCE = "Orphadata, Orphanet (INSERM), CC BY 4.0: https://www.orphadata.com"
ACKNOWLEDGEMENT = (
    "Orphadata: Free access data from Orphanet. © INSERM 1999. https://www.orphadata.com"
)

_FREQUENCY = {
    "Obligate (100%)": "HP:0040280",
    "Very frequent (99-80%)": "HP:0040281",
    "Frequent (79-30%)": "HP:0040282",
    "Occasional (29-5%)": "HP:0040283",
    "Very rare (<4-1%)": "HP:0040284",
}
_EXCLUDED = "Excluded (0%)"
_NO_DATA = ("no data", "Unknown", "Not yet documented")
_PREVALENCE = ("type", "area", "reference")


def load_orphapackets(path: Path | str) -> Graph:
    """Return the graph of a file of orphapackets.

    Args:
        path: The file, plain or ``.gz``.

    Raises:
        DataError: The file is missing, or a line is no orphapacket; names file and line.
    """
    path = Path(path)
    packets = list(_packets(path))
    if not packets:
        raise DataError(path, "expected orphapackets, the file is empty")
    info = GraphInfo(
        source="Orphanet",
        version=str(packets[0][1].get("version", "")),
        licence=LICENCE,
        acknowledgement=ACKNOWLEDGEMENT,
    )
    builder = GraphBuilder(info)
    for relation in (HAS_PHENOTYPE, HAS_INHERITANCE, HAS_ONSET):
        builder.relation(relation, QUALIFIERS)
    builder.relation(HAS_PREVALENCE, _PREVALENCE)
    for relation in (HAS_GENE, IS_A):
        builder.relation(relation)
    for number, packet in packets:
        try:
            _add_disease(builder, packet)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(path, f"is no orphapacket (missing {error})", number) from error
    for number, packet in packets:
        try:
            _add_edges(builder, packet)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(path, f"is no orphapacket (missing {error})", number) from error
    return builder.build()


def _packets(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered_lines(path):
        try:
            packet = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise DataError(path, f"is not JSON, or was cut short ({error})", number) from error
        if not isinstance(packet, dict):
            raise DataError(path, f"expected an object, got {line[:40]!r}", number)
        yield number, packet.get("Orphapacket", packet)


def _many(packet: dict[str, Any], names: str, name: str) -> list[Any]:
    """Return entries that the format writes as a list of objects, one object of a list, or one."""
    found: list[Any] = []
    outer = packet.get(names) or []
    for entry in outer if isinstance(outer, list) else [outer]:
        inner = entry.get(name, entry) if isinstance(entry, dict) else entry
        found += inner if isinstance(inner, list) else [inner]
    return found


def _add_disease(builder: GraphBuilder, packet: dict[str, Any]) -> None:
    references = _many(packet, "ExternalReferences", "ExternalReference")
    exact = [r for r in references if r["DisorderMappingRelation"].startswith("E ")]
    builder.node(
        f"ORPHA:{packet['ORPHAcode']}",
        kind="disease",
        name=packet["Label"],
        aliases=[s for s in _many(packet, "Synonyms", "Synonym") if isinstance(s, str)],
        xrefs=[f"{r['Source']}:{r['Reference']}" for r in exact],
        text=(packet.get("TextSection") or {}).get("Contents", ""),
    )


def _once(builder: GraphBuilder, entity_id: str, kind: str, name: str, **more: Any) -> str:
    if entity_id not in builder:
        builder.node(entity_id, kind=kind, name=name, **more)
    return entity_id


def _add_edges(builder: GraphBuilder, packet: dict[str, Any]) -> None:
    disease = f"ORPHA:{packet['ORPHAcode']}"
    blank = ("",) * (len(QUALIFIERS) - 1)
    for entry in _many(packet, "Phenotypes", "Phenotype"):
        frequency = entry["HPOFrequency"]
        if frequency != _EXCLUDED:
            term = _once(builder, entry["HPOId"], "phenotype", entry["HPOTerm"])
            values = (_FREQUENCY.get(frequency, ""), *blank)
            builder.edge(disease, HAS_PHENOTYPE.name, term, values)
    for entry in _many(packet, "Genes", "Gene"):
        gene = _once(
            builder,
            f"SYMBOL:{entry['Symbol']}",
            "gene",
            entry["Symbol"],
            aliases=[entry["Name"]],
            xrefs=[f"{r['Source']}:{r['Reference']}" for r in _references(entry)],
        )
        builder.edge(disease, HAS_GENE.name, gene)
    for entry in _many(packet, "Parents", "Parent"):
        if (parent := f"ORPHA:{entry['ORPHAcode']}") in builder:
            builder.edge(disease, IS_A.name, parent)
    for relation, names, suffix in (
        (HAS_INHERITANCE, "TypeOfInheritances", "inheritance"),
        (HAS_ONSET, "AverageAgeOfOnsets", "onset"),
    ):
        for entry in _many(packet, names, names.removesuffix("s")):
            if (value := entry["value"]) not in _NO_DATA:
                term = _once(builder, f"ORPHA-{suffix}:{value}", suffix, f"{value} {suffix}")
                builder.edge(disease, relation.name, term, ("", *blank))
    _add_prevalences(builder, disease, packet)


def _references(entry: dict[str, Any]) -> list[dict[str, str]]:
    return [r for r in _many(entry, "ExternalReferences", "ExternalReference") if "Source" in r]


def _add_prevalences(builder: GraphBuilder, disease: str, packet: dict[str, Any]) -> None:
    for entry in _many(packet, "Prevalences", "Prevalence"):
        share = entry["PrevalenceClass"]
        if share not in _NO_DATA and entry["PrevalenceType"] == "Point prevalence":
            term = _once(builder, f"ORPHA-prevalence:{share}", "prevalence", share)
            values = (entry["PrevalenceType"], entry["PrevalenceGeographic"], entry["Source"])
            builder.edge(disease, HAS_PREVALENCE.name, term, values)
