"""Certificates that prove the answers of a question.

`verify` recomputes a certificate from the graph and its documents, so it does not rely on the
author of the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

import msgspec

from medenv.errors import NoPassageError, UsageError
from medenv.kg.certificates.constants import best_constant
from medenv.kg.certificates.queries import Edge, Outcome, evaluate
from medenv.kg.certificates.suffixes import hidden_bits, need_of
from medenv.kg.documents import Documents
from medenv.kg.documents.frequencies import in_words, spellings
from medenv.kg.documents.naming import mentions
from medenv.kg.graph import Graph
from medenv.kg.graph.kernel import distance
from medenv.kg.graph.schema import LACKS_PHENOTYPE
from medenv.records import LIST, Certificate, Entity, Hop, Passage, Question, Retriever
from medenv.text import fold, fold_name

SEARCH_DEPTH = 10
"""Number of search results to examine for `Certificate.search_rank`."""

CLUES_ENOUGH = "clues of the last step"
"""Shortcut of a chain whose last clues identify the answer without the previous steps."""

_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)


def certify(documents: Documents, topic: int, relations: Sequence[str]) -> Certificate:
    """Prove that a walk from a topic has exactly one outcome at every step.

    Args:
        documents: The documents and their graph.
        topic: The topic node of the question.
        relations: The relations to follow.

    Raises:
        UsageError: A step has no outcome or several.
        NoPassageError: No passage states a hop.
    """
    return prove(documents, ["walk", documents.graph.nodes.ids[topic], list(relations)])


def prove(documents: Documents, query: list[Any]) -> Certificate:
    """Evaluate a query on the graph and return its certificate.

    Args:
        documents: The documents and their graph.
        query: The query, see `medenv.kg.certificates.queries`.

    Raises:
        UsageError: The query is invalid or has no unique answer.
        NoPassageError: No passage states a hop.
    """
    return certificate_of(documents, query, evaluate(documents.graph, query))


def certificate_of(documents: Documents, query: list[Any], outcome: Outcome) -> Certificate:
    """Return the certificate of an evaluated query.

    Args:
        documents: The documents.
        query: The query.
        outcome: Its outcome, see `evaluate`.

    Raises:
        NoPassageError: No passage states a hop.
    """
    graph = documents.graph
    outline = outline_of(graph, query, outcome)
    path = tuple(_stated(documents, hop) for hop in outline.path)
    ordered = query[0] in ("walk", "chain")
    end = outcome.answers[0] if ordered else -1
    needed = need_of(graph, query, outcome)
    return msgspec.structs.replace(
        outline,
        path=path,
        min_hops=_distance(graph, outcome.topic, end, limit=len(path)) if ordered else 1,
        min_calls=_fewest(hop.passages for hop in path),
        chance=best_constant(graph, query, outcome),
        shortcuts=shortcuts_of(graph, query, outcome),
        clues=tuple(_stated(documents, hop) for hop in outline.clues),
        effective_hops=needed.hops,
        entries=needed.entries,
        needed_clues=needed.clues,
        hidden_bits=round(hidden_bits(graph, query, outcome.topic), 4),
    )


def outline_of(graph: Graph, query: list[Any], outcome: Outcome) -> Certificate:
    """Return what a certificate says without a search: query, answers, and edges without passages.

    Args:
        graph: The graph.
        query: The query.
        outcome: Its outcome, see `evaluate`.
    """
    ids = graph.nodes.ids

    def hops(edges: Iterable[Edge]) -> tuple[Hop, ...]:
        return tuple(
            Hop(head=ids[head], relation=relation, tail=ids[tail], passages=())
            for head, relation, tail in edges
        )

    return Certificate(
        query=query,
        answers=tuple(answer.id for answer in answers_of(graph, outcome)),
        path=hops(outcome.path),
        min_hops=0,
        min_calls=0,
        chance=0.0,
        clues=hops(outcome.clues),
    )


def answers_of(graph: Graph, outcome: Outcome) -> tuple[Entity, ...]:
    """Return the answers as entities; numbers and frequencies have the kind ``"value"``.

    Args:
        graph: The graph.
        outcome: The outcome of a query.
    """
    if outcome.answers:
        return tuple(graph.entity(answer) for answer in outcome.answers)
    name = in_words(outcome.value)
    aliases = [_NUMBERS[int(name)]] if name.isdigit() and int(name) < len(_NUMBERS) else []
    aliases += spellings(outcome.value)
    return (Entity(id=f"value:{outcome.value}", kind="value", name=name, aliases=tuple(aliases)),)


def _stated(documents: Documents, hop: Hop) -> Hop:
    """Return a hop with the passages that state it."""
    passages = documents.supporting(hop.head, hop.relation, hop.tail)
    if not passages:
        raise NoPassageError((hop.head, hop.relation, hop.tail))
    return msgspec.structs.replace(hop, passages=passages)


def _distance(graph: Graph, start: int, goal: int, limit: int) -> int:
    """Return the distance of two nodes in factual edges, at most `limit`."""
    return int(distance(*graph.factual_rows, start, goal, limit))


def _fewest(passages_of_hops: Iterable[tuple[str, ...]]) -> int:
    """Return the size of the smallest set of passages that states every hop."""
    needed = [set(passages) for passages in passages_of_hops]
    covers = {
        passage: frozenset(i for i, hop in enumerate(needed) if passage in hop)
        for passage in sorted(set().union(*needed))
    }

    @cache
    def fewest(left: frozenset[int]) -> int:
        if not left:
            return 0
        first = min(left)
        choices = {left - covers[passage] for passage in needed[first]}
        return 1 + min(fewest(rest) for rest in choices)

    return fewest(frozenset(range(len(needed))))


def shortcuts_of(graph: Graph, query: list[Any], outcome: Outcome) -> tuple[str, ...]:
    """Return what leads to a chain's answer without its path: relations, or the last clues.

    Args:
        graph: The graph.
        query: The query.
        outcome: Its outcome, see `evaluate`.
    """
    found = [CLUES_ENOUGH] if outcome.enough else []
    if query[0] not in ("walk", "chain"):
        return tuple(found)
    gold = {outcome.last} if len(outcome.path) == 1 else set()
    joining = [
        name
        for name in sorted(graph.rows)
        if name not in gold and graph.has_edge(outcome.topic, name, outcome.answers[0])
    ]
    return (*joining, *found)


def search_rank(certificate: Certificate, text: str, retriever: Retriever) -> int | None:
    """Return the 1-based rank of the first result that states the last hop, or None.

    Args:
        certificate: The question's certificate.
        text: The question's text, which is the query.
        retriever: The retriever; its first `SEARCH_DEPTH` results are examined.

    Raises:
        CorpusUnavailableError: The retriever did not answer.
    """
    (results,) = retriever.search([text], SEARCH_DEPTH)
    return rank_among(certificate, [passage for passage, _ in results])


def rank_among(certificate: Certificate, results: Sequence[Passage]) -> int | None:
    """Return the 1-based rank of the first result that states the last hop, or None.

    Args:
        certificate: The question's certificate.
        results: Search results, best first.
    """
    stating = set(certificate.path[-1].passages)
    return next((rank for rank, p in enumerate(results, start=1) if p.id in stating), None)


def leaks(graph: Graph, certificate: Certificate, text: str) -> tuple[str, ...]:
    """Return the forbidden names and aliases that a question mentions.

    Forbidden are the path's entities and the answers, except those that the question has to name,
    and the topic if the question describes it instead of naming it.

    Args:
        graph: The graph.
        certificate: The question's certificate.
        text: The question's text.

    Raises:
        UsageError: The query has no unique answer.
    """
    return leaks_of(graph, evaluate(graph, certificate.query), text)


def leaks_of(graph: Graph, outcome: Outcome, text: str) -> tuple[str, ...]:
    """Return the forbidden names that a text mentions, see `leaks`.

    Args:
        graph: The graph.
        outcome: The outcome of the query.
        text: The question's text.
    """
    names: list[str] = []
    for node in outcome.hidden:
        names += graph.names_of(node)
    return mentions(text, names)


@lru_cache(maxsize=2)
def documents_of(graph: Graph) -> Documents:
    """Return the documents of a graph, from a cache."""
    return Documents(graph)


def verify(
    question: Question,
    graph: Graph,
    retriever: Retriever | None = None,
    documents: Documents | None = None,
) -> list[str]:
    """Verify a question against the graph, given only its query.

    A model's guess is taken as it is: no graph says what a model knows.

    Args:
        question: The question.
        graph: The graph of the question.
        retriever: Retriever to verify the search rank, or None.
        documents: The documents of the graph, if some passages are withheld.

    Returns:
        Problems, one line each; empty if the question is proved.
    """
    query = question.proof.query
    try:
        outcome = evaluate(graph, query)
        proof = certificate_of(documents or documents_of(graph), query, outcome)
    except UsageError as error:
        return [str(error)]
    proof = msgspec.structs.replace(proof, guess=question.proof.guess)
    if retriever is None:
        proof = msgspec.structs.replace(proof, search_rank=question.proof.search_rank)
    else:
        rank = search_rank(proof, question.text, retriever)
        proof = msgspec.structs.replace(proof, search_rank=rank)
    problems = [
        f"{field} is {claimed!r}, the graph says {proved!r}"
        for field in Certificate.__struct_fields__
        if (claimed := getattr(question.proof, field)) != (proved := getattr(proof, field))
    ]
    return problems + _claims(question, graph, outcome)


def kind_of(graph: Graph, query: list[Any], outcome: Outcome) -> str:
    """Return the kind of a query's question: the node kinds on its path, or its form.

    Args:
        graph: The graph.
        query: The query.
        outcome: The outcome of the query.
    """
    if query[0] in ("walk", "chain"):
        path = [outcome.topic, *(tail for _, _, tail in outcome.path)]
        return ">".join(graph.kind(node) for node in path)
    if query[0] == "where":
        form = LIST if len(outcome.answers) > 1 else "intersection"
        excluding = [clue for clue in query[2] if clue[0] == LACKS_PHENOTYPE.name]
        if excluding:
            form = "differential" if len(query[2]) > len(excluding) + 1 else "negation"
        return f"{form}:{query[1]}"
    return f"{_FORMS[query[0]]}:{graph.kind(outcome.topic)}"


_FORMS = {"value": "quantity", "most": "comparison"}


def _claims(question: Question, graph: Graph, outcome: Outcome) -> list[str]:
    """Verify the fields of a question outside its certificate."""
    kind = kind_of(graph, question.proof.query, outcome)
    topic = graph.entity(outcome.topic)
    answers = answers_of(graph, outcome)
    checks = {
        f"kind is {question.kind!r}, the path has {kind!r}": question.kind == kind,
        f"topic is {question.subject.id!r}, the graph has {topic!r}": question.topic == topic,
        f"answers differ from the graph's {answers!r}": question.answers == answers,
        f"source is {question.source!r}, the graph is {graph.info.label!r}": (
            question.source == graph.info.label
        ),
    }
    problems = [problem for problem, holds in checks.items() if not holds]
    text = fold(question.text)
    for node in outcome.named:
        name = graph.nodes.names[node]
        if fold_name(name) not in text:
            problems.append(f"the text does not name {name!r}")
    found = leaks_of(graph, outcome, question.text)
    return problems + [f"the text gives away {name!r}" for name in found]
