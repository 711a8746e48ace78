"""The commands about graphs: what a source holds, and a graph as a file for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.errors import DataError, UsageError
from medenv.kg import toy_graph
from medenv.kg.graph.topology import Topology

from .random_graphs import random_graph


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["kg", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_info_counts_what_was_merged(tmp_path: Path) -> None:
    random_graph(1).save(tmp_path / "saved")
    sources = {"toy": {}, "saved": {"path": str(tmp_path / "saved")}}
    shown = run("info", "--graph", "merged", "--option", f"sources={json.dumps(sources)}")
    assert "entities merged into others: 0" in shown
    assert "edges that several graphs state: 0" in shown
    with pytest.raises(UsageError, match="NAME=VALUE"):
        run("info", "--graph", "merged", "--option", "sources")
    with pytest.raises(UsageError, match="cannot be opened like this"):
        run("info", "--graph", "merged")


def test_a_graph_is_exported_with_its_qualifiers_and_licence(tmp_path: Path) -> None:
    graph = random_graph(2)
    graph.save(tmp_path / "saved")
    to = tmp_path / "graph.graphml"
    shown = run("export", "--graph", "saved", "--path", str(tmp_path / "saved"), "--to", str(to))
    assert f"{len(graph):,} nodes, {graph.edge_count:,} edges" in shown
    read = nx.read_graphml(to)
    assert set(read) == set(graph.nodes.ids)
    assert read.graph["source"] == graph.info.label
    for head, tail, found in read.edges(data=True):
        node, other = graph.number(head), graph.number(tail)
        relation = found.pop("relation")
        assert graph.has_edge(node, relation, other)
        found.pop("id", None)
        assert found == graph.qualifiers(node, relation, other)


def test_a_part_of_a_graph_is_exported(tmp_path: Path) -> None:
    graph, to = toy_graph(), tmp_path / "part.graphml"
    arguments = ("--graph", "toy", "--around", "ZORI4", "--to", str(to))
    run("export", *arguments, "--hops", "1")
    near = Topology(graph).around(graph.number("TOYGENE:ZORI4"), hops=1, max_nodes=len(graph))
    assert set(nx.read_graphml(to)) == {graph.nodes.ids[node] for node in near.nodes}
    with pytest.raises(UsageError, match="has no entity 'ZORI5'"):
        run("export", "--graph", "toy", "--around", "ZORI5", "--to", str(to))


def test_a_graph_is_exported_as_tables(tmp_path: Path) -> None:
    graph = random_graph(2)
    graph.save(tmp_path / "saved")
    to = tmp_path / "tables"
    run("export", "--graph", "saved", "--path", str(tmp_path / "saved"), "--to", str(to))
    nodes, edges = (pq.read_table(to / f"{name}.parquet") for name in ("nodes", "edges"))
    assert nodes["id"].to_pylist() == list(graph.nodes.ids)
    assert nodes["name"].to_pylist() == list(graph.nodes.names)
    assert edges.num_rows == graph.edge_count
    assert edges.schema.metadata[b"licence"].decode() == graph.info.licence
    for row in edges.to_pylist():
        head, relation, tail = (row.pop(key) for key in ("head", "relation", "tail"))
        found = {name: value for name, value in row.items() if value is not None}
        ends = graph.number(head), graph.number(tail)
        assert found == graph.qualifiers(ends[0], relation, ends[1])
    with pytest.raises(DataError, match="not empty"):
        run("export", "--graph", "toy", "--to", str(to))
