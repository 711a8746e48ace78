"""Data for drawings: the neighbourhood of a node with its longest chain, or a question's edges."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from medenv.kg.graph import Graph
from medenv.kg.graph.topology import Topology, longest_chain
from medenv.records import Question

FAN = 20
"""Maximum number of neighbours to follow from each node, rarest first, for a legible drawing."""


class Picture(TypedDict):
    """A drawing: nodes as [id, name, kind], edges as [from, to, relation] by index in `nodes`.

    `chain` lists the indices of the nodes of the highlighted path in order; `proved` is true if no
    longer chain starts there.
    """

    nodes: list[list[str]]
    edges: list[tuple[int, int, str]]
    chain: list[int]
    proved: bool


def neighbourhood(
    graph: Graph, node: int, *, hops: int = 2, max_nodes: int = 80, max_degree: int = 200
) -> Picture:
    """Return the neighbourhood of a node, with the longest chain from it.

    Neighbours of each kind take turns, the rare ones first, so that many of one kind leave room for
    the others.

    Args:
        graph: The graph.
        node: The centre.
        hops: Maximum distance from the centre.
        max_nodes: Maximum number of nodes.
        max_degree: Maximum number of factual edges of a node other than the centre.
    """
    topology = Topology(graph, max(max_degree, int(graph.degrees()[node])))
    chosen, frontier = {node: None}, [node]
    for _ in range(hops):
        near = [tail for one in frontier for tail in _by_turns(topology, one)[:FAN]]
        frontier = [tail for tail in dict.fromkeys(near) if tail not in chosen]
        frontier = [t for t in frontier if topology.degrees[t] <= max_degree]
        frontier = frontier[: max_nodes - len(chosen)]
        chosen |= dict.fromkeys(frontier)
    around = topology.induced(np.fromiter(chosen, dtype=np.int32, count=len(chosen)))
    chain = longest_chain(around)
    place = {int(n): i for i, n in enumerate(around.nodes)}
    edges = [
        (i, place[int(tail)], relation)
        for n, i in place.items()
        for relation in graph.relations
        if graph.relations[relation].factual
        for tail in graph.step(n, relation)
        if int(tail) in place
    ]
    return Picture(
        nodes=[_node_row(graph, n) for n in place],
        edges=edges,
        chain=[place[n] for n in chain.nodes],
        proved=chain.proved,
    )


def _by_turns(topology: Topology, node: int) -> list[int]:
    """Return a node's neighbours, one of each kind at a time."""
    kinds: dict[str, list[int]] = {}
    for tail in topology.neighbours(node).tolist():
        kinds.setdefault(topology.graph.kind(tail), []).append(tail)
    turns = itertools.zip_longest(*(kinds[kind] for kind in sorted(kinds)))
    return [tail for turn in turns for tail in turn if tail is not None]


def pictured(graph: Graph, question: Question) -> Picture:
    """Return a question's gold path and clues.

    Args:
        graph: The graph.
        question: The question.
    """
    proof = question.proof
    place: dict[int, int] = {}
    edges = []
    for hop in (*proof.path, *proof.clues):
        ends = [graph.number(end) for end in (hop.head, hop.tail)]
        head, tail = (place.setdefault(end, len(place)) for end in ends)
        edges.append((head, tail, hop.relation))
    chain = [graph.number(proof.path[0].head), *(graph.number(h.tail) for h in proof.path)]
    ordered = proof.query[0] in ("walk", "chain")
    return Picture(
        nodes=[_node_row(graph, n) for n in place],
        edges=edges,
        chain=[place[n] for n in chain] if ordered else [],
        proved=True,
    )


def _node_row(graph: Graph, node: int) -> list[str]:
    return [graph.nodes.ids[node], graph.nodes.names[node], graph.kind(node)]


class Catalogue(TypedDict):
    """Questions with their pictures, over a common list of nodes.

    Every question is [id, text, kind, specialty, hops, level, difficulty, answers, reasoning,
    edges, chain]; its edges are [from, to, relation] and its chain a list, both by index in
    `nodes`, relations by index in `relations`.
    """

    nodes: list[list[str]]
    relations: list[str]
    questions: list[list[object]]


def catalogue(graph: Graph, questions: Sequence[Question]) -> Catalogue:
    """Return the data of a page that browses questions.

    Args:
        graph: The graph.
        questions: The questions.
    """
    numbers: dict[str, int] = {}
    nodes: list[list[str]] = []
    relations: dict[str, int] = {}
    rows: list[list[object]] = []
    for question in questions:
        picture = pictured(graph, question)
        for node in picture["nodes"]:
            if node[0] not in numbers:
                numbers[node[0]] = len(nodes)
                nodes.append(node)
        places = [numbers[node[0]] for node in picture["nodes"]]
        edges = [
            [places[head], places[tail], relations.setdefault(relation, len(relations))]
            for head, tail, relation in picture["edges"]
        ]
        row: list[object] = [question.id, question.text, question.kind, question.specialty]
        row += [len(question.proof.path), question.level, question.difficulty]
        row += [[answer.name for answer in question.answers], question.reasoning]
        rows.append([*row, edges, [places[place] for place in picture["chain"]]])
    return Catalogue(nodes=nodes, relations=list(relations), questions=rows)


def terms(graph: Graph) -> str:
    """Return source, version and licence on one line.

    Args:
        graph: The graph.
    """
    info = graph.info
    return " ".join(part for part in (f"{info.label}.", info.acknowledgement, info.licence) if part)
