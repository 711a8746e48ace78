"""Worlds: the true one, and altered ones in which what a model remembers does not help.

    true           the source's content
    renamed        every entity under an invented name, in graph, passages and questions
    rewired        the edges that decide questions swapped in pairs; names stay
    unanswerable   passages taken away until some questions can only be abstained from

Altered worlds are fiction, made on the user's machine and labelled as what they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.certificates.certificate import answers_of, documents_of, verify
from medenv.kg.certificates.queries import evaluate
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph
from medenv.kg.questions.drafts import Rejected
from medenv.kg.worlds.counterfactual import graded, numbered
from medenv.kg.worlds.renamed import Renaming
from medenv.kg.worlds.rewired import Rewiring
from medenv.kg.worlds.unanswerable import Removal, both_ends, link
from medenv.records import Question, Record, Retriever

Variant = Literal["true", "renamed", "rewired", "unanswerable"]
VARIANTS: tuple[Variant, ...] = ("true", "renamed", "rewired", "unanswerable")


class WorldSettings(Record, frozen=True, kw_only=True):
    """How a world differs from the true one.

    Args:
        variant: Name of the world, of `VARIANTS`.
        seed: Seed of the alteration.
        share: Share of the questions that an unanswerable world takes the answer from, in (0, 1].
    """

    variant: str = "true"
    seed: int = 0
    share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no world; a bare ``true`` in YAML is the true one."""
        msgspec.structs.force_setattr(self, "variant", self.variant.casefold())
        if self.variant not in VARIANTS:
            raise UnknownNameError("world", self.variant, VARIANTS)
        if not 0 < self.share <= 1:
            raise UsageError(f"expected a share in (0, 1], got {self.share}")


class CounterfactualWorld(NamedTuple):
    """A world.

    Args:
        settings: How it differs from the true one.
        documents: Its documents, with its graph.
        questions: Questions proved in it; those without an answer ask to abstain.
        rejected: Number of questions that do not exist in it, by reason.
    """

    settings: WorldSettings
    documents: Documents
    questions: tuple[Question, ...]
    rejected: dict[str, int]

    @property
    def graph(self) -> Graph:
        """Its graph."""
        return self.documents.graph


def make_world(
    graph: Graph, questions: Sequence[Question], settings: WorldSettings
) -> CounterfactualWorld:
    """Return a world made from the true one; the same arguments make the same world.

    Args:
        graph: The true graph.
        questions: Questions proved in it.
        settings: How to alter it.

    Raises:
        UsageError: The graph is altered already, or a question is not about it.
    """
    asked = tuple(questions)
    for question in asked:
        if question.source != graph.info.label:
            raise UsageError(
                f"question {question.id} is about {question.source!r}, "
                f"expected {graph.info.label!r}"
            )
    match settings.variant:
        case "renamed":
            renaming = Renaming(graph, settings.seed)
            return _asked(settings, documents_of(renaming.graph), asked, renaming.question)
        case "rewired":
            rewiring = Rewiring(graph, asked, settings.seed)
            return _asked(settings, documents_of(rewiring.graph), asked, rewiring.question)
        case "unanswerable":
            removal = Removal(graph, asked, settings.seed, settings.share)
            return _asked(settings, removal.documents, asked, removal.question)
    return CounterfactualWorld(settings, documents_of(graph), asked, {})


def _asked(
    settings: WorldSettings,
    documents: Documents,
    questions: Sequence[Question],
    alter: Callable[[Question], Question],
) -> CounterfactualWorld:
    rejected: Counter[str] = Counter()
    kept = []
    for question in questions:
        try:
            kept.append(alter(question))
        except Rejected as reason:
            rejected[reason.reason] += 1
    return CounterfactualWorld(settings, documents, numbered(kept), dict(sorted(rejected.items())))


def graded_world(world: CounterfactualWorld, retriever: Retriever) -> CounterfactualWorld:
    """Return a world whose questions have a search rank and a difficulty.

    Args:
        world: The world.
        retriever: Searches its passages.

    Raises:
        CorpusUnavailableError: The retriever did not answer.
    """
    questions = tuple(
        graded(world.graph, question, retriever) if question.answers else question
        for question in world.questions
    )
    return world._replace(questions=questions)


def check_world(world: CounterfactualWorld) -> list[str]:
    """Prove every question of a world again, from its graph and its passages alone.

    Args:
        world: The world.

    Returns:
        What is wrong, one line each; empty where everything is proved.
    """
    documents = world.documents
    whole = Documents(world.graph)
    problems = []
    lost: set[tuple[str, str]] = set()
    for question in world.questions:
        found = [] if question.world == world.graph.info.world else ["is not labelled"]
        if question.answers:
            found += verify(question, world.graph, documents=documents)
        else:
            found += _unanswered(question, documents, whole)
            lost |= {link(hop) for hop in question.proof.path if not hop.passages}
        problems += [f"{question.id}: {line}" for line in found]
    left = both_ends(world.graph, documents.passages, lost)
    return problems + [f"{passage} shows a hop that was to be removed" for passage in sorted(left)]


def _unanswered(question: Question, documents: Documents, whole: Documents) -> list[str]:
    """Check a question without an answer: it had one, and lost a hop of its path."""
    proof = question.proof
    hops = [hop for hop in (*proof.path, *proof.clues)]
    wrong = [h for h in hops if h.passages != documents.supporting(h.head, h.relation, h.tail)]
    problems = [f"the passages of {h.head} {h.relation} {h.tail} are not those left" for h in wrong]
    if all(hop.passages for hop in proof.path):
        problems.append("every hop of its path is still stated")
    restored = [
        tuple(
            msgspec.structs.replace(h, passages=whole.supporting(h.head, h.relation, h.tail))
            for h in some
        )
        for some in (proof.path, proof.clues)
    ]
    graph = whole.graph
    before = msgspec.structs.replace(
        question,
        answers=answers_of(graph, evaluate(graph, proof.query)),
        certificate=msgspec.structs.replace(proof, path=restored[0], clues=restored[1]),
    )
    return problems + verify(before, graph, documents=whole)
