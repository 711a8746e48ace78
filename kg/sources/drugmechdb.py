"""DrugMechDB: curated paths from a drug to the disease that it treats.

Reads the repository's archive, or JSON lines with ``nodes`` (id, label, name) and ``links``
(source, key, target).
Source: A. C. Gonzalez-Cavazos et al.: DrugMechDB (Scientific Data, 2023).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import yaml

from medenv.data import require_file
from medenv.errors import DataError
from medenv.io import numbered_records
from medenv.kg.graph import Graph, GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.mechanisms import MECHANISMS
from medenv.kg.sources.tsv import kind_of, relation_name

BACKWARDS = {
    "phenotype_of": ("manifestation_of", False),
    "location_of": ("located_in", True),
    "caused_by": ("causes", True),
    "disrupted_by": ("disrupts", True),
    "produced_by": ("produces", True),
    "has_participant": ("participates_in", True),
    "has_part": ("part_of", True),
    "is_metabolite_of": ("has_metabolite", True),
}
"""Predicates that say what another one says, and whether they say it from the other end."""

LICENCE = "DrugMechDB, CC0 1.0: https://github.com/SuLab/DrugMechDB"

_UNWORDED = "links of rare predicates, dropped"


class _Node(msgspec.Struct):
    id: str
    label: str
    name: str


class _Link(msgspec.Struct):
    key: str
    source: str
    target: str


class _Path(msgspec.Struct):
    nodes: list[_Node]
    links: list[_Link]
    reference: list[str] | None = None  # the name in the project's own files
    references: list[str] | None = None


def load_drugmechdb(path: Path | str | None = None, *, version: str = "") -> Graph:
    """Read the graph of all mechanisms; further names of a node become aliases.

    Args:
        path: The archive, or the file, plain or ``.gz``; by default the data set `drugmechdb`.
        version: Version or date of the file.

    Raises:
        DataError: The file is missing, or a line is not a mechanism.
    """
    path = require_file("drugmechdb") if path is None else Path(path)
    paths = list(mechanisms(path))
    if not paths:
        raise DataError(path, "expected mechanisms, got an empty file")
    names: dict[str, dict[str, None]] = {}
    kinds: dict[str, str] = {}
    for _, mechanism in paths:
        for node in mechanism.nodes:
            names.setdefault(node.id, {})[node.name] = None
            kinds.setdefault(node.id, kind_of(node.label))
    notes = {_UNWORDED: 0}
    info = GraphInfo(source="DrugMechDB", version=version, licence=LICENCE, notes=notes)
    builder = GraphBuilder(info)
    for entity, known in names.items():
        name, *aliases = known
        builder.node(entity, kind=kinds[entity], name=name, aliases=aliases)
    for one in MECHANISMS.values():
        builder.relation(one.relation, ("reference",))
    for number, mechanism in paths:
        for link in mechanism.links:
            for end in (link.source, link.target):
                if end not in builder:
                    raise DataError(path, f"unknown node {end!r} of the link {link.key!r}", number)
        notes[_UNWORDED] += _add_links(builder, mechanism)
    return builder.build()


def _add_links(builder: GraphBuilder, mechanism: _Path) -> int:
    """Add the links of a mechanism, and return how many have a predicate without a relation."""
    reference = next(iter(mechanism.references or mechanism.reference or ()), "")
    unworded = 0
    for link in mechanism.links:
        key = relation_name(link.key)
        name, back = BACKWARDS.get(key, (key, False))
        head, tail = (link.target, link.source) if back else (link.source, link.target)
        if name in MECHANISMS:
            builder.edge(head, name, tail, (reference,))
        else:
            unworded += 1
    return unworded


def mechanisms(path: Path) -> Iterator[tuple[int, _Path]]:
    """Yield the number and the content of each path in a file.

    Args:
        path: The repository's archive, or JSON lines.

    Raises:
        DataError: The file cannot be read, or an entry is no path.
    """
    if path.suffix != ".zip":
        yield from numbered_records(path, _Path, "a mechanism")
        return
    name = path.name
    try:
        with zipfile.ZipFile(path) as archive:
            for number, name in enumerate(sorted(archive.namelist()), 1):
                if "/kb/paths/" in name and name.endswith(".yaml"):
                    read = yaml.load(archive.read(name), yaml.CSafeLoader)
                    yield number, msgspec.convert(read, _Path)
    except (zipfile.BadZipFile, yaml.YAMLError, msgspec.ValidationError) as error:
        problem = " ".join(str(error).split())
        raise DataError(path, f"{name}: expected a mechanism, got: {problem}") from error
