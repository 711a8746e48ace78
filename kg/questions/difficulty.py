"""How hard a question is for solvers that need no model: by guess, by search, by a part of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from medenv.kg.certificates.certificate import SEARCH_DEPTH
from medenv.kg.certificates.conditions import fitting, inverse, reach, read_clues
from medenv.kg.certificates.queries import Outcome, candidates
from medenv.kg.certificates.suffixes import suffixes
from medenv.kg.graph import Graph
from medenv.records import Passage, Question, Retriever

HARDEST = 20.0
"""Bits of luck at which a question is as hard as can be: one chance in a million."""

SOLVERS = ("closed_book", "one_search", "union", "greedy_hops", "last_clue", "best_suffix")
"""The solvers by name, see `grade`."""


class Found(NamedTuple):
    """What searches with a question's words found, best first.

    Args:
        whole: One search with all of the text.
        parts: One search with each sentence; empty where there is one sentence.
    """

    whole: Sequence[Passage]
    parts: Sequence[Sequence[Passage]] = ()


_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


_KNOWN = 1_000
"""Sentences of which it is remembered what they find: most questions end in one of a few."""


def search_parts(
    retriever: Retriever, questions: Sequence[Question], known: dict[str, list[Passage]]
) -> list[Found]:
    """Search with each question's text and with each of its sentences.

    Args:
        retriever: The retriever.
        questions: The questions.
        known: What sentences found with this retriever before; updated.

    Raises:
        CorpusUnavailableError: The retriever did not answer.
    """
    cut = [_SENTENCE.split(question.text) for question in questions]
    parts = [sentences if len(sentences) > 1 else [] for sentences in cut]
    if len(known) > _KNOWN:
        known.clear()
    new = [sentence for sentence in dict.fromkeys(chain(*parts)) if sentence not in known]
    whole = [question.text for question in questions]
    results = retriever.search([*whole, *new], SEARCH_DEPTH)
    searched = [[passage for passage, _ in found] for found in results]
    known.update(zip(new, searched[len(whole) :], strict=True))
    return [
        Found(found, [known[sentence] for sentence in sentences])
        for found, sentences in zip(searched[: len(whole)], parts, strict=True)
    ]


def grade(graph: Graph, question: Question, outcome: Outcome, found: Found) -> dict[str, float]:
    """Return each solver's chance to be right.

    Args:
        graph: The graph.
        question: The question, with its certificate.
        outcome: What `evaluate` made of its query.
        found: What searches with its words found.

    Returns:
        ``closed_book``: a guess by number of edges, or the best constant answer. ``one_search``:
        the first result that is of the answer's kind and not named in the question (of a list, as
        many as there are answers), or, for a number, the first result at all. ``union``: one of
        all such results of one search with each sentence. ``greedy_hops``: following the relations
        but none of the clues, from the topic if it is named, else from the first result of the
        topic's kind. ``last_clue``: one of the entities that fit the clues on the answer alone.
        ``best_suffix``: one of the entities that fit the clues of a step, and from there the steps
        after it; 1 if that can end at the answer alone.
    """
    grades = {
        "closed_book": _closed_book(graph, question, outcome),
        "one_search": _one_search(graph, question, outcome, found.whole),
        "union": _union(graph, question, outcome, found.parts),
        "greedy_hops": _greedy(graph, question, outcome, found.whole),
    }
    ends = list(suffixes(graph, question.proof.query, outcome))
    if ends:
        grades["last_clue"] = 1 / ends[0].entries
        luck = [1.0 if end.fixes else end.arriving / end.entries for end in ends[1:]]
        grades["best_suffix"] = max(luck, default=0.0)
    return grades


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


def _union(
    graph: Graph, question: Question, outcome: Outcome, parts: Sequence[Sequence[Passage]]
) -> float:
    if len(outcome.answers) != 1:
        return 0.0
    named = {graph.nodes.ids[node] for node in outcome.named} if not outcome.choices else set()
    kind = graph.kind(outcome.answers[0])
    guesses = {one for results in parts for one in _of_kind(graph, results, kind, named)}
    return 1 / len(guesses) if question.proof.answers[0] in guesses else 0.0


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
        clues = read_clues(graph, query[2])
        sizes = [fitting(graph, query[1], [clue]).size for clue in clues]
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
