"""Worlds: the true one, and counterfactual ones that cannot be answered from memory.

    true           the source's content
    renamed        invented names of all entities in graph, passages and questions
    rewired        pairs of edges that decide questions are swapped; names are unchanged
    unanswerable   passages are removed until some questions have no answer

Counterfactual worlds are fiction, created on the user's machine and labelled as such. A world's
folder contains ``graph/``, ``corpus/``, ``train.jsonl``, the sealed ``test.jsonl``,
``leakage.json``, ``world.json``, a ``README.md`` and ``contents.json``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import atomic_folder, read_json, write_json, write_text
from medenv.kg.certificates.certificate import answers_of, documents_of, verify
from medenv.kg.certificates.queries import evaluate
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph
from medenv.kg.questions.drafts import Rejected
from medenv.kg.questions.sets import SPLITS, Contents, write_contents
from medenv.kg.questions.store import leakage_certificate, read_questions, write_questions
from medenv.kg.worlds.counterfactual import graded, numbered
from medenv.kg.worlds.renamed import Renaming
from medenv.kg.worlds.rewired import Rewiring
from medenv.kg.worlds.unanswerable import Removal, both_ends, link
from medenv.records import Question, Record, Retriever
from medenv.retrieval import BM25Retriever

Variant = Literal["true", "renamed", "rewired", "unanswerable"]
VARIANTS: tuple[Variant, ...] = ("true", "renamed", "rewired", "unanswerable")


class WorldSettings(Record, frozen=True, kw_only=True):
    """Settings of a world.

    Args:
        variant: Kind of world, one of `VARIANTS`.
        seed: Random seed.
        share: Share of questions without an answer in an unanswerable world, in (0, 1].
    """

    variant: str = "true"
    seed: int = 0
    share: float = 0.5

    def __post_init__(self) -> None:
        """Validate the settings; a bare ``true`` in YAML is the true world."""
        msgspec.structs.force_setattr(self, "variant", self.variant.casefold())
        if self.variant not in VARIANTS:
            raise UnknownNameError("world", self.variant, VARIANTS)
        if not 0 < self.share <= 1:
            raise UsageError(f"expected a share in (0, 1], got {self.share}")


class CounterfactualWorld(NamedTuple):
    """A world with its graph, documents and questions.

    Args:
        settings: Settings of the world.
        documents: Documents of its graph.
        questions: Questions proved in it; the right answer to those without one is to abstain.
        rejected: Number of rejected questions by reason.
    """

    settings: WorldSettings
    documents: Documents
    questions: tuple[Question, ...]
    rejected: dict[str, int]

    @property
    def graph(self) -> Graph:
        """The graph of the world."""
        return self.documents.graph


def make_world(
    graph: Graph, questions: Sequence[Question], settings: WorldSettings
) -> CounterfactualWorld:
    """Create a world from the true graph, reproducibly for the same arguments.

    Args:
        graph: The true graph.
        questions: Questions proved in it.
        settings: Settings of the world.

    Raises:
        UsageError: The graph is already altered, or a question is about another graph.
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
            return _altered(settings, documents_of(renaming.graph), asked, renaming.question)
        case "rewired":
            rewiring = Rewiring(graph, asked, settings.seed)
            return _altered(settings, documents_of(rewiring.graph), asked, rewiring.question)
        case "unanswerable":
            removal = Removal(graph, asked, settings.seed, settings.share)
            return _altered(settings, removal.documents, asked, removal.question)
    return CounterfactualWorld(settings, documents_of(graph), asked, {})


def _altered(
    settings: WorldSettings,
    documents: Documents,
    questions: Sequence[Question],
    alter: Callable[[Question], Question],
) -> CounterfactualWorld:
    rejected: Counter[str] = Counter()
    altered = []
    for question in questions:
        try:
            altered.append(alter(question))
        except Rejected as reason:
            rejected[reason.reason] += 1
    counts = dict(sorted(rejected.items()))
    return CounterfactualWorld(settings, documents, numbered(altered), counts)


def graded_world(world: CounterfactualWorld, retriever: Retriever) -> CounterfactualWorld:
    """Return a world with search ranks and difficulties of its questions.

    Args:
        world: The world.
        retriever: Retriever of its passages.

    Raises:
        CorpusUnavailableError: The retriever did not answer.
    """
    questions = tuple(
        graded(world.graph, question, retriever) if question.answers else question
        for question in world.questions
    )
    return world._replace(questions=questions)


def check_world(world: CounterfactualWorld) -> list[str]:
    """Verify every question of a world, given its graph and passages.

    Args:
        world: The world.

    Returns:
        Problems, one line each; empty if all questions are proved.
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
    """Verify that a question without an answer had one and lost a hop of its path."""
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


_DESCRIPTIONS = {
    "true": "The source's own content, unaltered.",
    "renamed": (
        "Every entity bears an invented name and id, in graph, passages, questions and answers. "
        "Any likeness to real names is chance."
    ),
    "rewired": (
        "Names are real, what is said of them is not: edges were swapped in pairs, so diseases, "
        "genes and findings are connected in ways that nobody has ever reported."
    ),
    "unanswerable": (
        "Passages were taken away. Questions without an answer in this world ask to abstain; "
        'the right answer to them is "unknown".'
    ),
}


class WorldFile(Record, frozen=True, kw_only=True):
    """Content of ``world.json``.

    Args:
        fiction: Whether the world is altered.
        settings: Settings of the world.
        source: Label of its graph.
        terms: Notice and terms of use.
        questions: Number of questions by split.
        unanswerable: Number of questions without an answer.
        rejected: Number of rejected questions by reason.
        hidden: Ids of the removed passages.
    """

    fiction: bool
    settings: WorldSettings
    source: str
    terms: str
    questions: dict[str, int]
    unanswerable: int
    rejected: dict[str, int]
    hidden: tuple[str, ...]


def write_world(
    folder: Path | str, world: CounterfactualWorld, *, grade: bool = True, again: bool = False
) -> WorldFile:
    """Write a world atomically and return the content of ``world.json``.

    Args:
        folder: The folder.
        world: The world.
        grade: Whether to compute search rank and difficulty of each question.
        again: Whether to replace an existing world.

    Raises:
        DataError: The folder exists and is not a world to replace.
    """
    target = Path(folder)
    if target.exists():
        if not again:
            raise DataError(target, "already exists; choose a new folder")
        read_world_file(target)
    with atomic_folder(target, existing="replace" if again else "refuse") as partial:
        return _write(partial, world, grade)


def _write(folder: Path, world: CounterfactualWorld, grade: bool) -> WorldFile:
    world.graph.save(folder / "graph")
    retriever = BM25Retriever(world.documents.passages)
    retriever.save(folder / "corpus")
    if grade:
        world = graded_world(world, retriever)
    splits = [[q for q in world.questions if q.split == split] for split in SPLITS]
    for split, questions in zip(SPLITS, splits, strict=True):
        write_questions(folder / f"{split}.jsonl", questions, sealed=split == "test")
    leakage = leakage_certificate(*splits)
    write_json(folder / "leakage.json", leakage)
    info = world.graph.info
    card = WorldFile(
        fiction=bool(info.world),
        settings=world.settings,
        source=info.label,
        terms=" ".join(part for part in (info.licence, info.acknowledgement) if part),
        questions=dict(zip(SPLITS, map(len, splits), strict=True)),
        unanswerable=sum(not question.answers for question in world.questions),
        rejected=world.rejected,
        hidden=tuple(sorted(world.documents.hidden)),
    )
    write_json(folder / "world.json", card)
    write_text(folder / "README.md", _readme(card))
    contents = Contents(
        questions=card.questions,
        shared=leakage.shared,
        passages=len(world.documents.passages),
    )
    write_contents(folder, contents, world.graph)
    return card


def _readme(card: WorldFile) -> str:
    title = "FICTION: the" if card.fiction else "The"
    counts = ", ".join(f"{count:,} {split}" for split, count in card.questions.items())
    lost = f"; {card.unanswerable:,} of them have no answer here" if card.unanswerable else ""
    parts = [
        f"# {title} {card.settings.variant} world",
        _DESCRIPTIONS[card.settings.variant],
        "For research on models. Not medical advice, and nothing to learn medicine from.",
        f"{card.source}. Questions: {counts}{lost}.",
        "## Terms",
        card.terms,
    ]
    if card.rejected:
        rows = "\n".join(f"| {reason} | {count:,} |" for reason, count in card.rejected.items())
        parts += ["## Questions left out", f"| Reason | Questions |\n|---|---:|\n{rows}"]
    return "\n\n".join(parts) + "\n"


def read_world(folder: Path | str) -> CounterfactualWorld:
    """Read a world.

    Args:
        folder: The folder.

    Raises:
        DataError: A file is missing, truncated or malformed.
    """
    base = Path(folder)
    card = read_world_file(base)
    graph = Graph.load(base / "graph")
    hidden = frozenset(card.hidden)
    documents = Documents(graph, hidden) if hidden else documents_of(graph)
    questions = [q for split in SPLITS for q in read_questions(base / f"{split}.jsonl")]
    return CounterfactualWorld(card.settings, documents, tuple(questions), card.rejected)


def read_world_file(folder: Path | str) -> WorldFile:
    """Read a world's ``world.json``.

    Args:
        folder: The folder of the world.

    Raises:
        DataError: The file is missing, truncated or malformed.
    """
    return read_json(Path(folder) / "world.json", WorldFile, "a world")
