"""Functions shared by all counterfactual worlds: labels as fiction, and new proofs of questions.

A counterfactual world is created on the user's machine for research on models. It is not content of
its source, so its graph, passages, questions and cards are labelled as fiction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from medenv.errors import NoPassageError, UsageError
from medenv.kg.certificates.certificate import (
    answers_of,
    certificate_of,
    kind_of,
    rank_among,
    verify,
)
from medenv.kg.certificates.queries import evaluate
from medenv.kg.documents import Documents
from medenv.kg.graph import Column, Graph, GraphInfo
from medenv.kg.questions.difficulty import difficulty, grade, search_parts
from medenv.kg.questions.drafts import Rejected, Rejection, reasoning
from medenv.records import Question, Retriever

NOTICE = (
    "Fiction for research on models, made from {label} on the machine of whoever uses it. It is "
    "not the content of that source, whose terms may forbid altering it: keep it on this machine, "
    "do not pass it on, and show none of it as what the source says."
)
"""Notice to show with the licence of a counterfactual world."""

_UNSOURCED = ("frequency", "onset", "sex", "modifier")
"""Qualifiers of an altered edge; evidence and references are removed."""


def fictional(info: GraphInfo, variant: str, seed: int) -> GraphInfo:
    """Return the `GraphInfo` of a counterfactual world, clearly distinct from that of the source.

    Args:
        info: Info of the true graph.
        variant: Kind of alteration.
        seed: Seed of the alteration.

    Raises:
        UsageError: The graph is already altered.
    """
    if info.world:
        raise UsageError(f"expected an unaltered graph, got {info.label!r}")
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
    """Return the qualifiers without evidence, references and other claims of the source.

    Args:
        columns: Qualifiers by relation and name.
    """
    return {
        relation: {
            name: column if name in _UNSOURCED else Column(np.zeros_like(column.codes), ("",))
            for name, column in named.items()
        }
        for relation, named in columns.items()
    }


def proved_anew(
    documents: Documents, question: Question, query: list[Any], text: str, rare: str = ""
) -> Question:
    """Return a question with its certificate in a counterfactual world.

    Args:
        documents: Documents of the counterfactual world.
        question: Question about the true world.
        query: The query with ids of the counterfactual world.
        text: The new text.
        rare: Id of the rare entity in the counterfactual world.

    Raises:
        Rejected: The question has no unique answer there, or its text reveals something.
    """
    graph = documents.graph
    try:
        outcome = evaluate(graph, query)
        proof = certificate_of(documents, query, outcome)
    except NoPassageError as error:
        raise Rejected(Rejection.NO_PASSAGE) from error
    except UsageError as error:
        raise Rejected(Rejection.NO_CERTAIN_ANSWER) from error
    if proof.shortcuts != question.proof.shortcuts:
        raise Rejected(Rejection.SHORTCUT)
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
        calibration={},
    )
    if verify(made, graph, documents=documents):
        raise Rejected(Rejection.MISFIT_TEXT)
    return made


def graded(graph: Graph, question: Question, retriever: Retriever) -> Question:
    """Return a question with its search rank and difficulty in a counterfactual world.

    Args:
        graph: The altered graph.
        question: A proved question with an answer.
        retriever: Retriever of the altered corpus.

    Raises:
        CorpusUnavailableError: The retriever did not answer.
    """
    (found,) = search_parts(retriever, [question], {})
    grades = grade(graph, question, evaluate(graph, question.proof.query), found)
    rank = rank_among(question.proof, found.whole)
    return msgspec.structs.replace(
        question,
        certificate=msgspec.structs.replace(question.proof, search_rank=rank),
        grades=grades,
        difficulty=round(difficulty(grades), 4),
    )


def entities_of(question: Question) -> set[str]:
    """Return the ids of all entities of a question's path, topic and answers."""
    proof = question.proof
    ends = {end for hop in proof.path for end in (hop.head, hop.tail)}
    return ends | {question.subject.id} | {a for a in proof.answers if not a.startswith("value:")}


def numbered(questions: Iterable[Question]) -> tuple[Question, ...]:
    """Renumber questions by split without gaps; each keeps its former id as its origin."""
    counts: dict[str, int] = {}
    out = []
    for question in questions:
        number = counts.get(question.split, 0)
        counts[question.split] = number + 1
        renumbered = f"{question.split}:{number}"
        out.append(msgspec.structs.replace(question, id=renumbered, origin=question.id))
    return tuple(out)
