"""The unanswerable world: passages are removed, so that the right answer is to abstain.

For some questions all evidence of one hop is removed: the passages that state it, and those that
mention both of its ends. This is repeated for other affected questions until every question has
either all of its passages or lacks a complete hop. The graph is unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec
import numpy as np

from medenv.errors import UsageError
from medenv.kg.documents import Documents
from medenv.kg.documents.naming import mentions
from medenv.kg.graph import Graph
from medenv.kg.graph.schema import LACKS_PHENOTYPE
from medenv.kg.questions.drafts import Rejected, Rejection
from medenv.kg.worlds.counterfactual import fictional, proved_anew
from medenv.records import Certificate, Hop, Passage, Question
from medenv.retrieval.filtered import ABSTAIN
from medenv.text import words


@dataclass(frozen=True, eq=False)
class Removal:
    """Removal of the evidence of some questions from a corpus.

    Args:
        true: The true graph.
        questions: The questions.
        seed: Seed of the choice.
        share: Share of the questions to make unanswerable, in (0, 1].
    """

    true: Graph
    questions: tuple[Question, ...]
    seed: int = 0
    share: float = 0.5

    @cached_property
    def graph(self) -> Graph:
        """The true graph, labelled as fiction; texts could state what the passages withhold."""
        info = fictional(self.true.info, "unanswerable", self.seed)
        return replace(self.true, info=info, prose=())

    @cached_property
    def documents(self) -> Documents:
        """The documents without the hidden passages."""
        return Documents(self.graph, self.hidden)

    @cached_property
    def hidden(self) -> frozenset[str]:
        """Ids of the removed passages."""
        if not 0 < self.share <= 1:
            raise UsageError(f"expected a share in (0, 1], got {self.share}")
        passages = Documents(self.graph).passages
        hops = [hop for hop in map(self._chosen, self._drawn) if hop is not None]
        lost: dict[tuple[str, str], Hop] = {}
        hidden: set[str] = set()
        while new := {link(hop): hop for hop in hops if link(hop) not in lost}:
            lost |= new
            for hop in new.values():
                hidden |= set(hop.passages)
            hidden |= both_ends(self.true, passages, new)
            hops = [hop for q in self.questions for hop in _hops(q) if hidden >= set(hop.passages)]
        return frozenset(hidden)

    @cached_property
    def _drawn(self) -> list[Question]:
        """The randomly selected questions that lose a hop."""
        usable = [q for q in self.questions if self._chosen(q) is not None]
        order = np.random.default_rng([self.seed, len(usable)]).permutation(len(usable))
        return [usable[int(i)] for i in order[: round(len(usable) * self.share)]]

    def _chosen(self, question: Question) -> Hop | None:
        """Return the hop that a question can lose, or None."""
        proof = question.proof
        form = proof.query[0]
        if proof.shortcuts or form not in ("walk", "chain", "value", "where"):
            return None
        negated = form == "where" and any(
            clue[0] == LACKS_PHENOTYPE.name for clue in proof.query[2]
        )
        return None if negated or len(proof.answers) > 1 else proof.path[-1]

    def question(self, question: Question) -> Question:
        """Return a question in the world without the hidden passages.

        Args:
            question: One of the questions.

        Raises:
            Rejected: The question is neither answerable nor clearly unanswerable.
        """
        lost = [hop for hop in _hops(question) if self.hidden >= set(hop.passages)]
        text = question.text + ABSTAIN
        if not lost:
            query = question.proof.query
            return proved_anew(self.documents, question, query, text, question.rare)
        if self._chosen(question) is None or not set(lost) & set(question.proof.path):
            raise Rejected(Rejection.PASSAGE_LOST)
        return msgspec.structs.replace(
            question,
            text=text,
            answers=(),
            certificate=self._pruned(question),
            source=self.graph.info.label,
            world=self.graph.info.world,
            grades={},
            difficulty=None,
        )

    def _pruned(self, question: Question) -> Certificate:
        """Return a question's certificate with the remaining passages."""
        proof = question.proof
        path, clues = (
            tuple(
                msgspec.structs.replace(
                    hop, passages=tuple(p for p in hop.passages if p not in self.hidden)
                )
                for hop in hops
            )
            for hops in (proof.path, proof.clues)
        )
        return msgspec.structs.replace(proof, path=path, clues=clues, search_rank=None)


def _hops(question: Question) -> tuple[Hop, ...]:
    return (*question.proof.path, *question.proof.clues)


def link(hop: Hop) -> tuple[str, str]:
    """Return the ends of a hop, sorted."""
    first, second = sorted((hop.head, hop.tail))
    return first, second


def both_ends(
    graph: Graph, passages: Sequence[Passage], links: Iterable[tuple[str, str]]
) -> set[str]:
    """Return the ids of passages that mention both ends of a link or are about one of them.

    Args:
        graph: The graph.
        passages: All passages.
        links: Pairs of entity ids.
    """
    pairs = [(graph.entity(graph.number(a)), graph.entity(graph.number(b))) for a, b in links]
    names = {e.id: [e.name, *e.aliases] for pair in pairs for e in pair}
    indexed = {word for aliases in names.values() for name in aliases for word in words(name)}
    index: dict[str, set[int]] = {}
    about: dict[str, set[int]] = {}
    for number, passage in enumerate(passages):
        about.setdefault(passage.entity, set()).add(number)
        for word in indexed.intersection(words(passage.text)):
            index.setdefault(word, set()).add(number)

    def mentioning(entity: str) -> set[int]:
        found = set(about.get(entity, ()))
        for name in names[entity]:
            rows = [index.get(word, set()) for word in words(name)] or [set()]
            near = set.intersection(*sorted(rows, key=len))
            found |= {n for n in near - found if mentions(passages[n].text, [name])}
        return found

    where = {entity: mentioning(entity) for entity in sorted(names)}
    shown = set().union(*(where[a.id] & where[b.id] for a, b in pairs))
    return {passages[number].id for number in shown}
