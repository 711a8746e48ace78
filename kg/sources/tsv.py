"""Graphs from a table of nodes and a table of edges, or from a table of edges only.

A mapping of columns supports exports such as Hetionet's and PrimeKG's without conversion:
``{"head": "source", "relation": "metaedge", "tail": "target"}``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import DataError, UsageError
from medenv.io import find_file, read_rows
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import Relation
from medenv.records import Record

_NODE = {"id": "id", "name": "name", "kind": "kind"}
_NODE_MORE = ("aliases", "xrefs", "text")
_EDGE = {"head": "head", "relation": "relation", "tail": "tail"}
_ENDS = ("head_name", "head_kind", "tail_name", "tail_kind")


class TsvConfig(Record, frozen=True, kw_only=True):
    """Settings of the tables.

    Args:
        nodes: File of the nodes in the folder; ``""`` if the edges describe the nodes.
        edges: File of the edges.
        columns: Field to the name of its column: ``id``, ``name``, ``kind``, ``aliases``,
            ``xrefs``, ``text`` of nodes; ``head``, ``relation``, ``tail`` of edges; without a file
            of nodes also ``head_name``, ``head_kind``, ``tail_name``, ``tail_kind``.
        separator: Column separator, one or more characters; ``""`` is a comma in ``.csv`` files,
            else a tab.
        many: Separator of several aliases or cross-references in one column.
        qualifiers: Columns of the edges to read as qualifiers.
        factual: Factual relations; empty means all.
        source: Name of the source.
        version: Version or date.
        licence: Terms of use.
    """

    nodes: str = "nodes.tsv"
    edges: str = "edges.tsv"
    columns: dict[str, str] = msgspec.field(default_factory=dict)
    separator: str = ""
    many: str = "|"
    qualifiers: tuple[str, ...] = ()
    factual: tuple[str, ...] = ()
    source: str = "table"
    version: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        """Validate the settings."""
        if not self.many:
            raise UsageError("expected a separator of several values in one column, got ''")


def load_tsv(path: Path | str, **options: Any) -> Graph:
    """Read a graph from the tables in a folder.

    Args:
        path: The folder; files may be plain or ``.gz``.
        **options: The fields of `TsvConfig`.

    Raises:
        DataError: A file is missing or malformed.
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
        _add_nodes(builder, find_file(folder, config.nodes), config)
    _add_edges(builder, find_file(folder, config.edges), config)
    return builder.build()


def _table(
    path: Path, config: TsvConfig, needed: Mapping[str, str], more: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and fields of each row; only the columns of `needed` are required."""
    names = {**needed, **{name: name for name in more}}
    names = {name: config.columns.get(name, column) for name, column in names.items()}
    is_csv = path.name.removesuffix(".gz").lower().endswith(".csv")
    rows = read_rows(path, config.separator or ("," if is_csv else "\t"))
    number, cells = next(rows, (0, []))
    if not cells:
        raise DataError(path, "expected a header, got an empty file")
    header = {cell.lstrip("#: "): place for place, cell in enumerate(cells)}
    missing = [names[name] for name in needed if names[name] not in header]
    if missing:
        raise DataError(path, f"expected the columns {missing}, got {list(header)}", number)
    places = {name: header[column] for name, column in names.items() if column in header}
    for number, cells in rows:
        row = {name: cells[place].strip() for name, place in places.items()}
        empty = [name for name in needed if not row[name]]
        if empty:
            raise DataError(path, f"the column {names[empty[0]]!r} is empty", number)
        yield number, row


def _add_nodes(builder: GraphBuilder, path: Path, config: TsvConfig) -> None:
    for number, row in _table(path, config, _NODE, _NODE_MORE):
        if row["id"] in builder:
            raise DataError(path, f"duplicate node {row['id']!r}", number)
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
                    raise DataError(path, f"unknown node {row[end]!r}, see {config.nodes}", number)
                kind = kind_of(row[f"{end}_kind"])
                builder.node(row[end], kind=kind, name=row[f"{end}_name"])
        values = [row.get(qualifier, "") for qualifier in config.qualifiers]
        builder.edge(row["head"], name, row["tail"], values)


_SIGNS = {
    "+": "plus",
    "−": "minus",
    "±": "plus minus",
    "=": "equals",
    "≠": "differs",
    ">": "to",
    "→": "to",
    "<": "from",
    "←": "from",
    "↔": "both",
    "↑": "up",
    "↓": "down",
    "≥": "at least",
    "≤": "at most",
    "~": "about",
    "¬": "not",
    "%": "percent",
    "&": "and",
    "*": "star",
    "#": "number",
    "@": "at",
}
"""Signs to words, so that relations that differ only in a sign get different names."""
_MINUS = re.compile(r"(?<![^\s(\[])-(?=[\w)\]]|$)|(?<=\w)-(?![^\s)\]])")
"""A hyphen used as a sign: at the beginning or the end of a word, or alone in brackets."""


def relation_name(text: str) -> str:
    """Return a relation's name in lower case with underscores, valid as a file name.

    Signs become words; punctuation between words is ignored.

    Args:
        text: Name in the source, e.g. ``"positively correlated with"``.
    """
    text = _MINUS.sub("−", unicodedata.normalize("NFKC", text).strip())
    words = ""
    for char in text:
        if char in _SIGNS:
            words += f" {_SIGNS[char]} "
        elif unicodedata.category(char).startswith("S"):
            words += f" {unicodedata.name(char, 'sign')} "
        else:
            words += char
    return re.sub(r"\W+", "_", words).strip("_").lower() or "relation"


def kind_of(text: str) -> str:
    """Return a node kind in lower case with underscores, e.g. of ``"Biological Process"``.

    Args:
        text: Name of the kind in the source.
    """
    return relation_name(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))
