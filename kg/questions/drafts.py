"""What all kinds of questions share: the order for one, the screens it has to pass, its record."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medenv.errors import UsageError
from medenv.kg.certificates.certificate import answers_of, certificate_of, kind_of, leaks_of
from medenv.kg.certificates.queries import Outcome, evaluate
from medenv.kg.documents import Documents
from medenv.kg.documents.naming import called
from medenv.kg.graph import Graph
from medenv.kg.questions.phrases import said
from medenv.kg.questions.wording import unfit
from medenv.records import Question
from medenv.text import words


class Rejected(Exception):
    """An attempt at a question that came to nothing; the reason is counted.

    Args:
        reason: Why, in words that do not name the entities.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SampleSpec(NamedTuple):
    """What is asked for: one question around one entity.

    Args:
        split: ``"train"`` or ``"test"``.
        seed: Node of the rare entity.
        level: How far to obfuscate the topic, 0 to 4.
        voice: Number of the voice it is worded in.
        rng: Source of all randomness.
    """

    split: str
    seed: int
    level: int
    voice: int
    rng: np.random.Generator


class Draft(NamedTuple):
    """A question before it is proved.

    Args:
        query: What it asks.
        text: Its wording.
        template: Name of the wording.
        level: How far the topic is obfuscated in it.
    """

    query: list[Any]
    text: str
    template: str
    level: int = 0


@lru_cache(maxsize=8)
def unnameable(graph: Graph, max_chars: int) -> npt.NDArray[np.bool_]:
    """Return for each node whether its name is unfit for a question, bool, shape [nodes].

    Args:
        graph: The graph.
        max_chars: Longest name.
    """
    return np.array([bool(name_problem(graph, n, max_chars)) for n in range(len(graph))])


def name_problem(graph: Graph, node: int, max_chars: int) -> str:
    """Return why a node's name cannot stand in a question or answer, or nothing.

    Args:
        graph: The graph.
        node: The node.
        max_chars: Longest name.
    """
    name = graph.nodes.names[node]
    if unfit(name):
        return "a name in catalogue notation"
    if len(name) > max_chars:
        return "a name too long"
    same = [n for n in graph.find(name) if n != node and graph.kind(n) == graph.kind(node)]
    return "a name that several entities bear" if same else ""


def tells(graph: Graph, named: int, node: int) -> bool:
    """Return whether one name gives another away: all its words stand in it, numbers aside.

    "Intestinal polyposis" gives "Large intestinal polyposis" away, and "Spermatogenic failure 15"
    leaves of "Spermatogenic failure 71" the number alone to be guessed.

    Args:
        graph: The graph.
        named: The node whose name is told.
        node: The node whose name is not.
    """
    words = telling_words(graph, named)
    return bool(words) and words <= telling_words(graph, node)


@lru_cache(maxsize=50_000)
def telling_words(graph: Graph, node: int) -> frozenset[str]:
    """Return the words of a name that mean something, in lower case.

    Args:
        graph: The graph.
        node: The node.
    """
    found = words(graph.nodes.names[node])
    return frozenset(word for word in found if not _NUMBER.fullmatch(word))


_NUMBER = re.compile(r"\d+\w?|[ivx]+[a-z]?|[a-z]|type|with|without|of|and|or|to|due|the|in")


def fit(graph: Graph, nodes: Iterable[int], max_chars: int) -> None:
    """Reject a question for which a name is no good.

    Args:
        graph: The graph.
        nodes: The nodes that are named.
        max_chars: Longest name.

    Raises:
        Rejected: One has a problem.
    """
    for node in nodes:
        if problem := name_problem(graph, node, max_chars):
            raise Rejected(problem)


def finish(
    documents: Documents, draft: Draft, order: SampleSpec, max_chars: int
) -> tuple[Question, Outcome]:
    """Prove a draft; return its question, whose id is given later, and what its query came to.

    Args:
        documents: The documents, with their graph.
        draft: The draft.
        order: What was asked for.
        max_chars: Longest name of an entity in the question or its answer.

    Raises:
        Rejected: It cannot be proved, gives its answer away, or can be answered without its path.
    """
    graph = documents.graph
    try:
        outcome = evaluate(graph, draft.query)
        certificate = certificate_of(documents, draft.query, outcome)
    except UsageError as error:
        raise Rejected(_generic(str(error))) from error
    fit(graph, (*outcome.named, *outcome.answers), max_chars)
    if certificate.shortcuts:
        raise Rejected("a shortcut past the path")
    if leaks_of(graph, outcome, draft.text):
        raise Rejected("the question would give a later step away")
    if not outcome.choices and any(
        tells(graph, n, a) for n in outcome.named for a in outcome.answers
    ):
        raise Rejected("a name in the question gives the answer away")
    question = Question(
        id="",
        text=draft.text,
        kind=kind_of(graph, draft.query, outcome),
        split=order.split,
        topic=graph.entity(outcome.topic),
        answers=answers_of(graph, outcome),
        certificate=certificate,
        template=draft.template,
        source=graph.info.label,
        level=draft.level,
        rare=graph.nodes.ids[order.seed],
        guidance=tuple(f"([MASK], {relation}, [MASK])" for _, relation, _ in outcome.path),
        reasoning=reasoning(graph, outcome),
    )
    return question, outcome


def _generic(problem: str) -> str:
    if "no passage states" in problem:
        return "a step that no passage states"
    return "no certain answer"


def reasoning(graph: Graph, outcome: Outcome) -> str:
    """Return the gold path in words, one step after the other.

    Args:
        graph: The graph.
        outcome: What `evaluate` made of the query.
    """
    steps = [
        f"{called(graph, head)} {said(relation)} {called(graph, tail)}"
        for head, relation, tail in outcome.path
    ]
    return "; ".join(steps) + "."
