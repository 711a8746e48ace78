"""Orphanet's orphapackets: rare diseases with definitions, genes, findings and prevalence.

Reads JSON lines (packets or their content), or a folder of packets as published. All fields of a
packet except code and label may be missing or null. Format:
https://github.com/Orphanet/orphapacket
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medenv.data import require_file
from medenv.errors import DataError, UsageError
from medenv.io import DecodingError, decode_json, numbered_records, read_json
from medenv.kg.documents.frequencies import EXCLUDED, canonical
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import (
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

_NO_DATA = ("", "no data", "Unknown", "Not yet documented")
_PREVALENCE = ("type", "area", "reference")


def load_orphapackets(path: Path | str | None = None) -> Graph:
    """Read a graph of orphapackets.

    Args:
        path: A JSONL file of packets, plain or ``.gz``, a folder of ``*.json`` files, or the
            repository's archive; by default the data set `orphapackets`.

    Raises:
        DataError: The file is missing, or a line is not an orphapacket.
    """
    path = require_file("orphapackets") if path is None else Path(path)
    packets = list(_packets(path))
    if not packets:
        raise DataError(path, "expected orphapackets, got none")
    notes: Counter[str] = Counter()
    info = GraphInfo(
        source="Orphanet",
        version=_optional(packets[0][2], "version"),
        licence=LICENCE,
        acknowledgement=ACKNOWLEDGEMENT,
        notes=notes,
    )
    builder = GraphBuilder(info)
    for relation in (HAS_PHENOTYPE, HAS_INHERITANCE, HAS_ONSET):
        builder.relation(relation, QUALIFIERS)
    builder.relation(HAS_PREVALENCE, _PREVALENCE)
    for relation in (HAS_GENE, IS_A):
        builder.relation(relation)
    for add in (_add_disease, _add_edges):
        for file, line, packet in packets:
            try:
                add(builder, packet)
            except (KeyError, TypeError, AttributeError) as error:
                problem = f"expected an orphapacket, got one without {error}"
                raise DataError(file, problem, line) from error
            except UsageError as error:
                raise DataError(file, str(error), line) from error
    return builder.build()


def _packets(path: Path) -> Iterator[tuple[Path, int | None, dict[str, Any]]]:
    """Yield file, line and packet."""
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            packet = read_json(file, dict[str, Any], "an orphapacket")
            yield file, None, packet.get("Orphapacket", packet)
        return
    if path.suffix == ".zip":
        yield from _archived(path)
        return
    for number, packet in numbered_records(path, dict[str, Any], "an orphapacket"):
        yield path, number, packet.get("Orphapacket", packet)


def _archived(path: Path) -> Iterator[tuple[Path, int | None, dict[str, Any]]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if "/json/" in name and name.endswith(".json"):
                    packet = decode_json(archive.read(name), dict[str, Any])
                    yield path / name, None, packet.get("Orphapacket", packet)
    except (zipfile.BadZipFile, DecodingError) as error:
        raise DataError(path, f"expected an archive of orphapackets, got: {error}") from error


def _many(packet: dict[str, Any], names: str, name: str) -> list[Any]:
    """Return the entries of a field: a list of objects, an object with a list, or one object."""
    found: list[Any] = []
    outer = packet.get(names) or []
    for entry in outer if isinstance(outer, list) else [outer]:
        inner = entry.get(name, entry) if isinstance(entry, dict) else entry
        found += inner if isinstance(inner, list) else [inner]
    return [entry for entry in found if entry is not None]


def _needed(entry: dict[str, Any], name: str) -> str:
    """Return a required field.

    Raises:
        KeyError: The field is missing, empty or null.
    """
    value = entry.get(name)
    if value is None or value == "":
        raise KeyError(name)
    return str(value)


def _optional(entry: dict[str, Any], name: str) -> str:
    """Return an optional field, or ``""`` if it is missing or null."""
    value = entry.get(name)
    return "" if value is None else str(value)


def _references(entry: dict[str, Any], exact: bool = False) -> list[str]:
    """Return an entry's external ids, or only those of exact mappings."""
    found = []
    for reference in _many(entry, "ExternalReferences", "ExternalReference"):
        source, number = _optional(reference, "Source"), _optional(reference, "Reference")
        relation = _optional(reference, "DisorderMappingRelation")
        if source and number and (not exact or relation.startswith("E ")):
            found.append(f"{source}:{number}")
    return found


def _add_disease(builder: GraphBuilder, packet: dict[str, Any]) -> None:
    texts = [_optional(text, "Contents") for text in _many(packet, "TextSection", "TextSection")]
    builder.node(
        f"ORPHA:{_needed(packet, 'ORPHAcode')}",
        kind="disease",
        name=_needed(packet, "Label"),
        aliases=[s for s in _many(packet, "Synonyms", "Synonym") if isinstance(s, str) and s],
        xrefs=_references(packet, exact=True),
        text=" ".join(text for text in texts if text),
    )


def _once(builder: GraphBuilder, entity_id: str, kind: str, name: str, **more: Any) -> str:
    if entity_id not in builder:
        builder.node(entity_id, kind=kind, name=name, **more)
    return entity_id


def _add_edges(builder: GraphBuilder, packet: dict[str, Any]) -> None:
    disease, notes = f"ORPHA:{packet['ORPHAcode']}", builder.info.notes
    blank = ("",) * (len(QUALIFIERS) - 1)
    for entry in _many(packet, "Phenotypes", "Phenotype"):
        frequency = canonical(_optional(entry, "HPOFrequency"))
        if frequency is None:
            raise UsageError(f"expected a frequency, got {entry['HPOFrequency']!r}")
        if frequency != EXCLUDED:
            term = _once(builder, _needed(entry, "HPOId"), "phenotype", _needed(entry, "HPOTerm"))
            builder.edge(disease, HAS_PHENOTYPE.name, term, (frequency, *blank))
    for entry in _many(packet, "Genes", "Gene"):
        symbol, name = _needed(entry, "Symbol"), _optional(entry, "Name")
        gene = _once(
            builder,
            f"SYMBOL:{symbol}",
            "gene",
            symbol,
            aliases=[name] if name else [],
            xrefs=_references(entry),
        )
        builder.edge(disease, HAS_GENE.name, gene)
    for entry in _many(packet, "Parents", "Parent"):
        if (parent := f"ORPHA:{_needed(entry, 'ORPHAcode')}") in builder:
            builder.edge(disease, IS_A.name, parent)
        else:
            notes["parents outside the file"] = notes.get("parents outside the file", 0) + 1
    for relation, names, suffix in (
        (HAS_INHERITANCE, "TypeOfInheritances", "inheritance"),
        (HAS_ONSET, "AverageAgeOfOnsets", "onset"),
    ):
        for entry in _many(packet, names, names.removesuffix("s")):
            if (value := _optional(entry, "value")) not in _NO_DATA:
                term = _once(builder, f"ORPHA-{suffix}:{value}", suffix, f"{value} {suffix}")
                builder.edge(disease, relation.name, term, ("", *blank))
    _add_prevalences(builder, disease, packet)


def _add_prevalences(builder: GraphBuilder, disease: str, packet: dict[str, Any]) -> None:
    for entry in _many(packet, "Prevalences", "Prevalence"):
        share, kind = _optional(entry, "PrevalenceClass"), _optional(entry, "PrevalenceType")
        if share not in _NO_DATA and kind == "Point prevalence":
            term = _once(builder, f"ORPHA-prevalence:{share}", "prevalence", share)
            values = (kind, _optional(entry, "PrevalenceGeographic"), _optional(entry, "Source"))
            builder.edge(disease, HAS_PREVALENCE.name, term, values)
