"""Readers of knowledge graphs, by name: medenv's own, and those that installed packages offer.

A source is a callable ``(path, **options) -> Graph``; other packages offer one through the entry
point group ``medenv.kg_sources``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import UsageError
from medenv.kg.graph import Graph
from medenv.records import Record
from medenv.registry import Registry

KG_SOURCES = Registry(
    "knowledge-graph source",
    "medenv.kg_sources",
    {
        "hpo": "medenv.kg.sources.hpo:load_hpo",
        "toy": "medenv.kg.sources.toy:toy_graph",
        "saved": "medenv.kg.graph.archive:load_graph",
        "extracted": "medenv.kg.extraction.pipeline:load_extracted",
        "tsv": "medenv.kg.sources.tsv:load_tsv",
        "obo": "medenv.kg.sources.ontology:load_obo",
        "orphapackets": "medenv.kg.sources.orphapackets:load_orphapackets",
        "drugmechdb": "medenv.kg.sources.drugmechdb:load_drugmechdb",
        "atlas": "medenv.kg.sources.atlas:load_atlas",
        "mesh": "medenv.kg.sources.mesh:load_mesh",
        "medquad": "medenv.kg.sources.medquad:load_medquad",
        "mondo": "medenv.kg.sources.mondo:load_mondo",
        "doid": "medenv.kg.sources.doid:load_doid",
        "hgnc": "medenv.kg.sources.hgnc:load_hgnc",
        "famplex": "medenv.kg.sources.famplex:load_famplex",
        "genes": "medenv.kg.sources.genes:load_genes",
        "uniprot": "medenv.kg.sources.uniprot:load_uniprot",
        "reactome": "medenv.kg.sources.reactome:load_reactome",
        "cpic": "medenv.kg.sources.cpic:load_cpic",
        "chebi": "medenv.kg.sources.chebi:load_chebi",
        "merged": "medenv.kg.sources.merged:load_merged",
    },
)
"""Sources of knowledge graphs: callables ``(path, **options) -> Graph``."""


class GraphSettings(Record, frozen=True, kw_only=True):
    """Where a graph is read from; the config group `graph`.

    Args:
        source: Name of a source, ``"auto"`` for the graph that the questions were made from, or
            ``"none"``.
        path: What the source reads, or None where it has files of its own.
        options: The source's own options, e.g. ``{"namespaces": ["ORPHA"]}``.
    """

    source: str = "auto"
    path: str | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def read(self) -> Graph:
        """Read the graph; see `open_source`."""
        return open_source(self.source, self.path, self.options)


def open_source(
    name: str, path: Path | str | None = None, options: Mapping[str, Any] | None = None
) -> Graph:
    """Read a graph from a source.

    Args:
        name: Name of the source.
        path: What it reads; None where it needs nothing, or has files of its own.
        options: Its keyword arguments.

    Raises:
        UnknownNameError: No source with that name is registered.
        UsageError: It does not take these options, or makes no graph.
        DataError: A file is missing, cut short or malformed.
    """
    factory = KG_SOURCES.load(name)
    arguments = ([] if path is None else [path], dict(options or {}))
    try:
        inspect.signature(factory).bind(*arguments[0], **arguments[1])
    except TypeError as error:
        raise UsageError(f"source {name!r} cannot be opened like this: {error}") from error
    graph = factory(*arguments[0], **arguments[1])
    if not isinstance(graph, Graph):
        raise UsageError(f"source {name!r} made a {type(graph).__name__}, expected a Graph")
    return graph


def open_named(named: str) -> Graph:
    """Read a graph from what a person typed.

    Args:
        named: A source, or source and path as ``"saved:work/graph"``.

    Raises:
        UnknownNameError: No source with that name is registered.
        UsageError: It needs a path, or makes no graph.
        DataError: A file is missing, cut short or malformed.
    """
    source, _, path = named.partition(":")
    return open_source(source, path or None)
