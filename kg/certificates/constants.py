"""The accuracy of the best constant answer to a kind of questions, and methods to keep it low.

The best constant answer is the baseline of a policy: if four of ten findings occur in every
recorded patient, "100%" is often right without research. `Certificate.chance` is its accuracy.
Answers that are numbers or attributes are balanced: questions with a common answer are sampled less
often (`Pool.weights`), and no such answer exceeds `MAX_SHARE` of a set's questions of its kind.
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
"""Maximum share of a kind of questions with the same number or attribute as answer, if the graph
has enough different ones."""

LISTABLE = range(2, 7)
"""Valid numbers of answers of list questions."""

_BALANCED = {"value", "prevalence", *ATTRIBUTES} - {"phenotype"}


class Pool(NamedTuple):
    """The possible answers of a kind of questions.

    Attributes:
        best: Share of the best constant answer among the sampled questions.
        weights: Answer to the probability of keeping a question with it, in (0, 1].
    """

    best: float
    weights: Mapping[str, float]


def _pool(sizes: Mapping[str, float], *, evenly: bool) -> Pool:
    """Return a pool; if `evenly`, common answers are sampled only as often as rarer ones."""
    if not sizes:
        return Pool(0.0, {})
    total, largest = sum(sizes.values()), max(sizes.values())
    if not evenly:
        return Pool(largest / total, dict.fromkeys(sizes, 1.0))
    for limit in sorted(sizes.values(), reverse=True):
        best = limit / sum(min(size, limit) for size in sizes.values())
        if best <= MAX_SHARE:
            break
    weights = {answer: min(1.0, limit / size) for answer, size in sorted(sizes.items())}
    return Pool(max(best, MAX_SHARE), weights)


@lru_cache(maxsize=32)
def walks(graph: Graph, topic: str, relations: tuple[str, ...], answer: str) -> Pool:
    """Return the ends of the walks with one outcome at every step.

    Args:
        graph: The graph.
        topic: Kind of the topics.
        relations: The relations to follow.
        answer: Kind of the answers.
    """
    ends = unique_paths(graph, topic, relations)[:, -1]
    sizes = Counter(graph.nodes.ids[end] for end in ends.tolist())
    return _pool(sizes, evenly=answer in _BALANCED)


@lru_cache(maxsize=32)
def values(graph: Graph, relation: str, qualifier: str) -> Pool:
    """Return the values of a qualifier, with equal weight for each head of the relation.

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
    """Return whether questions may ask for a value: it is single, and not that of all patients.

    Args:
        value: Value of a qualifier.
    """
    return bool(value) and "|" not in value and bounds(value) != (1.0, 1.0)


@lru_cache(maxsize=8)
def _sets(graph: Graph, relation: str) -> Counter[bytes]:
    """Return the number of nodes for each set of targets of a relation."""
    starts, tails = graph.rows[relation]
    return Counter(
        tails[start:stop].tobytes()
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        if stop - start in LISTABLE
    )


def constant(question: Question) -> tuple[str, ...]:
    """Return the coarsest right answer, which questions with other answers may share.

    Args:
        question: A question with an answer.
    """
    if question.proof.query[0] == "value":
        return tuple(coarsest(answer.removeprefix("value:")) for answer in question.proof.answers)
    return question.proof.answers


def is_drawn_evenly(question: Question) -> bool:
    """Return whether the answer is a number or an attribute, hence balanced.

    Args:
        question: A question with an answer.
    """
    return question.answers[0].kind in _BALANCED


def best_constant(graph: Graph, query: list[Any], outcome: Outcome) -> float:
    """Return the accuracy of the best constant answer to the questions of a kind.

    For walks and values it is computed over all questions of the graph, as sampled; for
    chains and descriptions, which cannot be enumerated, over the edges of the last relation.
    Choices are guessed uniformly, lists as a whole.

    Args:
        graph: The graph.
        query: The query of one question.
        outcome: The outcome of the query.
    """
    if outcome.choices:
        return 1 / outcome.choices
    if query[0] == "walk":
        topic, answer = graph.kind(outcome.topic), graph.kind(outcome.answers[0])
        return walks(graph, topic, tuple(query[2]), answer).best
    if query[0] == "value":
        return values(graph, outcome.last, query[4]).best
    if len(outcome.answers) > 1:
        sets = _sets(graph, outcome.last)
        return max(sets.values(), default=1) / max(1, sets.total())
    degrees = graph.degrees(inverse(graph, outcome.last))
    return int(degrees.max()) / int(degrees.sum())
