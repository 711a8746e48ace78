"""Certificates: the proof that a question has the answers it claims, made and checked again.

Everything in a certificate is recomputed from the graph and the documents rendered from it, so
`verify` needs no trust in whoever wrote the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from typing import Any

import msgspec
import numpy as np

from medenv.errors import UsageError
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph
from medenv.kg.patterns import walk
from medenv.kg.wording import mentions
from medenv.records import Certificate, Hop, Question, Retriever

SEARCH_DEPTH = 10
"""How many results of a search are looked through for `Certificate.search_rank`."""


def certify(documents: Documents, topic: int, relations: Sequence[str]) -> Certificate:
    """Prove that a walk from a topic has exactly one outcome at every step.

    Args:
        documents: The documents, with the graph that they are rendered from.
        topic: The node that the question names.
        relations: The relations to walk.

    Raises:
        UsageError: A step has no outcome or several, or a hop is not stated in any passage.
    """
    graph = documents.graph
    ids = graph.nodes.ids
    path = [topic]
    for relation, reached in zip(relations, walk(graph, topic, relations), strict=True):
        if reached.size != 1:
            raise UsageError(
                f"{ids[topic]}: {relation} leads to {reached.size} entities, expected exactly 1"
            )
        path.append(int(reached[0]))
    hops = tuple(
        _hop(documents, head, relation, tail)
        for relation, (head, tail) in zip(relations, pairwise(path), strict=True)
    )
    answers = (path[-1],)
    return Certificate(
        query=["walk", ids[topic], list(relations)],
        answers=tuple(ids[answer] for answer in answers),
        path=hops,
        min_hops=_distance(graph, topic, answers[0], limit=len(hops)),
        min_calls=_fewest(hop.passages for hop in hops),
        chance=_chance(graph, answers, relations[-1]),
        shortcuts=_shortcuts(graph, topic, answers[0], hops),
    )


def _hop(documents: Documents, head: int, relation: str, tail: int) -> Hop:
    ids = documents.graph.nodes.ids
    passages = documents.supporting(ids[head], relation, ids[tail])
    if not passages:
        raise UsageError(f"no passage states that {ids[head]} {relation} {ids[tail]}")
    return Hop(head=ids[head], relation=relation, tail=ids[tail], passages=passages)


def _distance(graph: Graph, start: int, goal: int, limit: int) -> int:
    """Return the fewest factual edges between two nodes, at most `limit` (breadth first)."""
    seen = frontier = {start}
    for hops in range(limit):
        if goal in frontier:
            return hops
        tails = [graph.step(node, name) for node in sorted(frontier) for name in graph.factual]
        frontier = set(np.concatenate(tails).tolist()) - seen if tails else set()
        seen = seen | frontier
    return limit


def _fewest(passages_of_hops: Iterable[tuple[str, ...]]) -> int:
    """Return the size of the smallest set of passages that states every hop, by trying them all."""
    needed = [set(passages) for passages in passages_of_hops]
    choices = sorted(set().union(*needed))
    for size in range(1, len(needed)):
        for chosen in combinations(choices, size):
            if all(not hop.isdisjoint(chosen) for hop in needed):
                return size
    return len(needed)


def _chance(graph: Graph, answers: Iterable[int], relation: str) -> float:
    """Return the chance to guess an answer when entities are drawn by their number of edges."""
    degrees = graph.degrees(graph.inverses[relation])
    return sum(int(degrees[answer]) for answer in answers) / int(degrees.sum())


def _shortcuts(graph: Graph, topic: int, answer: int, hops: tuple[Hop, ...]) -> tuple[str, ...]:
    gold = {hops[0].relation} if len(hops) == 1 else set()
    return tuple(
        name
        for name in sorted(graph.rows)
        if name not in gold and graph.has_edge(topic, name, answer)
    )


def search_rank(certificate: Certificate, text: str, retriever: Retriever) -> int | None:
    """Return the 1-based rank of the first result that states the last hop, or None.

    Args:
        certificate: The question's certificate.
        text: The question's text, which is the query.
        retriever: Searched for the first `SEARCH_DEPTH` results.

    Raises:
        CorpusUnavailableError: The retriever did not answer.
    """
    (results,) = retriever.search([text], SEARCH_DEPTH)
    wanted = set(certificate.path[-1].passages)
    return next((rank for rank, (p, _) in enumerate(results, start=1) if p.id in wanted), None)


def leaks(graph: Graph, certificate: Certificate, text: str) -> tuple[str, ...]:
    """Return the names and aliases of the path's entities, save the topic, that a text mentions."""
    names: list[str] = []
    for hop in certificate.path:
        entity = graph.entity(graph.number(hop.tail))
        names += [entity.name, *entity.aliases]
    return mentions(text, names)


def verify(question: Question, graph: Graph, retriever: Retriever | None = None) -> list[str]:
    """Check a question against the graph, from nothing but its topic and its query.

    Args:
        question: The question.
        graph: The graph that it claims to be about.
        retriever: Where given, the search rank is checked too.

    Returns:
        What is wrong, one line each; empty where everything is proved.
    """
    try:
        topic, relations = _query(question.certificate.query)
        proof = certify(Documents(graph), graph.number(topic), relations)
    except UsageError as error:
        return [str(error)]
    if retriever is None:
        proof = msgspec.structs.replace(proof, search_rank=question.certificate.search_rank)
    else:
        rank = search_rank(proof, question.text, retriever)
        proof = msgspec.structs.replace(proof, search_rank=rank)
    problems = [
        f"{field} is {claimed!r}, the graph says {proved!r}"
        for field in Certificate.__struct_fields__
        if (claimed := getattr(question.certificate, field)) != (proved := getattr(proof, field))
    ]
    return problems + _claims(question, graph, proof)


def _query(query: list[Any]) -> tuple[str, list[str]]:
    match query:
        case ["walk", str(topic), [_, *_] as relations] if all(
            isinstance(relation, str) for relation in relations
        ):
            return topic, relations
    raise UsageError(f"expected the query ['walk', topic, [relation, ...]], got {query!r}")


def _claims(question: Question, graph: Graph, proof: Certificate) -> list[str]:
    """Check what the question says of itself outside its certificate."""
    path = [proof.path[0].head, *(hop.tail for hop in proof.path)]
    kind = ">".join(graph.kind(graph.number(entity)) for entity in path)
    topic = graph.entity(graph.number(path[0]))
    answers = tuple(graph.entity(graph.number(answer)) for answer in proof.answers)
    checks = {
        f"kind is {question.kind!r}, the path has {kind!r}": question.kind == kind,
        f"topic is {question.topic.id!r}, the graph has {topic!r}": question.topic == topic,
        f"answers differ from the graph's {answers!r}": question.answers == answers,
        f"source is {question.source!r}, the graph is {graph.info.label!r}": (
            question.source == graph.info.label
        ),
        f"the text does not name {topic.name!r}": topic.name in question.text,
    }
    problems = [problem for problem, holds in checks.items() if not holds]
    found = leaks(graph, proof, question.text)
    return problems + [f"the text gives away {name!r}" for name in found]
