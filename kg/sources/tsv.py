"""Any graph as a table of nodes and a table of edges, or as a table of edges alone.

A map of columns says which column holds what, so that exports such as Hetionet's and PrimeKG's are
read as they are: ``{"head": "source", "relation": "metaedge", "tail": "target"}``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import DataError, UsageError
from medenv.io import locate, numbered_lines
from medenv.kg.build import GraphBuilder
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.schema import Relation
from medenv.records import Record

_NODE = {"id": "id", "name": "name", "kind": "kind"}
_NODE_MORE = ("aliases", "xrefs", "text")
_EDGE = {"head": "head", "relation": "relation", "tail": "tail"}
_ENDS = ("head_name", "head_kind", "tail_name", "tail_kind")


class TsvConfig(Record, frozen=True, kw_only=True):
    """How tables are read.

    Args:
        nodes: File of the nodes within the folder; ``""`` where the edges name them.
        edges: File of the edges.
        columns: What is read to the name of its column: ``id``, ``name``, ``kind``, ``aliases``,
            ``xrefs``, ``text`` of nodes; ``head``, ``relation``, ``tail`` of edges, and, where
            there is no file of nodes, ``head_name``, ``head_kind``, ``tail_name``, ``tail_kind``.
        separator: Between columns; tables separated by commas may have quoted fields.
        many: Between several aliases or cross-references in one column.
        qualifiers: Columns of the edges that are kept with them.
        factual: Relations that a path may walk; empty means all.
        source: Name of the source.
        version: Version or date.
        licence: Terms of use.
    """

    nodes: str = "nodes.tsv"
    edges: str = "edges.tsv"
    columns: dict[str, str] = msgspec.field(default_factory=dict)
    separator: str = "\t"
    many: str = "|"
    qualifiers: tuple[str, ...] = ()
    factual: tuple[str, ...] = ()
    source: str = "table"
    version: str = ""
    licence: str = ""


def load_tsv(path: Path | str, **options: Any) -> Graph:
    """Return the graph of two tables in a folder.

    Args:
        path: The folder; files may be plain or ``.gz``.
        **options: The fields of `TsvConfig`.

    Raises:
        DataError: A file is missing or malformed; names file and line.
        UsageError: An option is unknown.
    """
    try:
        config = msgspec.convert(options, TsvConfig)
    except msgspec.ValidationError as error:
        raise UsageError(f"options of the source tsv: {error}") from error
    folder = Path(path)
    info = GraphInfo(source=config.source, version=config.version, licence=config.licence)
    builder = GraphBuilder(info)
    if config.nodes:
        _add_nodes(builder, locate(folder, config.nodes), config)
    _add_edges(builder, locate(folder, config.edges), config)
    return builder.build()


def _rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in numbered_lines(path):
        if separator == "\t":
            yield number, line.split("\t")
        else:
            yield number, next(csv.reader([line], delimiter=separator), [])


def _table(
    path: Path, config: TsvConfig, needed: Mapping[str, str], more: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row as what its columns are read as; a column beyond the needed may be missing."""
    wanted = {**needed, **{name: name for name in more}}
    wanted = {name: config.columns.get(name, column) for name, column in wanted.items()}
    places: dict[str, int] = {}
    width = 0
    for number, cells in _rows(path, config.separator):
        if not width:
            width = len(cells)
            header = {cell.lstrip("#: "): place for place, cell in enumerate(cells)}
            missing = [wanted[name] for name in needed if wanted[name] not in header]
            if missing:
                raise DataError(path, f"expected the columns {missing}, got {list(header)}", number)
            places = {name: header[c] for name, c in wanted.items() if c in header}
        elif len(cells) != width:
            problem = f"expected {width} columns, got {len(cells)}; was the file cut short?"
            raise DataError(path, problem, number)
        else:
            row = {name: cells[place].strip() for name, place in places.items()}
            empty = [name for name in needed if not row[name]]
            if empty:
                raise DataError(path, f"the column {wanted[empty[0]]!r} is empty", number)
            yield number, row
    if not width:
        raise DataError(path, "expected a header, the file is empty")


def _add_nodes(builder: GraphBuilder, path: Path, config: TsvConfig) -> None:
    for number, row in _table(path, config, _NODE, _NODE_MORE):
        if row["id"] in builder:
            raise DataError(path, f"the node {row['id']!r} was told before", number)
        builder.node(
            row["id"],
            kind=kind_of(row["kind"]),
            name=row["name"],
            aliases=[a for a in row.get("aliases", "").split(config.many) if a],
            xrefs=[x for x in row.get("xrefs", "").split(config.many) if x],
            text=row.get("text", ""),
        )


def _add_edges(builder: GraphBuilder, path: Path, config: TsvConfig) -> None:
    known: dict[str, str] = {}
    ends = () if config.nodes else _ENDS
    needed = _EDGE | {name: name for name in ends}
    for number, row in _table(path, config, needed, config.qualifiers):
        name = known.get(row["relation"])
        if name is None:
            name = known[row["relation"]] = relation_name(row["relation"])
            factual = not config.factual or row["relation"] in config.factual
            made = Relation(name=name, inverse=f"inverse_{name}", factual=factual)
            builder.relation(made, config.qualifiers)
        for end in ("head", "tail"):
            if row[end] not in builder:
                if config.nodes:
                    raise DataError(path, f"no node {row[end]!r} in {config.nodes}", number)
                kind = kind_of(row[f"{end}_kind"])
                builder.node(row[end], kind=kind, name=row[f"{end}_name"])
        values = [row.get(qualifier, "") for qualifier in config.qualifiers]
        builder.edge(row["head"], name, row["tail"], values)


def relation_name(text: str) -> str:
    """Return a relation's name in lower case with underscores, fit for a file's name.

    Args:
        text: The source's own name, e.g. ``"positively correlated with"``.
    """
    return re.sub(r"\W+", "_", text.strip()).strip("_").lower() or "relation"


def kind_of(text: str) -> str:
    """Return a node kind in lower case with underscores: ``"Biological Process"`` and the like.

    Args:
        text: The source's own name of the kind.
    """
    return relation_name(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))
