"""Graphs as two Parquet tables, for pandas, Polars, DuckDB and Spark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import networkx as nx  # type: ignore[import-untyped]  # ships no types


def write_tables(graph: nx.MultiDiGraph[str], folder: Path) -> None:
    """Write ``nodes.parquet`` and ``edges.parquet``.

    Nodes have ``id``, ``kind`` and ``name``; edges have ``head``, ``relation``, ``tail`` and a
    column for each qualifier, null where an edge has none. Source, licence and acknowledgement are
    metadata of both files.

    Args:
        graph: What `Graph.to_networkx` returned.
        folder: An existing folder.
    """
    about = {key: str(value) for key, value in graph.graph.items()}
    nodes = [{"id": node, **fields} for node, fields in graph.nodes(data=True)]
    edges = [
        {"head": head, "relation": relation, "tail": tail} | fields
        for head, tail, relation, fields in graph.edges(keys=True, data=True)
    ]
    qualifiers = sorted({name for edge in edges for name in edge} - {"head", "relation", "tail"})
    columns = ("head", "relation", "tail", *qualifiers)
    schema = pa.schema([(name, pa.string()) for name in columns])
    tables = {
        "nodes": pa.Table.from_pylist(nodes),
        "edges": pa.Table.from_pylist(edges, schema=schema),
    }
    for name, table in tables.items():
        pq.write_table(table.replace_schema_metadata(about), folder / f"{name}.parquet")
