"""How hard a question is for three solvers that need no model: guess, search once, hop greedily."""

from __future__ import annotations

import math
from collections.abc import Sequence

from medenv.kg.certificates.conditions import fitting, inverse, reach, read_clues
from medenv.kg.certificates.queries import Outcome, candidates
from medenv.kg.graph import Graph
from medenv.records import Passage, Question

HARDEST = 20.0
"""Bits of luck at which a question is as hard as can be: one chance in a million."""


def grade(
    graph: Graph, question: Question, outcome: Outcome, results: Sequence[Passage]
) -> dict[str, float]:
    """Return each solver's chance to be right.

    Args:
        graph: The graph.
        question: The question, with its certificate.
        outcome: What `evaluate` made of its query.
        results: What one search with the question's text found, best first.

    Returns:
        ``closed_book``: a guess by number of edges, or the best constant answer. ``one_search``:
        the first result that is of the answer's kind and not named in the question (of a list, as
        many as there are answers), or, for a number, the first result at all. ``greedy_hops``:
        following the relations but none of the clues, from the topic if it is named, else from the
        first result of the topic's kind.
    """
    return {
        "closed_book": _closed_book(graph, question, outcome),
        "one_search": _one_search(graph, question, outcome, results),
        "greedy_hops": _greedy(graph, question, outcome, results),
    }


def difficulty(grades: dict[str, float]) -> float:
    """Return how many bits of luck the best solver needs, as a share of `HARDEST`, in [0, 1].

    Args:
        grades: What `grade` returned.
    """
    best = max(grades.values())
    return 1.0 if best <= 0 else min(1.0, max(0.0, -math.log2(best)) / HARDEST)


def _closed_book(graph: Graph, question: Question, outcome: Outcome) -> float:
    """Return the chance of a guess from memory: of one entity by its number of edges."""
    if outcome.choices or len(outcome.answers) != 1:
        return question.proof.chance
    degrees = graph.degrees(inverse(graph, outcome.last))
    return int(degrees[outcome.answers[0]]) / int(degrees.sum())


def _one_search(
    graph: Graph, question: Question, outcome: Outcome, results: Sequence[Passage]
) -> float:
    if not outcome.answers:
        stated = set().union(*(set(hop.passages) for hop in question.proof.path))
        return float(bool(results) and results[0].id in stated)
    kind = graph.kind(outcome.answers[0])
    named = {graph.nodes.ids[node] for node in outcome.named} if not outcome.choices else set()
    guesses = _of_kind(graph, results, kind, named)[: len(outcome.answers)]
    return float(set(guesses) == set(question.proof.answers))


def _of_kind(graph: Graph, results: Sequence[Passage], kind: str, without: set[str]) -> list[str]:
    """Return the entities that results are about, in order, those of a kind."""
    found = dict.fromkeys(p.entity for p in results if p.entity and p.entity not in without)
    return [entity for entity in found if graph.kind(graph.number(entity)) == kind]


def _greedy(
    graph: Graph, question: Question, outcome: Outcome, results: Sequence[Passage]
) -> float:
    query = question.proof.query
    if outcome.choices:
        return 1 / outcome.choices
    if not outcome.answers:
        return 1.0
    if query[0] == "where":
        positive = [c for c in read_clues(graph, query[2]) if c.entity >= 0 and not c.negated]
        sizes = [fitting(graph, query[1], [clue]).size for clue in positive]
        return len(outcome.answers) / min(sizes)
    chance = 1.0
    if outcome.topic not in outcome.named:
        first = _of_kind(graph, results, graph.kind(outcome.topic), set())[:1]
        chance = float(first == [graph.nodes.ids[outcome.topic]])
    path = [outcome.topic]
    for _, relation, tail in outcome.path:
        found = reach(graph, path[-1], relation)
        if query[0] == "chain":
            found = candidates(graph, path, relation)
        chance /= found.size
        path.append(tail)
    return chance
