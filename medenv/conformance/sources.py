"""Contracts of graph sources."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from medenv.conformance.report import Check, NotApplicable, holds
from medenv.kg import Documents, Graph
from medenv.kg.graph.archive import fingerprint
from medenv.kg.sources import open_source


class SourceUnderTest:
    """A source with what it is opened with.

    Args:
        name: Its name.
        path: What it reads, or None.
        options: Its keyword arguments.
    """

    def __init__(self, name: str, path: str | None, options: Mapping[str, Any]) -> None:
        self.name, self.path, self.options = name, path, options

    def open(self) -> Graph:
        """Read the graph anew."""
        return open_source(self.name, self.path, self.options)

    @cached_property
    def graph(self) -> Graph:
        """The graph, read once."""
        return self.open()


def it_makes_a_graph(source: SourceUnderTest) -> str:
    """Entities of several kinds, with edges between them."""
    graph = source.graph
    holds(len(graph) > 1, f"expected entities, got {len(graph)}")
    holds(graph.edge_count > 0, "expected edges, got none")
    return f"{len(graph):,} entities of {len(graph.kinds)} kinds, {graph.edge_count:,} edges"


def it_makes_the_same_graph_twice(source: SourceUnderTest) -> str:
    """Questions depend on a seed alone, so the graph may depend on nothing but its files."""
    first, second = fingerprint(source.graph), fingerprint(source.open())
    holds(first == second, f"expected one graph, got {first} and {second}")
    return first


def ids_are_sorted_and_unique(source: SourceUnderTest) -> str:
    """Numbers of nodes follow from the ids."""
    ids = list(source.graph.nodes.ids)
    holds(ids == sorted(ids), "expected ids in their order, got another")
    holds(len({*ids}) == len(ids), "expected each id once")
    holds(all(ids), "expected no empty id")
    return f"{len(ids):,} ids"


def every_entity_has_a_name(source: SourceUnderTest) -> str:
    """Questions and documents call entities by their names."""
    nodes = source.graph.nodes
    bare = [node for node, name in zip(nodes.ids, nodes.names, strict=True) if not name.strip()]
    holds(not bare, f"expected a name of each entity, none of {', '.join(bare[:3])}")
    return f"{len(nodes.ids):,} names"


def edges_lead_both_ways(source: SourceUnderTest) -> str:
    """Each relation has its inverse, with the same pairs."""
    graph = source.graph
    for relation in graph.relations.values():
        there, back = graph.rows[relation.name], graph.rows[relation.inverse]
        heads = np.repeat(np.arange(len(graph)), np.diff(there.starts))
        tails = np.repeat(np.arange(len(graph)), np.diff(back.starts))
        forward = {*zip(heads.tolist(), there.tails.tolist(), strict=True)}
        backward = {*zip(back.tails.tolist(), tails.tolist(), strict=True)}
        holds(
            forward == backward,
            f"expected the pairs of {relation.name} in {relation.inverse}, "
            f"{len(forward ^ backward):,} stand in one alone",
        )
    return f"{len(graph.relations)} relations"


def terms_are_stated(source: SourceUnderTest) -> str:
    """Users of the data need its terms of use."""
    info = source.graph.info
    holds(bool(info.source), "expected the name of the source")
    holds(bool(info.version), "expected a version or date of the source")
    holds(bool(info.licence), "expected the terms of use (GraphInfo.licence)")
    return f"{info.label}, {info.licence[:60]}"


def it_is_saved_and_read_back(source: SourceUnderTest) -> str:
    """Question sets hold a copy of their graph."""
    with tempfile.TemporaryDirectory() as folder:
        source.graph.save(Path(folder) / "graph")
        again = Graph.load(Path(folder) / "graph")
    holds(fingerprint(again) == fingerprint(source.graph), "expected the same graph, got another")
    return "the same"


def it_is_told_in_documents(source: SourceUnderTest) -> str:
    """Facts that are asked about are stated in documents."""
    graph = source.graph
    if not graph.factual:
        raise NotApplicable("no relation is a fact that is asked")
    passages = Documents(graph).passages
    holds(bool(passages), "expected passages, got none")
    return f"{len(passages):,} passages"


CHECKS: tuple[Check[SourceUnderTest], ...] = (
    it_makes_a_graph,
    it_makes_the_same_graph_twice,
    ids_are_sorted_and_unique,
    every_entity_has_a_name,
    edges_lead_both_ways,
    terms_are_stated,
    it_is_saved_and_read_back,
    it_is_told_in_documents,
)
