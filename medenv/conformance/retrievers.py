"""Contracts of retrievers, checked on a small corpus."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from medenv.conformance.report import Check, NotApplicable, Result, holds, run_checks
from medenv.conformance.tools import HOSTILE
from medenv.errors import InfraError, UsageError
from medenv.io import write_records
from medenv.records import Passage, Retriever

FACTS = (
    ("Marfan syndrome", "The gene FBN1 is altered. Tall stature, long fingers, aortic dilation."),
    ("Cystic fibrosis", "The gene CFTR is altered. Thick mucus, salty sweat, lung infections."),
    ("Gout", "Urate crystals settle in joints. The big toe hurts at night."),
    ("Scurvy", "Vitamin C is missing. Gums bleed, wounds heal slowly."),
    ("Phenylketonuria", "The gene PAH is altered. Phenylalanine rises in the blood."),
    ("Wilson disease", "The gene ATP7B is altered. Copper collects in liver and brain."),
    ("Haemochromatosis", "The gene HFE is altered. Iron collects in liver, heart and joints."),
    ("Huntington disease", "The gene HTT is altered. Chorea, loss of memory, changed mood."),
)


def corpus() -> list[Passage]:
    """Return the passages that retrievers are tried on."""
    return [
        Passage(id=f"P{number}#0", title=title, text=text)
        for number, (title, text) in enumerate(FACTS)
    ]


class RetrieverUnderTest:
    """A retriever over a corpus.

    Args:
        opener: Opens a corpus at a path.
        path: The corpus.
        own: Whether it is one of its own; else it is `corpus`.
    """

    def __init__(self, opener: Callable[[str], Retriever], path: str, *, own: bool) -> None:
        self._opener, self._path, self.own = opener, path, own

    @cached_property
    def retriever(self) -> Retriever:
        """The retriever."""
        return self._opener(self._path)


def _found(one: RetrieverUnderTest, query: str, k: int = 3) -> list[tuple[str, float]]:
    try:
        (hits,) = one.retriever.search([query], k)
    except InfraError as error:
        raise NotApplicable(f"its backend does not answer here: {error}") from error
    return [(passage.id, score) for passage, score in hits]


def it_finds_a_passage_by_its_title(one: RetrieverUnderTest) -> str:
    """A search for a title finds its passage."""
    if one.own:
        raise NotApplicable("the corpus is its own, what is in it is not known")
    missed = [
        title
        for number, (title, _) in enumerate(FACTS)
        if f"P{number}#0" not in [found for found, _ in _found(one, title)]
    ]
    holds(not missed, f"expected each passage among three by its title, not {', '.join(missed)}")
    return f"{len(FACTS)} titles"


def the_best_come_first_and_no_more_than_asked(one: RetrieverUnderTest) -> str:
    """Scores fall, and `k` is a bound."""
    for k in (1, 3, 100):
        hits = _found(one, "the gene is altered in the liver", k)
        holds(len(hits) <= k, f"expected {k} passages at most, got {len(hits)}")
        scores = [score for _, score in hits]
        holds(scores == sorted(scores, reverse=True), f"expected falling scores, got {scores}")
        holds(len({found for found, _ in hits}) == len(hits), "expected each passage once")
    return "1, 3 and 100 passages"


def several_queries_are_several_searches(one: RetrieverUnderTest) -> str:
    """Calls of many episodes are searched together."""
    queries = ["copper in the liver", "vitamin", "nothing like it", "copper in the liver"]
    alone = [_found(one, query) for query in queries]
    together = [
        [(passage.id, score) for passage, score in hits]
        for hits in one.retriever.search(queries, 3)
    ]
    same = [
        [found for found, _ in hits] == [found for found, _ in others]
        for hits, others in zip(alone, together, strict=True)
    ]
    holds(all(same), "expected what each query finds alone, got something else together")
    return f"{len(queries)} queries"


def the_same_query_finds_the_same(one: RetrieverUnderTest) -> str:
    """Ties have an order."""
    first, second = (_found(one, "the gene is altered", 8) for _ in range(2))
    holds(first == second, "expected the same passages twice, got others")
    return f"{len(first)} passages, twice"


def hostile_queries_are_answered(one: RetrieverUnderTest) -> str:
    """A policy may search for any text."""
    for query in HOSTILE:
        _found(one, query)
    return f"{len(HOSTILE)} queries"


def passages_are_read_by_id(one: RetrieverUnderTest) -> str:
    """A passage of a search can be read by its id; an unknown id gives None."""
    hits = _found(one, "the gene is altered")
    if not hits:
        raise NotApplicable("a search found nothing")
    passage = one.retriever.get(hits[0][0])
    holds(passage is not None and passage.id == hits[0][0], f"expected passage {hits[0][0]}")
    missing = one.retriever.get("no such passage")
    holds(missing is None, f"expected None for an unknown id, got {missing!r:.80}")
    return hits[0][0]


def a_bound_below_one_is_refused(one: RetrieverUnderTest) -> str:
    """An invalid argument raises a UsageError."""
    try:
        one.retriever.search(["gene"], 0)
    except UsageError as error:
        return str(error)
    except InfraError as error:
        raise NotApplicable(f"its backend does not answer here: {error}") from error
    holds(False, "expected a UsageError for k = 0, got an answer")
    return ""


def it_travels_to_other_processes(one: RetrieverUnderTest) -> str:
    """Trainers play episodes in workers."""
    again: Retriever = pickle.loads(pickle.dumps(one.retriever))
    here = _found(one, "copper")
    there = [(passage.id, score) for passage, score in again.search(["copper"], 3)[0]]
    holds(here == there, "expected the same passages after the journey, got others")
    return f"{len(here)} passages"


CHECKS: tuple[Check[RetrieverUnderTest], ...] = (
    it_finds_a_passage_by_its_title,
    the_best_come_first_and_no_more_than_asked,
    several_queries_are_several_searches,
    the_same_query_finds_the_same,
    hostile_queries_are_answered,
    passages_are_read_by_id,
    a_bound_below_one_is_refused,
    it_travels_to_other_processes,
)


def check_retriever(opener: Callable[[str], Retriever], path: str | None) -> list[Result]:
    """Hold a retriever against all contracts.

    Args:
        opener: Opens a corpus at a path.
        path: The corpus; None for the small one, written to a file of passages.
    """
    if path is not None:
        return run_checks(CHECKS, RetrieverUnderTest(opener, path, own=True))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corpus.jsonl"
        write_records(file, corpus())
        return run_checks(CHECKS, RetrieverUnderTest(opener, str(file), own=False))
