"""Worlds on disk: graph, index and questions, with a notice of what they are.

A folder holds ``graph/``, ``corpus/``, ``train.jsonl``, the sealed ``test.jsonl``,
``leakage.json``, ``world.json`` and a ``README.md`` that says so in words.
"""

from __future__ import annotations

from pathlib import Path

from medenv.errors import DataError
from medenv.io import read_json, whole_folder, write_json, write_text
from medenv.kg.certificates.certificate import documents_of
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph
from medenv.kg.questions.sets import SPLITS, Contents, write_contents
from medenv.kg.questions.store import leakage_certificate, read_questions, write_questions
from medenv.kg.worlds.worlds import CounterfactualWorld, WorldSettings, graded_world
from medenv.records import Record
from medenv.retrieval import BM25Retriever

_WORDS = {
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
    """What ``world.json`` says.

    Args:
        fiction: Whether the world is altered.
        settings: How it differs from the true one.
        source: Label of its graph.
        terms: Notice and terms of use.
        questions: Number of questions by split.
        unanswerable: Number of those that have no answer in it.
        rejected: Number of questions that do not exist in it, by reason.
        hidden: Ids of the passages that were taken away.
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
    """Write a world, whole or not at all, and return what ``world.json`` says.

    Args:
        folder: Where to.
        world: The world.
        grade: Whether to search each question and store its rank and difficulty.
        again: Whether a world that lies there already is replaced.

    Raises:
        DataError: The folder exists, and is no world that may be replaced.
    """
    target = Path(folder)
    if target.exists():
        if not again:
            raise DataError(target, "exists already; name a new folder")
        read_world_file(target)
    with whole_folder(target, existing="replace" if again else "refuse") as partial:
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
    told = WorldFile(
        fiction=bool(info.world),
        settings=world.settings,
        source=info.label,
        terms=" ".join(part for part in (info.licence, info.acknowledgement) if part),
        questions=dict(zip(SPLITS, map(len, splits), strict=True)),
        unanswerable=sum(not question.answers for question in world.questions),
        rejected=world.rejected,
        hidden=tuple(sorted(world.documents.hidden)),
    )
    write_json(folder / "world.json", told)
    write_text(folder / "README.md", _readme(told))
    contents = Contents(
        questions=told.questions,
        shared=leakage.shared,
        passages=len(world.documents.passages),
    )
    write_contents(folder, contents, world.graph)
    return told


def _readme(told: WorldFile) -> str:
    title = "FICTION: the" if told.fiction else "The"
    counts = ", ".join(f"{count:,} {split}" for split, count in told.questions.items())
    lost = f"; {told.unanswerable:,} of them have no answer here" if told.unanswerable else ""
    parts = [
        f"# {title} {told.settings.variant} world",
        _WORDS[told.settings.variant],
        "For research on models. Not medical advice, and nothing to learn medicine from.",
        f"{told.source}. Questions: {counts}{lost}.",
        "## Terms",
        told.terms,
    ]
    if told.rejected:
        rows = "\n".join(f"| {reason} | {count:,} |" for reason, count in told.rejected.items())
        parts += ["## Questions left out", f"| Reason | Questions |\n|---|---:|\n{rows}"]
    return "\n\n".join(parts) + "\n"


def read_world(folder: Path | str) -> CounterfactualWorld:
    """Read a world that was written.

    Args:
        folder: Where it lies.

    Raises:
        DataError: A file is missing, cut short or malformed.
    """
    base = Path(folder)
    told = read_world_file(base)
    graph = Graph.load(base / "graph")
    hidden = frozenset(told.hidden)
    documents = Documents(graph, hidden) if hidden else documents_of(graph)
    questions = [q for split in SPLITS for q in read_questions(base / f"{split}.jsonl")]
    return CounterfactualWorld(told.settings, documents, tuple(questions), told.rejected)


def read_world_file(folder: Path | str) -> WorldFile:
    """Return what a world's ``world.json`` says.

    Args:
        folder: Where the world lies.

    Raises:
        DataError: The file is missing, cut short or malformed.
    """
    return read_json(Path(folder) / "world.json", WorldFile, "a world")
