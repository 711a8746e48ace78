"""Question sets of an earlier version, proved anew: new certificates, and a new folder.

What a certificate says changes from version to version, and so do the rules that a question has to
keep. The questions of an older set are proved by today's rules against the graph of the set; those
that no longer hold are left out, and counted by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from medenv.errors import DataError, UsageError
from medenv.io import atomic_folder, read_json
from medenv.kg.certificates.certificate import verify
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph
from medenv.kg.questions.card import data_card, write_card
from medenv.kg.questions.drafts import MAX_NAME_CHARS, Draft, Rejected, Rejection, finish
from medenv.kg.questions.production import Produced, write_set
from medenv.kg.questions.sets import (
    CERTIFIED_ANEW,
    CONTENTS,
    FORMAT,
    SPLITS,
    Contents,
    QuestionSet,
    write_contents,
)
from medenv.kg.questions.store import read_questions
from medenv.kg.worlds.counterfactual import graded
from medenv.records import Question, Retriever
from medenv.retrieval import BM25Retriever

_OLD_FORMS = (b'["count",', b'["not",')
"""How a query or a clue of an earlier version began that queries no longer have."""


class Recertified(NamedTuple):
    """A set that was proved anew.

    Args:
        questions: The new set.
        dropped: Number of questions that no longer hold, by reason.
    """

    questions: QuestionSet
    dropped: dict[str, int]


class _Rules(NamedTuple):
    """The rules of a set."""

    max_name_chars: int
    every_hop: bool


def recertify(
    folder: Path | str,
    out: Path | str | None = None,
    say: Callable[[str], object] = lambda _: None,
    made: Callable[[int], object] = lambda _: None,
) -> Recertified:
    """Prove the questions of a set anew and write those that hold to a new folder.

    Answers, ids and wordings stay. Certificates, grades, search index, data card and leakage
    certificate are made anew from the graph that the set holds. Journals are not taken over, so the
    new set cannot be extended; counterfactual worlds are made anew when they are next asked for.

    Args:
        folder: The set, of this version or an earlier one; it is only read.
        out: The new folder; None for ``<folder>-certified``.
        say: Receives a description of each step.
        made: Receives the number of questions that were proved or left out so far.

    Raises:
        DataError: A file of the set is missing or damaged, or `out` exists and is not empty.
        UsageError: The set has no graph or no certificates, is of a later version, or none of its
            questions holds.
    """
    folder = Path(folder)
    target = Path(out) if out is not None else folder.with_name(f"{folder.name}-certified")
    if target.is_dir() and any(target.iterdir()):
        raise DataError(target, "exists and is not empty; name another folder with --out")
    contents = _older(folder)
    say(f"reading {folder}")
    old = {split: read_questions(folder / f"{split}.jsonl") for split in SPLITS}
    graph = Graph.load(folder / "graph")
    documents = Documents(graph)
    rules = _rules(contents.made_with)
    with atomic_folder(target) as built:
        graph.save(built / "graph")
        say("indexing the documents")
        retriever = BM25Retriever(documents.passages)
        retriever.save(built / "corpus")
        say(f"proving {sum(map(len, old.values())):,} questions")
        produced, dropped = _proved(old, documents, retriever, rules, made)
        if not any(one.questions for one in produced.values()):
            reasons = ", ".join(f"{why}: {count:,}" for why, count in sorted(dropped.items()))
            raise UsageError(f"{folder} has no question that holds ({reasons}); make the set anew")
        shared = write_set(built, produced.values()).shared
        seed = int(contents.made_with.get("seed", 0))
        write_card(built, data_card(graph.info, produced, seed, contents.origin, shared))
        fresh = Contents(
            questions={split: len(one.questions) for split, one in produced.items()},
            shared=shared,
            origin=contents.origin,
            passages=len(documents.passages),
            made_with={**contents.made_with, CERTIFIED_ANEW: True},
        )
        write_contents(built, fresh, graph)
    return Recertified(QuestionSet.open(target), dict(sorted(dropped.items())))


def _older(folder: Path) -> Contents:
    """Return the contents of a set of this version or an earlier one."""
    path = folder / CONTENTS
    if not path.is_file():
        raise DataError(folder, f"expected the folder of a question set with {CONTENTS}")
    contents = read_json(path, Contents, "the contents of a question set")
    if contents.format > FORMAT:
        raise UsageError(
            f"{folder} has format {contents.format}, of a later version of medenv; update medenv"
        )
    if not (folder / "graph").is_dir():
        raise UsageError(f"{folder} has no graph to prove its questions against")
    return contents


def _rules(made_with: dict[str, Any]) -> _Rules:
    """Return the rules of a set by the settings that it was made with."""
    chains = made_with.get("chains") or {}
    return _Rules(
        int(made_with.get("max_name_chars", MAX_NAME_CHARS)), bool(chains.get("every_hop", False))
    )


def _proved(
    old: dict[str, tuple[Question, ...]],
    documents: Documents,
    retriever: Retriever,
    rules: _Rules,
    made: Callable[[int], object],
) -> tuple[dict[str, Produced], Counter[str]]:
    """Return the questions of each split that hold, and the number of the others by reason."""
    graph, every, done = documents.graph, Counter[str](), 0
    produced = {}
    for split, questions in old.items():
        kept, dropped = list[Question](), Counter[str]()
        for question in questions:
            try:
                fresh = _anew(documents, question, rules)
                kept.append(graded(graph, fresh, retriever) if question.grades else fresh)
            except Rejected as rejected:
                dropped[rejected.reason.value] += 1
            done += 1
            made(done)
        produced[split] = Produced(tuple(kept), dict(sorted(dropped.items())), len(questions))
        every += dropped
    return produced, every


def _anew(documents: Documents, old: Question, rules: _Rules) -> Question:
    """Return a question with a new certificate, not graded yet.

    Raises:
        Rejected: It does not hold.
        UsageError: It has no certificate.
    """
    written = msgspec.json.encode(old.proof.query)
    if any(form in written for form in _OLD_FORMS):
        raise Rejected(Rejection.OLD_FORM)
    draft = Draft(old.proof.query, old.text, old.template, old.level)
    fresh, _ = finish(documents, draft, old.split, rules.max_name_chars, rules.every_hop)
    if fresh.proof.answers != old.proof.answers:
        raise Rejected(Rejection.OTHER_ANSWER)
    fresh = msgspec.structs.replace(
        old,
        kind=fresh.kind,
        topic=fresh.topic,
        answers=fresh.answers,
        certificate=msgspec.structs.replace(fresh.proof, guess=old.proof.guess),
        source=fresh.source,
        guidance=fresh.guidance,
        reasoning=fresh.reasoning if old.reasoning else "",
        grades={},
        difficulty=None,
    )
    if verify(fresh, documents.graph, documents=documents):
        raise Rejected(Rejection.MISFIT_TEXT)
    return fresh
