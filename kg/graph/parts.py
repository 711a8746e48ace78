"""Parts of graphs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from medenv.kg.graph import BoolArray, Column, Graph, Nodes, Rows


def part(graph: Graph, keep: BoolArray) -> Graph:
    """Return the graph of some nodes, with the edges between them and their texts.

    Args:
        graph: The graph.
        keep: Whether each node is kept.
    """
    numbers = np.flatnonzero(keep).astype(np.int32)
    new = np.full(len(graph), -1, dtype=np.int32)
    new[numbers] = np.arange(numbers.size, dtype=np.int32)
    rows: dict[str, Rows] = {}
    columns: dict[str, dict[str, Column]] = {}
    for name, relation in graph.relations.items():
        rows[name], stay = _rows(graph.rows[name], keep, new)
        rows[relation.inverse], _ = _rows(graph.rows[relation.inverse], keep, new)
        columns[name] = {
            key: Column(np.asarray(column.codes)[stay], column.values)
            for key, column in graph.columns.get(name, {}).items()
        }
    nodes, kept = graph.nodes, set(map(graph.nodes.ids.__getitem__, numbers.tolist()))
    fields = {
        field: tuple(getattr(nodes, field)[n] for n in numbers) if getattr(nodes, field) else ()
        for field in Nodes.__struct_fields__
    }
    used = sorted({int(code) for code in graph.kind_codes[numbers]})
    codes = np.zeros(len(graph.kinds), dtype=np.int8)
    codes[used] = np.arange(len(used), dtype=np.int8)
    return replace(
        graph,
        nodes=Nodes(**fields),
        kinds=tuple(graph.kinds[code] for code in used),
        kind_codes=codes[graph.kind_codes[numbers]],
        rows=rows,
        columns=columns,
        replaced={old: now for old, now in graph.replaced.items() if now in kept},
        prose=tuple(prose for prose in graph.prose if prose.entity in kept),
    )


def _rows(rows: Rows, keep: BoolArray, new: npt.NDArray[np.int32]) -> tuple[Rows, BoolArray]:
    """Return the rows between kept nodes, and whether each edge stays."""
    counts = np.diff(rows.starts)
    heads = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
    tails = np.asarray(rows.tails)
    stay = keep[heads] & keep[tails]
    kept = np.bincount(new[heads[stay]], minlength=int(keep.sum()))
    starts = np.zeros(kept.size + 1, dtype=rows.starts.dtype)
    np.cumsum(kept, out=starts[1:])
    return Rows(starts, new[tails[stay]].astype(tails.dtype)), stay
