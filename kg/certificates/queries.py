"""Typed queries of questions and their outcomes.

A query is a nested list, which is stored as JSON with its question:

    ["walk", topic, [relation, ...]]              follow relations; one outcome at every step
    ["chain", root, [[relation, [clue, ...]], ...]]   the same, each step singled out by its clues
                                                  among entities that the chain has not met yet
    ["where", kind, [clue, ...]]                  all entities of a kind that fit every clue
    ["value", head, relation, tail, qualifier]    what an edge's qualifier says
    ["most", relation, tail, [head, ...]]         whose edge to a tail has the highest frequency,
                                                  by Fisher's exact test

    root:  entity | ["described", entity] | ["where", kind, [clue, ...]]
    clue:  [relation, entity]

Entities are ids. A clue holds for all targets of the inverse relation from its entity, including
those entailed through subtypes (`ENTAILED_THROUGH`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from medenv.errors import UsageError
from medenv.kg.certificates.conditions import Clue, fitting, inverse, narrow, reach, read_clues
from medenv.kg.documents.frequencies import more_frequent, patients
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.schema import IS_A
from medenv.kg.graph.systems import systems
from medenv.kg.graph.traversal import walk

Edge = tuple[int, str, int]
"""Head, relation, tail."""


class Outcome(NamedTuple):
    """The answers of a query and the edges that lead to them.

    Args:
        topic: The topic node of the question.
        answers: Answer nodes, ascending; empty if the answer is a value.
        value: The answer if it is not a node, e.g. ``"3"``.
        path: The gold path, or all edges that lead to unordered answers.
        clues: Edges of clues outside the path.
        named: Nodes that the question must name.
        hidden: Nodes that the question must not name.
        last: The relation that leads to the answers.
        choices: Number of choices offered by the question, or 0.
        enough: Whether the clues on the answer identify it without the path.
    """

    topic: int
    answers: tuple[int, ...]
    value: str
    path: tuple[Edge, ...]
    clues: tuple[Edge, ...]
    named: tuple[int, ...]
    hidden: tuple[int, ...]
    last: str
    choices: int = 0
    enough: bool = False


@lru_cache(maxsize=4)
def _definition_counts(graph: Graph) -> Counter[str]:
    """Return the number of nodes with each definition."""
    return Counter(graph.nodes.texts)


def evaluate(graph: Graph, query: list[Any]) -> Outcome:
    """Evaluate a query on the graph.

    Raises:
        UsageError: The query is invalid, refers to an unknown entity, or does not lead to exactly
            one entity where required.
    """
    match query:
        case ["walk", str(topic), [_, *_] as relations] if _texts(relations):
            return _walk(graph, graph.number(topic), relations)
        case ["chain", root, [_, *_] as steps]:
            return _chain(graph, root, steps)
        case ["where", str(kind), [_, *_] as clues]:
            return _where(graph, kind, read_clues(graph, clues))
        case ["value", str(head), str(relation), str(tail), str(qualifier)]:
            return _value(graph, (graph.number(head), relation, graph.number(tail)), qualifier)
        case ["most", str(relation), str(tail), [_, _, *_] as heads] if _texts(heads):
            return _most(graph, relation, graph.number(tail), [graph.number(h) for h in heads])
    raise UsageError(
        f"expected the query ['walk', topic, [relation, ...]] or another, got {query!r}"
    )


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _only(found: IntArray, start: str, relation: str) -> int:
    if found.size != 1:
        raise UsageError(f"{start}: {relation} leads to {found.size} entities, expected exactly 1")
    return int(found[0])


def _walk(graph: Graph, topic: int, relations: list[str]) -> Outcome:
    path = [topic]
    for relation, found in zip(relations, walk(graph, topic, relations), strict=True):
        path.append(_only(found, graph.nodes.ids[topic], relation))
    edges = tuple(zip(path, relations, path[1:], strict=False))
    hidden = tuple(path[1:])
    return Outcome(topic, (path[-1],), "", edges, (), (topic,), hidden, relations[-1])


def _chain(graph: Graph, root: Any, steps: list[Any]) -> Outcome:
    topic, clues, named, hidden = _root(graph, root)
    path = [topic]
    edges: list[Edge] = []
    stated = stated_edges(graph, topic, clues)
    for step in steps:
        match step:
            case [str(relation), list(written)]:
                clues = read_clues(graph, written)
            case _:
                raise UsageError(f"expected the step [relation, [clue, ...]], got {step!r}")
        found = candidates(graph, path, relation)
        for clue in clues:
            found = narrow(graph, found, clue)
        node = _only(found, graph.nodes.ids[path[-1]], relation)
        edges.append((path[-1], relation, node))
        stated += stated_edges(graph, node, clues)
        named += [clue.entity for clue in clues]
        path.append(node)
    alone = len(clues) > 0 and fitting(graph, graph.kind(node), clues).size == 1
    return Outcome(
        topic,
        (node,),
        "",
        tuple(edges),
        tuple(stated),
        tuple(dict.fromkeys(named)),
        tuple(dict.fromkeys([*hidden, *path[1:]])),
        relation,
        enough=alone,
    )


def candidates(graph: Graph, path: Sequence[int], relation: str) -> IntArray:
    """Return the candidates of a chain's next step: targets of the relation that are not visited.

    Args:
        graph: The graph.
        path: The nodes so far.
        relation: The relation of the next step.
    """
    found: IntArray = reach(graph, path[-1], relation)
    for node in path:
        position = bisect_left(found, node)
        if position < found.size and found[position] == node:
            found = found[found != node]
    return found


def _root(graph: Graph, root: Any) -> tuple[int, list[Clue], list[int], list[int]]:
    """Return the root node, its clues, the nodes to name, and the node itself if it is hidden."""
    match root:
        case str(entity):
            node = graph.number(entity)
            return node, [], [node], []
        case ["described", str(entity)]:
            node = graph.number(entity)
            text = graph.nodes.texts[node]
            if not text or _definition_counts(graph)[text] != 1:
                raise UsageError(f"{entity} has no description of its own")
            return node, [], [], [node]
        case ["where", str(kind), [_, *_] as written]:
            clues = read_clues(graph, written)
            node = _only(fitting(graph, kind, clues), kind, "the description")
            return node, clues, [clue.entity for clue in clues], [node]
    raise UsageError(f"expected a root such as an entity id, got {root!r}")


def stated_edges(graph: Graph, node: int, clues: Sequence[Clue]) -> list[Edge]:
    """Return the edges by which a node fits its clues.

    An entailed edge is that of the subtype, except to a system of the body, which documents state.
    """
    edges = []
    for clue in clues:
        if graph.has_edge(node, clue.relation, clue.entity) or clue.entity in systems(graph):
            edges.append((node, clue.relation, clue.entity))
            continue
        if IS_A.inverse in graph.rows:
            below = reach(graph, clue.entity, IS_A.inverse)
            direct = np.intersect1d(graph.step(node, clue.relation), below)
            edges += [(node, clue.relation, int(tail)) for tail in direct[:1]]
    return edges


def _where(graph: Graph, kind: str, clues: list[Clue]) -> Outcome:
    answers = fitting(graph, kind, clues)
    if not answers.size:
        raise UsageError(f"no {kind} fits all {len(clues)} clues, expected at least 1")
    edges = [
        (edge[2], inverse(graph, edge[1]), edge[0])
        for answer in answers.tolist()
        for edge in stated_edges(graph, answer, clues)
    ]
    named = [clue.entity for clue in clues]
    return Outcome(
        clues[0].entity,
        tuple(answers.tolist()),
        "",
        tuple(edges),
        (),
        tuple(dict.fromkeys(named)),
        tuple(answers.tolist()),
        inverse(graph, clues[0].relation),
    )


def _value(graph: Graph, edge: Edge, qualifier: str) -> Outcome:
    head, relation, tail = edge
    value = graph.qualifiers(head, relation, tail).get(qualifier, "")
    if not value or "|" in value:
        problem = "several values" if value else "no value"
        raise UsageError(f"{graph.nodes.ids[head]} {relation}: {problem} of {qualifier!r}")
    return Outcome(head, (), value, (edge,), (), (head, tail), (), relation)


def _most(graph: Graph, relation: str, tail: int, heads: list[int]) -> Outcome:
    values = [graph.qualifiers(head, relation, tail).get("frequency", "") for head in heads]
    counted = [patients(value) for value in values]
    known = sorted((one for one in counted if one), key=lambda one: -one[0] / one[1])
    if len(known) != len(heads) or not all(more_frequent(known[0], one) for one in known[1:]):
        raise UsageError(f"no significantly highest frequency among {len(heads)} edges to compare")
    best = heads[counted.index(known[0])]
    edges = tuple((tail, inverse(graph, relation), head) for head in heads)
    named = (tail, *heads)
    return Outcome(
        tail, (best,), "", edges, (), named, (), inverse(graph, relation), choices=len(heads)
    )
