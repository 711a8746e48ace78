"""What pages and terminals draw: a neighbourhood with its longest chain, a question's own edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from medenv.kg.graph import Graph
from medenv.kg.graph.chains import longest_chain
from medenv.kg.graph.topology import Topology
from medenv.records import Question

FAN = 20
"""Neighbours followed from each node, the rarest; more cannot be told apart in a drawing."""


class Picture(TypedDict):
    """A drawing: nodes as [id, name, kind], edges as [from, to, relation] by place in `nodes`.

    `chain` lists the places of the nodes of the highlighted path, in its order; `proved` says
    whether no longer chain begins there.
    """

    nodes: list[list[str]]
    edges: list[tuple[int, int, str]]
    chain: list[int]
    proved: bool


def neighbourhood(
    graph: Graph, node: int, *, hops: int = 2, max_nodes: int = 80, max_degree: int = 200
) -> Picture:
    """Return what lies around a node, rare neighbours first, with the longest chain from it.

    Args:
        graph: The graph.
        node: The node in the middle.
        hops: How far around it.
        max_nodes: Most nodes.
        max_degree: Nodes of more factual edges are left out.
    """
    topology = Topology(graph, max_degree)
    around = topology.around(node, hops=hops, max_nodes=max_nodes, fan=FAN)
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
        nodes=[_told(graph, n) for n in place],
        edges=edges,
        chain=[place[n] for n in chain.nodes],
        proved=chain.proved,
    )


def pictured(graph: Graph, question: Question) -> Picture:
    """Return a question's gold path and the clues beside it.

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
        nodes=[_told(graph, n) for n in place],
        edges=edges,
        chain=[place[n] for n in chain] if ordered else [],
        proved=True,
    )


def _told(graph: Graph, node: int) -> list[str]:
    return [graph.nodes.ids[node], graph.nodes.names[node], graph.kind(node)]


class Catalogue(TypedDict):
    """Many questions with their pictures, each node once.

    Every question is [id, text, kind, specialty, hops, level, difficulty, answers, reasoning,
    edges, chain]; its edges are [from, to, relation] and its chain a list, both by place in
    `nodes`, relations by place in `relations`.
    """

    nodes: list[list[str]]
    relations: list[str]
    questions: list[list[object]]


def catalogue(graph: Graph, questions: Sequence[Question]) -> Catalogue:
    """Return questions for a page that browses them.

    Args:
        graph: The graph.
        questions: The questions.
    """
    nodes: dict[str, int] = {}
    told: list[list[str]] = []
    relations: dict[str, int] = {}
    rows: list[list[object]] = []
    for question in questions:
        picture = pictured(graph, question)
        for node in picture["nodes"]:
            if node[0] not in nodes:
                nodes[node[0]] = len(told)
                told.append(node)
        places = [nodes[node[0]] for node in picture["nodes"]]
        edges = [
            [places[head], places[tail], relations.setdefault(relation, len(relations))]
            for head, tail, relation in picture["edges"]
        ]
        row: list[object] = [question.id, question.text, question.kind, question.specialty]
        row += [len(question.proof.path), question.level, question.difficulty]
        row += [[answer.name for answer in question.answers], question.reasoning]
        rows.append([*row, edges, [places[place] for place in picture["chain"]]])
    return Catalogue(nodes=told, relations=list(relations), questions=rows)


def terms(graph: Graph) -> str:
    """Return source, version and terms as one line.

    Args:
        graph: The graph.
    """
    info = graph.info
    return " ".join(part for part in (f"{info.label}.", info.acknowledgement, info.licence) if part)
