"""The share of a kind of questions that one constant answer gets right, and how it is kept low.

The best constant answer is the baseline of all others: where four of ten findings occur in every
patient on record, "100%" is right without any research. `Certificate.chance` states its share.
Numbers and attributes are drawn evenly: a common one is kept less often (`Pool.weights`), and a set
takes no more of it than `MAX_SHARE` of the questions of its kind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from medenv.kg.certificates.conditions import inverse
from medenv.kg.certificates.queries import Outcome
from medenv.kg.documents.frequencies import bounds, coarsest
from medenv.kg.graph import Graph
from medenv.kg.graph.schema import ATTRIBUTES
from medenv.kg.graph.traversal import unique_paths
from medenv.records import Question

MAX_SHARE = 0.1
"""Greatest share of a kind of questions that one number or attribute may answer, where the graph
has as many different ones."""

COUNTABLE = range(2, 41)
"""Numbers that a question asks to count to."""

LISTABLE = range(2, 7)
"""Numbers of answers that a list question has."""

_DRAWN_EVENLY = {"value", "prevalence", *ATTRIBUTES} - {"phenotype"}


class Pool(NamedTuple):
    """The answers that a kind of question can have.

    Attributes:
        best: Share of the best constant answer among the questions that are kept.
        weights: Chance with which a question of that answer is kept, in (0, 1].
    """

    best: float
    weights: Mapping[str, float]


def _pool(sizes: Mapping[str, float], *, evenly: bool) -> Pool:
    """Return a pool; drawn evenly, of the common answers only so many are kept as of rarer ones."""
    if not sizes:
        return Pool(0.0, {})
    total, largest = sum(sizes.values()), max(sizes.values())
    if not evenly:
        return Pool(largest / total, dict.fromkeys(sizes, 1.0))
    for most in sorted(sizes.values(), reverse=True):
        best = most / sum(min(size, most) for size in sizes.values())
        if best <= MAX_SHARE:
            break
    weights = {answer: min(1.0, most / size) for answer, size in sorted(sizes.items())}
    return Pool(max(best, MAX_SHARE), weights)


@lru_cache(maxsize=32)
def walks(graph: Graph, topic: str, relations: tuple[str, ...], answer: str) -> Pool:
    """Return where the walks end that have one outcome at every step.

    Args:
        graph: The graph.
        topic: Kind of the topics.
        relations: The relations to walk.
        answer: Kind of the answers.
    """
    ends = unique_paths(graph, topic, relations)[:, -1]
    sizes = Counter(graph.nodes.ids[end] for end in ends.tolist())
    return _pool(sizes, evenly=answer in _DRAWN_EVENLY)


@lru_cache(maxsize=32)
def counts(graph: Graph, kind: str, relation: str) -> Pool:
    """Return how many entities a relation leads to from those of a kind, where that is asked.

    Args:
        graph: The graph.
        kind: Kind of the topics.
        relation: The relation that is counted.
    """
    degrees = graph.degrees(relation)[graph.of_kind(kind)].tolist()
    return _pool(Counter(str(one) for one in degrees if one in COUNTABLE), evenly=True)


@lru_cache(maxsize=32)
def values(graph: Graph, relation: str, qualifier: str) -> Pool:
    """Return what a qualifier says, every head of the relation counting the same.

    Args:
        graph: The graph.
        relation: The relation.
        qualifier: The qualifier.
    """
    relation = relation if relation in graph.relations else inverse(graph, relation)
    column, starts = graph.columns[relation][qualifier], graph.rows[relation].starts
    answers = [coarsest(value) if is_asked(value) else "" for value in column.values]
    sizes: defaultdict[str, float] = defaultdict(float)
    for head in np.flatnonzero(np.diff(starts)).tolist():
        codes = column.codes[starts[head] : starts[head + 1]].tolist()
        usable = [answers[code] for code in codes if answers[code]]
        for answer in usable:
            sizes[answer] += 1 / len(usable)
    return _pool(sizes, evenly=True)


def is_asked(value: str) -> bool:
    """Return whether a qualifier's value is asked for: it is one, and not that of every patient.

    Args:
        value: What the source says.
    """
    return bool(value) and "|" not in value and bounds(value) != (1.0, 1.0)


@lru_cache(maxsize=8)
def _sets(graph: Graph, relation: str) -> Counter[bytes]:
    """Return how often each set of entities is all that a relation leads to."""
    starts, tails = graph.rows[relation]
    return Counter(
        tails[start:stop].tobytes()
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        if stop - start in LISTABLE
    )


def constant(question: Question) -> tuple[str, ...]:
    """Return the coarsest answer that is right, which questions with other answers may share.

    Args:
        question: A question with an answer.
    """
    if question.proof.query[0] == "value":
        return tuple(coarsest(answer.removeprefix("value:")) for answer in question.proof.answers)
    return question.proof.answers


def is_drawn_evenly(question: Question) -> bool:
    """Return whether the answer is a number or an attribute, which many questions share.

    Args:
        question: A question with an answer.
    """
    return question.answers[0].kind in _DRAWN_EVENLY


def best_constant(graph: Graph, query: list[Any], outcome: Outcome) -> float:
    """Return the share of the questions of a kind that the best constant answer gets right.

    Of walks, counts and values it is that among all that the graph holds, as they are drawn; of
    chains and descriptions, of which nobody can count all, that among the edges of the last
    relation. A choice is guessed evenly, a list as a whole.

    Args:
        graph: The graph.
        query: The query of one question.
        outcome: What `evaluate` made of it.
    """
    if outcome.choices:
        return 1 / outcome.choices
    if query[0] == "walk":
        topic, answer = graph.kind(outcome.topic), graph.kind(outcome.answers[0])
        return walks(graph, topic, tuple(query[2]), answer).best
    if query[0] == "count":
        return counts(graph, graph.kind(outcome.topic), outcome.last).best
    if query[0] == "value":
        return values(graph, outcome.last, query[4]).best
    if len(outcome.answers) > 1:
        sets = _sets(graph, outcome.last)
        return max(sets.values(), default=1) / max(1, sets.total())
    degrees = graph.degrees(inverse(graph, outcome.last))
    return int(degrees.max()) / int(degrees.sum())
