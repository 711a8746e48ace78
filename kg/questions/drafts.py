"""What all kinds of questions share: the order for one, the screens it has to pass, its record."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from medenv.errors import NoPassageError, UsageError
from medenv.kg.certificates.certificate import (
    answers_of,
    certificate_of,
    kind_of,
    leaks_of,
    outline_of,
    shortcuts_of,
)
from medenv.kg.certificates.queries import Outcome, evaluate
from medenv.kg.certificates.suffixes import suffixes
from medenv.kg.documents import Documents
from medenv.kg.documents.naming import called, unfit
from medenv.kg.graph import Graph
from medenv.kg.questions.phrases import said
from medenv.records import Question
from medenv.text import words

MAX_NAME_CHARS = 80
"""Longest name of an entity in a question or its answer, where no other limit is set."""


class Rejection(StrEnum):
    """Why an attempt makes no question; the values stand in journals and data cards."""

    NOTATION = "a name in catalogue notation"
    LONG_NAME = "a name too long"
    SHARED_NAME = "a name that several entities bear"
    UNFIT_ANSWER = "an answer whose name is unfit"
    TELLING_NAME = "a name in the question gives the answer away"
    NAMED_STEP = "the question would give a later step away"
    SHORTCUT = "a shortcut past the path"
    NO_CERTAIN_ANSWER = "no certain answer"
    NO_PASSAGE = "a step that no passage states"
    OTHER_SPLIT = "the path leaves its split"
    OTHER_SPECIALTY = "of a specialty that is not asked for"
    DIFFICULTY = "too easy or too hard"
    ASKED_BEFORE = "asked before"
    ANSWER_REPEATED = "answer asked for often enough"
    COMMON_ANSWER = "an answer that would be asked for too often"

    SHORT_CHAIN = "no chain of the least length"
    OTHER_LEVEL = "a topic that cannot be hidden as far as asked for"
    SUFFIX_ENOUGH = "the end of the chain alone fixes the answer"
    NO_WAY = "no way of the family leads on"
    AMBIGUOUS_STEP = "clues do not single out a step"

    AMBIGUOUS_WALK = "not exactly one answer at every step"
    NO_WALK_LEFT = "no short walk is left"

    NO_DISEASE = "no disease next to the rare entity"
    AMBIGUOUS_FINDINGS = "findings do not single out a disease"
    NO_COMMON_FINDING = "no finding that all but one disease have"
    NO_GROUP = "nothing that a few diseases share"
    NO_FREQUENCY = "no frequency to ask for"
    NO_COMPARISON = "no frequencies to compare"

    OLD_FORM = "rests on a count or an absent record, which is asked no longer"
    OTHER_ANSWER = "another answer than before"

    PASSAGE_LOST = "a passage beside the path is gone"
    UNDECIDED = "no single edge decides it"
    SAME_ANSWER = "the same answer as in the true world"
    EARLIER_STEP = "an earlier step that changed"
    TRUE_NAME = "a true name that stands in the text in another form"
    MISFIT_TEXT = "a text that no longer fits"


class Rejected(Exception):
    """An attempt that makes no question.

    Args:
        reason: Why.
    """

    def __init__(self, reason: Rejection) -> None:
        super().__init__(reason)
        self.reason = reason


class SampleSpec(NamedTuple):
    """What is asked for: one question around one entity.

    Args:
        seed: Node of the rare entity.
        level: How far to obfuscate the topic, 0 to 4.
        voice: Number of the voice it is worded in.
        rng: Source of all randomness.
        max_name_chars: Longest name of an entity that is named or asked for.
        fields: Number of each node's medical field; where given, a finding leads from one disease
            to another of the same field alone.
        rounds: How often questions were asked for around each rare entity before, on average.
    """

    seed: int
    level: int
    voice: int
    rng: np.random.Generator
    max_name_chars: int = MAX_NAME_CHARS
    fields: npt.NDArray[np.int8] | None = None
    rounds: int = 0


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


def name_problem(graph: Graph, node: int, max_chars: int) -> Rejection | None:
    """Return why a node's name cannot stand in a question or answer, or None.

    Args:
        graph: The graph.
        node: The node.
        max_chars: Longest name.
    """
    name = graph.nodes.names[node]
    if unfit(name):
        return Rejection.NOTATION
    if len(name) > max_chars:
        return Rejection.LONG_NAME
    return Rejection.SHARED_NAME if shares_name(graph, node) else None


def shares_name(graph: Graph, node: int) -> bool:
    """Return whether another node of the same kind bears a node's name.

    Args:
        graph: The graph.
        node: The node.
    """
    found = graph.find(graph.nodes.names[node])
    return any(n != node and graph.kind(n) == graph.kind(node) for n in found)


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


def finish(
    documents: Documents, draft: Draft, split: str, max_chars: int, every_hop: bool = False
) -> tuple[Question, Outcome]:
    """Prove a draft; return its question, whose id is given later, and what its query came to.

    Args:
        documents: The documents, with their graph.
        draft: The draft.
        split: ``"train"`` or ``"test"``.
        max_chars: Longest name of an entity in the question or its answer.
        every_hop: Whether to refuse a chain of which a suffix alone fixes the answer.

    Raises:
        Rejected: It cannot be proved, gives its answer away, or can be answered without its path.
    """
    question, outcome = screen(documents.graph, draft, split, max_chars, every_hop)
    return certified(documents, question, outcome), outcome


def certified(documents: Documents, question: Question, outcome: Outcome) -> Question:
    """Return a question that `screen` let pass with its certificate.

    Args:
        documents: The documents, with their graph.
        question: The question.
        outcome: What its query came to.

    Raises:
        Rejected: No passage states a step.
    """
    try:
        proof = certificate_of(documents, question.proof.query, outcome)
    except NoPassageError as error:
        raise Rejected(Rejection.NO_PASSAGE) from error
    return msgspec.structs.replace(question, certificate=proof)


def screen(
    graph: Graph, draft: Draft, split: str, max_chars: int, every_hop: bool = False
) -> tuple[Question, Outcome]:
    """Return the question of a draft with the outline of its certificate, and its outcome.

    Args:
        graph: The graph.
        draft: The draft.
        split: ``"train"`` or ``"test"``.
        max_chars: Longest name of an entity in the question or its answer.
        every_hop: Whether to refuse a chain of which a suffix alone fixes the answer.

    Raises:
        Rejected: It has no certain answer, gives it away, or can be answered without its path.
    """
    try:
        outcome = evaluate(graph, draft.query)
        if every_hop and any(end.fixes for end in suffixes(graph, draft.query, outcome)):
            raise Rejected(Rejection.SUFFIX_ENOUGH)
    except UsageError as error:
        raise Rejected(Rejection.NO_CERTAIN_ANSWER) from error
    for node in (*outcome.named, *outcome.answers):
        if problem := name_problem(graph, node, max_chars):
            raise Rejected(problem)
    if shortcuts_of(graph, draft.query, outcome):
        raise Rejected(Rejection.SHORTCUT)
    if leaks_of(graph, outcome, draft.text):
        raise Rejected(Rejection.NAMED_STEP)
    if not outcome.choices and any(
        tells(graph, n, a) for n in outcome.named for a in outcome.answers
    ):
        raise Rejected(Rejection.TELLING_NAME)
    question = Question(
        id="",
        text=draft.text,
        kind=kind_of(graph, draft.query, outcome),
        split=split,
        topic=graph.entity(outcome.topic),
        answers=answers_of(graph, outcome),
        certificate=outline_of(graph, draft.query, outcome),
        template=draft.template,
        source=graph.info.label,
        level=draft.level,
        guidance=tuple(f"([MASK], {relation}, [MASK])" for _, relation, _ in outcome.path),
        reasoning=reasoning(graph, outcome),
    )
    return question, outcome


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
