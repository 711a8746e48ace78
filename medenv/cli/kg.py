"""Commands that inspect, draw and export knowledge graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medenv.cli.options import named_options
from medenv.errors import UsageError, require
from medenv.retrieval.names import alike
from medenv.text import fold

if TYPE_CHECKING:
    from medenv.kg.graph import Graph

kg_app = typer.Typer(no_args_is_help=True, help="Inspect and export knowledge graphs.")

_Graph = Annotated[
    str, typer.Option("--graph", help="Source of the graph: hpo, atlas, toy, saved, ...")
]
_Path = Annotated[str | None, typer.Option(help="Path of the source's files, if needed.")]
_Namespace = Annotated[list[str] | None, typer.Option(help="Disease namespaces of the HPO.")]
_Options = Annotated[
    list[str] | None,
    typer.Option("--option", help="Option of the source, NAME=VALUE, values in JSON."),
]


def register(app: typer.Typer) -> None:
    """Register the commands.

    Args:
        app: The main application.
    """
    from medenv.cli import questions as cli_questions

    app.add_typer(kg_app, name="kg")
    cli_questions.register(app)


def _open(
    source: str,
    path: str | None,
    namespace: list[str] | None = None,
    option: list[str] | None = None,
) -> Graph:
    from medenv.kg.sources import open_source

    namespaces = {"namespaces": namespace} if namespace else {}
    return open_source(source, path, named_options(option) | namespaces)


@kg_app.command("info")
def info(
    source: _Graph = "hpo",
    path: _Path = None,
    namespace: _Namespace = None,
    option: _Options = None,
) -> None:
    """Show a graph's version, licence, counts and degrees."""
    import numpy as np

    from medenv.kg.graph.specialties import SPECIALTIES, Specialties

    graph = _open(source, path, namespace, option)
    console = Console()
    console.print(
        f"[bold]{escape(graph.info.label)}[/]: {len(graph):,} nodes, {graph.edge_count:,} edges"
    )
    percentiles = (0, 10, 25, 50, 75, 90, 99, 100)
    table = Table("kind", "nodes", *(f"p{p}" for p in percentiles), title="degrees by kind")
    degrees = graph.degrees()
    for kind in graph.kinds:
        nodes = graph.of_kind(kind)
        values = np.percentile(degrees[nodes], percentiles)
        table.add_row(kind, f"{nodes.size:,}", *(f"{value:,.0f}" for value in values))
    console.print(table)
    edges = Table("relation", "edges", "qualifiers")
    for name in graph.relations:
        qualifiers = ", ".join(graph.columns.get(name, {}))
        edges.add_row(name, f"{graph.rows[name].tails.size:,}", qualifiers)
    console.print(edges)
    numbers = Specialties(graph).numbers
    if (numbers >= 0).any():
        specialties = Table("specialty", "branches", "nodes")
        for code, (name, roots) in enumerate(SPECIALTIES.items()):
            specialties.add_row(name, ", ".join(roots), f"{int((numbers == code).sum()):,}")
        console.print(specialties)
    for name, count in graph.info.notes.items():
        console.print(f"{escape(name)}: {count:,}", soft_wrap=True)
    console.print(escape(graph.info.acknowledgement), soft_wrap=True)
    console.print(escape(graph.info.licence), soft_wrap=True)


@kg_app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name, alias or id of an entity.")],
    hops: Annotated[int, typer.Option(help="Maximum distance from the entity.")] = 2,
    max_nodes: Annotated[int, typer.Option(help="Maximum number of entities.")] = 80,
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    source: _Graph = "hpo",
    path: _Path = None,
) -> None:
    """Draw the neighbourhood of an entity, with its longest chain, as one HTML page."""
    from medenv.kg.graph.pictures import neighbourhood, terms
    from medenv.report.explorer import write_explorer

    graph = _open(source, path)
    node = find(graph, name)
    picture = neighbourhood(graph, node, hops=hops, max_nodes=max_nodes)
    entity = graph.entity(node)
    target = out or Path(f"{entity.id.replace(':', '_')}.html")
    lead = f"{entity.kind} {entity.id}: up to {hops} hops, rare neighbours first, hubs left out."
    write_explorer(target, entity.name, lead, terms(graph), picture)
    Console().print(
        f"wrote {target}: {len(picture['nodes'])} entities, "
        f"longest chain {len(picture['chain']) - 1} hops",
        soft_wrap=True,
    )


@kg_app.command("export")
def export(
    to: Annotated[
        Path, typer.Option(help="A file such as graph.graphml, or a folder for Parquet.")
    ],
    around: Annotated[str | None, typer.Option(help="Only what lies around this entity.")] = None,
    hops: Annotated[int, typer.Option(help="How far around it.", min=1)] = 2,
    source: _Graph = "hpo",
    path: _Path = None,
    option: _Options = None,
) -> None:
    """Write a graph as GraphML (networkx, Gephi, Cytoscape, igraph) or as two Parquet tables."""
    require("networkx", "analysis", "exports of graphs")
    import networkx as nx  # type: ignore[import-untyped]  # ships no types

    from medenv.io import atomic_folder, atomic_path
    from medenv.kg.graph.topology import Topology

    graph = _open(source, path, option=option)
    nodes = None
    if around is not None:
        part = Topology(graph).around(find(graph, around), hops=hops, max_nodes=len(graph))
        nodes = part.nodes.tolist()
    exported = graph.to_networkx(nodes)
    if to.suffix:
        with atomic_path(to) as partial:
            nx.write_graphml(exported, partial, named_key_ids=True)
    else:
        try:
            from medenv.kg.graph.tables import write_tables
        except ImportError as error:
            raise UsageError(f"{error}: install pyarrow, or write a file .graphml") from error
        with atomic_folder(to) as folder:
            write_tables(exported, folder)
    Console().print(
        f"wrote {to}: {exported.number_of_nodes():,} nodes, {exported.number_of_edges():,} edges",
        soft_wrap=True,
    )


def find(graph: Graph, name: str) -> int:
    """Return the node with a name, alias or id.

    Args:
        graph: The graph.
        name: The name, alias or id.

    Raises:
        UsageError: No entity or several entities have the name.
    """
    nodes = graph.find(name)
    if not nodes and ":" in name:
        return graph.number(name)
    if not nodes:
        places = alike(name, [fold(known) for known in graph.nodes.names])
        near = " or ".join(repr(graph.nodes.names[place]) for place in places)
        hint = f"; did you mean {near}?" if near else ""
        raise UsageError(f"{graph.info.label} has no entity {name!r}{hint}")
    if len(nodes) > 1:
        ids = ", ".join(f"{graph.nodes.ids[n]} ({graph.kind(n)})" for n in nodes)
        raise UsageError(f"several entities have the name {name!r}, use an id: {ids}")
    return nodes[0]
