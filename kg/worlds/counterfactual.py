"""What all altered worlds share: the label that they are fiction, and questions proved anew.

An altered world is made on its user's machine for research on models. It is never the content of
the source that it was made from, so its graph, passages, questions and cards all say what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from medenv.errors import UsageError
from medenv.kg.certificates.certificate import (
    SEARCH_DEPTH,
    NoPassageError,
    answers_of,
    certificate_of,
    kind_of,
    rank_among,
    verify,
)
from medenv.kg.certificates.queries import evaluate
from medenv.kg.documents import Documents
from medenv.kg.graph import Column, Graph, GraphInfo
from medenv.kg.questions.difficulty import difficulty, grade
from medenv.kg.questions.drafts import Rejected, reasoning
from medenv.records import Question, Retriever

NOTICE = (
    "Fiction for research on models, made from {label} on the machine of whoever uses it. It is "
    "not the content of that source, whose terms may forbid altering it: keep it on this machine, "
    "do not pass it on, and show none of it as what the source says."
)
"""What accompanies an altered world wherever terms are shown."""

_TOLD = ("frequency", "onset", "sex", "modifier")
"""Qualifiers that an altered edge keeps; it has no evidence and no references."""


def fictional(info: GraphInfo, variant: str, seed: int) -> GraphInfo:
    """Return where an altered world comes from, in words that nobody can take for the source.

    Args:
        info: The true world's.
        variant: How it is altered.
        seed: Seed of the alteration.

    Raises:
        UsageError: The world is altered already.
    """
    if info.world:
        raise UsageError(f"{info.label!r} is altered already; start from the true world")
    notice = NOTICE.format(label=info.label)
    return GraphInfo(
        source=f"FICTION ({variant} world, seed {seed}) after {info.label}",
        version="",
        licence=" ".join(part for part in (notice, "Terms of the source:", info.licence) if part),
        acknowledgement=" ".join(part for part in ("Fiction.", info.acknowledgement) if part),
        notes=info.notes,
        world=variant,
    )


def unsourced(columns: Mapping[str, Mapping[str, Column]]) -> dict[str, dict[str, Column]]:
    """Return qualifiers without evidence, references and whatever else speaks for the source.

    Args:
        columns: Qualifiers by relation and name.
    """
    return {
        relation: {
            name: column if name in _TOLD else Column(np.zeros_like(column.codes), ("",))
            for name, column in named.items()
        }
        for relation, named in columns.items()
    }


def proved_anew(
    documents: Documents, question: Question, query: list[Any], text: str, rare: str = ""
) -> Question:
    """Return a question as it stands in an altered world, proved there.

    Args:
        documents: The altered world's documents.
        question: The true world's question.
        query: What it asks, in the altered world's ids.
        text: Its wording.
        rare: The rare entity's id in the altered world.

    Raises:
        Rejected: It has no certain answer there, or its text gives something away.
    """
    graph = documents.graph
    try:
        outcome = evaluate(graph, query)
        proof = certificate_of(documents, query, outcome)
    except UsageError as error:
        unstated = isinstance(error, NoPassageError)
        raise Rejected(
            "a step that no passage states" if unstated else "no certain answer in this world"
        ) from error
    if proof.shortcuts != question.certificate.shortcuts:
        raise Rejected("a shortcut past the path")
    made = msgspec.structs.replace(
        question,
        text=text,
        kind=kind_of(graph, query, outcome),
        topic=graph.entity(outcome.topic),
        answers=answers_of(graph, outcome),
        certificate=proof,
        source=graph.info.label,
        world=graph.info.world,
        reasoning=reasoning(graph, outcome) if question.reasoning else "",
        rare=rare,
        grades={},
        difficulty=None,
    )
    if verify(made, graph, documents=documents):
        raise Rejected("a text that no longer fits")
    return made


def graded(graph: Graph, question: Question, retriever: Retriever) -> Question:
    """Return a question with its search rank and difficulty in an altered world.

    Args:
        graph: The altered graph.
        question: A question proved there, with an answer.
        retriever: Searches the altered corpus.

    Raises:
        CorpusUnavailableError: The retriever did not answer.
    """
    (results,) = retriever.search([question.text], SEARCH_DEPTH)
    found = [passage for passage, _ in results]
    grades = grade(graph, question, evaluate(graph, question.certificate.query), found)
    rank = rank_among(question.certificate, found)
    return msgspec.structs.replace(
        question,
        certificate=msgspec.structs.replace(question.certificate, search_rank=rank),
        grades=grades,
        difficulty=round(difficulty(grades), 4),
    )


def entities_of(question: Question) -> set[str]:
    """Return the ids of all entities of a question's path, topic and answers."""
    proof = question.certificate
    ends = {end for hop in proof.path for end in (hop.head, hop.tail)}
    return ends | {question.topic.id} | {a for a in proof.answers if not a.startswith("value:")}


def numbered(questions: Iterable[Question]) -> tuple[Question, ...]:
    """Return questions numbered anew by split, for those that were left out leave gaps."""
    counts: dict[str, int] = {}
    out = []
    for question in questions:
        number = counts.get(question.split, 0)
        counts[question.split] = number + 1
        out.append(msgspec.structs.replace(question, id=f"{question.split}:{number}"))
    return tuple(out)
