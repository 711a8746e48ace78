"""Storage of graphs: a folder with a JSON file of texts and an ``.npy`` file per array."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from medenv.errors import DataError
from medenv.io import atomic_folder, read_json, read_records, write_records
from medenv.kg.graph import Column, Graph, GraphInfo, Nodes, Prose, Rows
from medenv.kg.graph.schema import Relation
from medenv.records import Record

FORMAT = 1
"""Version of the layout; increment it when older graphs can no longer be read."""

_PROSE = "prose.jsonl"


class _Header(Record, frozen=True, kw_only=True):
    """All data of a graph except its arrays."""

    format: int
    info: GraphInfo
    kinds: tuple[str, ...]
    relations: tuple[Relation, ...]
    vocabularies: dict[str, dict[str, tuple[str, ...]]]
    nodes: Nodes
    replaced: dict[str, str] = msgspec.field(default_factory=dict)


def save_graph(graph: Graph, folder: Path) -> None:
    """Write a graph to `folder` atomically; an identical existing graph is kept."""
    header = _Header(
        format=FORMAT,
        info=graph.info,
        kinds=graph.kinds,
        relations=tuple(graph.relations.values()),
        vocabularies={
            relation: {name: column.values for name, column in columns.items()}
            for relation, columns in graph.columns.items()
        },
        nodes=graph.nodes,
        replaced=dict(graph.replaced),
    )
    raw = msgspec.json.encode(header)
    with atomic_folder(folder, existing="keep") as partial:
        (partial / "graph.json").write_bytes(raw)
        for name, values in _arrays(graph).items():
            np.save(partial / f"{name}.npy", values, allow_pickle=False)
        if graph.prose:
            write_records(partial / _PROSE, graph.prose)
    present = folder / "graph.json"  # may be written by a faster process
    if not present.is_file() or present.read_bytes() != raw:
        raise DataError(folder, "exists and is not empty; choose a new folder")


def _arrays(graph: Graph) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {"kinds": graph.kind_codes}
    for relation, rows in graph.rows.items():
        arrays[f"{relation}.starts"], arrays[f"{relation}.tails"] = rows
    for relation, columns in graph.columns.items():
        for name, column in columns.items():
            arrays[f"{relation}.{name}.codes"] = column.codes
    return arrays


def load_graph(folder: Path | str) -> Graph:
    """Read a graph of `save_graph`; its arrays are memory-mapped."""
    folder = Path(folder)
    header = read_json(folder / "graph.json", _Header, "a saved graph")
    if header.format != FORMAT:
        problem = f"has format {header.format}, expected {FORMAT}; save it again"
        raise DataError(folder / "graph.json", problem)
    prose = folder / _PROSE
    relations = {relation.name: relation for relation in header.relations}
    directions = [name for r in header.relations for name in (r.name, r.inverse)]
    size = len(header.nodes.ids)
    rows: dict[str, Rows] = {}
    for name in directions:
        starts = _read_array(folder, f"{name}.starts", size + 1)
        rows[name] = Rows(starts, _read_array(folder, f"{name}.tails", int(starts[-1])))
    columns: dict[str, dict[str, Column]] = {}
    for relation, vocabularies in header.vocabularies.items():
        edges = rows[relation].tails.size
        columns[relation] = {
            name: Column(_read_array(folder, f"{relation}.{name}.codes", edges), values)
            for name, values in vocabularies.items()
        }
    return Graph(
        info=header.info,
        nodes=header.nodes,
        kinds=header.kinds,
        kind_codes=_read_array(folder, "kinds", size),
        relations=relations,
        rows=rows,
        columns=columns,
        replaced=header.replaced,
        prose=tuple(read_records(prose, Prose, "a text")) if prose.is_file() else (),
    )


def _read_array(folder: Path, name: str, size: int | None = None) -> np.ndarray[Any, Any]:
    path = folder / f"{name}.npy"
    try:
        # Still memory-mapped, but slicing an ndarray costs a tenth of slicing a memmap.
        mapped: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        values = mapped.view(np.ndarray)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(path, f"cannot be read as an array ({error})") from error
    if size is not None and values.shape != (size,):
        raise DataError(path, f"has shape {list(values.shape)}, expected [{size}]")
    return values


def fingerprint(graph: Graph) -> str:
    """Return a hash of a graph's texts and edges, 16 characters.

    Args:
        graph: The graph.
    """
    digest = hashlib.sha256(
        msgspec.json.encode((graph.info, graph.kinds, graph.nodes, graph.prose))
    )
    for name, values in sorted(_arrays(graph).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]
