"""From a graph to a finished set on disk: what ``recipes/synthesize.py`` does, for library users.

The folder holds ``train.jsonl``, the sealed ``test.jsonl``, ``leakage.json``, the data card, and in
``work/`` the saved graph, the search index and the journals. The same call goes on where an earlier
one ended, however that was; with a larger number it extends the set.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import UsageError
from medenv.io import FolderLock, atomic_folder, write_json
from medenv.kg.certificates.certificate import documents_of
from medenv.kg.graph import Graph
from medenv.kg.graph.archive import fingerprint
from medenv.kg.questions.card import DataCard, Origin, data_card, write_card
from medenv.kg.questions.exports import to_dataset, write_verl
from medenv.kg.questions.generator import SPLITS, QuestionSpec
from medenv.kg.questions.overlap import overlaps
from medenv.kg.questions.production import GenerationSpec, Produced, produce, workers, write_set
from medenv.kg.sources import open_source
from medenv.kg.worlds.worlds import WorldSettings, make_world, write_world
from medenv.records import Record, Retriever
from medenv.retrieval import BM25Retriever

EXPORTS = ("verl", "datasets")
"""Forms besides JSON lines in which a set can be written."""


class SynthesisSettings(Record, frozen=True, kw_only=True):
    """A set of questions.

    Args:
        folder: Where it is written.
        source: Name of the graph's source, see `medenv.kg.sources`.
        path: What the source reads, or None.
        options: The source's own options.
        n: Number of training questions.
        n_test: Number of test questions.
        seed: Seed of all randomness.
        workers: Number of processes; the questions do not depend on it.
        graded: Whether to search each question and store its difficulty.
        questions: Which questions.
        benchmarks: Files that the questions are held against for shared wording and answers.
        exports: Further forms to write, of `EXPORTS`.
        worlds: Altered worlds to write beside the set, see `medenv.kg.worlds.worlds`.
    """

    folder: str
    source: str = "hpo"
    path: str | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    n: int = 2_000
    n_test: int = 300
    seed: int = 0
    workers: int = 1
    graded: bool = True
    questions: QuestionSpec = QuestionSpec()
    benchmarks: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    worlds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if min(self.n, self.n_test) < 0:
            raise UsageError(f"expected n >= 0, got n={self.n} and n_test={self.n_test}")
        if self.workers < 1:
            raise UsageError(f"expected at least 1 worker, got {self.workers}")
        for name in self.exports:
            if name not in EXPORTS:
                raise UsageError(f"unknown export {name!r} (known: {', '.join(EXPORTS)})")
        for name in self.worlds:
            WorldSettings(variant=name)


Improve = Callable[[Graph, Retriever | None, dict[str, Produced]], dict[str, Produced]]
"""What may be done to a set between making and writing it, e.g. by a language model."""


def synthesize_set(
    settings: SynthesisSettings,
    say: Callable[[str], object] = lambda _: None,
    made: Callable[[str, int, int], object] = lambda *_: None,
    improve: Improve | None = None,
) -> DataCard:
    """Make a set, or go on with it.

    Args:
        settings: What to make, and where.
        say: Told what is being done, in words.
        made: Told of a split how many questions there will be, and how many there are so far.
        improve: Given the graph, the retriever and the set by split, returns the set to write.

    Raises:
        UsageError: A setting cannot be, or the graph holds fewer questions.
        FolderInUseError: Another process makes a set in the folder.
        DataError: A file is missing or damaged, or the folder holds another run's journals.
    """
    with FolderLock(Path(settings.folder) / "work"):
        return _synthesize(settings, say, made, improve)


def _synthesize(
    settings: SynthesisSettings,
    say: Callable[[str], object],
    made: Callable[[str, int, int], object],
    improve: Improve | None,
) -> DataCard:
    folder = Path(settings.folder)
    say(f"reading {settings.source}")
    graph = open_source(settings.source, settings.path, settings.options)
    recipe = _prepared(graph, settings, folder / "work", say)
    workshop = recipe.workshop()
    produced: dict[str, Produced] = {}
    alone = settings.workers == 1
    with nullcontext() if alone else workers(recipe, settings.workers) as attempts:
        for split, n in zip(SPLITS, (settings.n, settings.n_test), strict=True):
            say(f"{n:,} {split} questions")
            journal, so_far = folder / "work" / f"{split}.journal.jsonl", partial(made, split, n)
            produced[split] = produce(workshop, split, n, journal, attempts, so_far)
    if improve is not None:
        produced = improve(graph, workshop.retriever, produced)
    say(f"writing {folder}")
    leakage = write_set(folder, produced.values())
    origin = Origin(source=settings.source, path=settings.path, options=settings.options)
    card = data_card(graph.info, produced, settings.seed, origin, leakage.shared)
    write_card(folder, card)
    _export(settings, folder, produced)
    _hold_against(settings, folder, produced)
    for name in settings.worlds:
        say(f"making the {name} world")
        questions = [q for made in produced.values() for q in made.questions]
        world = make_world(graph, questions, WorldSettings(variant=name, seed=settings.seed))
        write_world(folder / "worlds" / name, world, grade=settings.graded, again=True)
    return card


def _prepared(
    graph: Graph, settings: SynthesisSettings, work: Path, say: Callable[[str], object]
) -> GenerationSpec:
    """Save the graph and the index where worker processes find them."""
    name = fingerprint(graph)
    if not (work / f"graph-{name}").is_dir():
        graph.save(work / f"graph-{name}")
    recipe = GenerationSpec(work / f"graph-{name}", settings.questions, settings.seed)
    if not settings.graded:
        return recipe
    corpus = work / f"index-{name}"
    if not corpus.is_dir():
        say("indexing the documents")
        with atomic_folder(corpus, existing="keep") as built:
            BM25Retriever(documents_of(graph).passages).save(built)
    return recipe._replace(open_retriever=BM25Retriever.load, corpus=corpus)


def _export(settings: SynthesisSettings, folder: Path, produced: dict[str, Produced]) -> None:
    for split, made in produced.items():
        if "verl" in settings.exports:
            write_verl(folder / f"{split}.parquet", made.questions)
        if "datasets" in settings.exports:
            with atomic_folder(folder / "datasets" / split, existing="replace") as built:
                to_dataset(made.questions).save_to_disk(str(built))


def _hold_against(settings: SynthesisSettings, folder: Path, produced: dict[str, Produced]) -> None:
    if not settings.benchmarks:
        return
    questions = [q for made in produced.values() for q in made.questions]
    found = {name: overlaps(questions, name) for name in settings.benchmarks}
    write_json(folder / "overlap.json", found)
