"""From a graph to a finished question set: what `recipes/synthesize.py` does, as a function.

The same call goes on where an earlier one ended, however that was; a larger number extends the set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from medenv.errors import DataError, UsageError
from medenv.io import FolderLock, atomic_folder, write_json
from medenv.kg.certificates.certificate import documents_of
from medenv.kg.graph import Graph
from medenv.kg.questions.card import data_card, write_card
from medenv.kg.questions.generator import QuestionSpec
from medenv.kg.questions.overlap import overlaps
from medenv.kg.questions.production import GenerationSpec, Produced, produce, workers, write_set
from medenv.kg.questions.sets import CONTENTS, SPLITS, Contents, QuestionSet, write_contents
from medenv.kg.sources import GraphSettings
from medenv.kg.worlds.worlds import WorldSettings, make_world, write_world
from medenv.records import Retriever
from medenv.retrieval import BM25Retriever


class QuestionsSettings(QuestionSpec, frozen=True, kw_only=True):
    """Which questions are made, or where they lie; the config group `questions`.

    Args:
        name: Name of the choice, which is part of the default folder's name.
        path: Folder of a question set, a JSONL or CSV file of one's own, or ``BENCHMARK:PATH`` of a
            published benchmark (`medenv.kg.questions.published`); None makes a set.
        sets: Several of these, asked together; each question keeps the name of its set.
        folder: Where a set is made, reused or extended; empty for
            ``<root>/questions-<name>-<seed>``.
        n: Number of training questions; None for all that there are, or 2,000 where a set is made.
        n_test: Number of test questions, likewise, or 300.
        seed: Seed of all randomness.
        workers: Number of processes; the questions do not depend on it.
        graded: Whether to search each question and store its difficulty.
        world: ``"true"``, or a counterfactual world of `medenv.kg.worlds`, which is fiction.
        columns: For a file of one's own: our name of a column to the file's.
        graphs: Sources to make them from where the graph is ``"auto"``: the first that is here.
        drop_guessed: Whether to leave out questions that a model guesses without a tool, by their
            certificates; a model has to have been asked.
    """

    name: str = "questions"
    path: str | None = None
    sets: tuple[str, ...] = ()
    folder: str = ""
    n: int | None = None
    n_test: int | None = None
    seed: int = 0
    workers: int = 1
    graded: bool = True
    world: str = "true"
    columns: dict[str, str] = msgspec.field(default_factory=dict)
    graphs: tuple[str, ...] = ("hpo",)
    drop_guessed: bool = False

    def __post_init__(self) -> None:
        """Validate the settings."""
        QuestionSpec.__post_init__(self)
        if min(self.n or 0, self.n_test or 0) < 0:
            raise UsageError(f"expected n >= 0, got n={self.n} and n_test={self.n_test}")
        if self.workers < 1:
            raise UsageError(f"expected at least 1 worker, got {self.workers}")
        WorldSettings(variant=self.world)
        if self.sets and self.path is not None:
            raise UsageError(
                f"expected questions.path or questions.sets, got {self.path!r} and "
                f"{', '.join(self.sets)}: put all of them into questions=[...]"
            )
        if self.name == "set" and self.path is None and not self.sets:
            raise UsageError("questions=set needs a path: set questions=FOLDER or questions=FILE")

    @property
    def sizes(self) -> dict[str, int]:
        """Number of questions to make, by split."""
        return {
            "train": DEFAULT_N if self.n is None else self.n,
            "test": DEFAULT_N_TEST if self.n_test is None else self.n_test,
        }

    @property
    def spec(self) -> QuestionSpec:
        """What decides which questions are made, besides graph and seed."""
        names = QuestionSpec.__struct_fields__
        return QuestionSpec(**{name: getattr(self, name) for name in names})


DEFAULT_N, DEFAULT_N_TEST = 2_000, 300
"""Sizes of a set where none are given."""

Improve = Callable[[Graph, Retriever | None, dict[str, Produced]], dict[str, Produced]]
"""Changes a set between making and writing it, e.g. by a language model."""


class Progress:
    """Callbacks that do nothing; a recipe overrides them.

    `say` receives a description of each step, `made` the number of questions of a split so far.
    """

    def say(self, step: str) -> None:
        """Receive a description of the step that begins."""

    def made(self, split: str, wanted: int, so_far: int) -> None:
        """Receive the number of questions of a split so far."""


class Extras(NamedTuple):
    """What else is done to a set when it is written.

    Attributes:
        improve: Receives the graph, the retriever and the set by split; returns the set to write.
        worlds: Counterfactual worlds to write beside the set, see `medenv.kg.worlds`.
        benchmarks: Files to compare the questions with, for shared wording and answers.
    """

    improve: Improve | None = None
    worlds: Sequence[str] = ()
    benchmarks: Sequence[str] = ()


def make_question_set(
    folder: Path | str,
    graph: GraphSettings,
    questions: QuestionsSettings,
    progress: Progress | None = None,
    extras: Extras | None = None,
) -> QuestionSet:
    """Make a question set, continue it, extend it, or return it where it is finished.

    Args:
        folder: Where it is written.
        graph: Where the graph is read from.
        questions: Which questions, and how many.
        progress: Receives steps and counts.
        extras: What else is done; a finished set is written anew with it.

    Raises:
        UsageError: A setting is invalid, or the graph holds fewer questions.
        FolderInUseError: Another process makes a set in the folder.
        DataError: A file is missing or damaged, or the folder holds a set made with other settings.
    """
    folder, progress = Path(folder), progress or Progress()
    with FolderLock(folder / "work"):
        finished = _finished(folder, graph, questions)
        if finished is not None and extras is None:
            return finished
        return _make(folder, graph, questions, progress, extras or Extras())


def _finished(
    folder: Path, graph: GraphSettings, questions: QuestionsSettings
) -> QuestionSet | None:
    """Return the set in a folder where it has all that is asked for."""
    if not (folder / CONTENTS).is_file():
        return None
    found = QuestionSet.open(folder)
    made_with, origin = found.contents.made_with, found.contents.origin
    asked = _made_with(questions)
    other = {
        key: (made_with.get(key), asked.get(key))
        for key in sorted({*made_with, *asked})
        if made_with.get(key) != asked.get(key)
    }
    if origin != graph:
        other["graph"] = (msgspec.to_builtins(origin), msgspec.to_builtins(graph))
    if other:
        changed = "; ".join(
            f"{key} is {was!r} there and {now!r} here" for key, (was, now) in other.items()
        )
        raise DataError(
            folder,
            f"holds questions made with other settings ({changed}); name another folder with"
            " questions.folder=..., or take the set as it is with questions=FOLDER",
        )
    enough = all(found.contents.questions[split] >= n for split, n in questions.sizes.items())
    return found if enough else None


def _made_with(questions: QuestionsSettings) -> dict[str, Any]:
    """Return the settings that decide which questions there are, as plain data."""
    spec: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(questions.spec))
    return {**spec, "seed": questions.seed, "graded": questions.graded}


def _make(
    folder: Path,
    origin: GraphSettings,
    questions: QuestionsSettings,
    progress: Progress,
    extras: Extras,
) -> QuestionSet:
    progress.say(f"reading {origin.source}")
    graph = origin.read()
    graph.save(folder / "graph")
    if not (folder / "corpus").is_dir():
        progress.say("indexing the documents")
        with atomic_folder(folder / "corpus", existing="keep") as built:
            BM25Retriever(documents_of(graph).passages).save(built)
    spec = GenerationSpec(folder / "graph", questions.spec, questions.seed)
    if questions.graded:
        spec = spec._replace(open_retriever=BM25Retriever.load, corpus=folder / "corpus")
    generator = spec.generator()
    produced: dict[str, Produced] = {}
    alone = questions.workers == 1
    with nullcontext() if alone else workers(spec, questions.workers) as attempts:
        for split, n in questions.sizes.items():
            progress.say(f"making {n:,} {split} questions")
            journal, so_far = folder / "work" / f"{split}.jsonl", partial(progress.made, split, n)
            produced[split] = produce(generator, split, n, journal, attempts, so_far)
    if extras.improve is not None:
        produced = extras.improve(graph, generator.retriever, produced)
    progress.say(f"writing {folder}")
    (folder / CONTENTS).unlink(missing_ok=True)
    shared = write_set(folder, produced.values()).shared
    card = data_card(graph.info, produced, questions.seed, origin, shared)
    write_card(folder, card)
    made = [question for split in SPLITS for question in produced[split].questions]
    if extras.benchmarks:
        write_json(
            folder / "overlap.json", {name: overlaps(made, name) for name in extras.benchmarks}
        )
    for name in extras.worlds:
        progress.say(f"making the {name} world")
        settings = WorldSettings(variant=name, seed=questions.seed)
        world = make_world(graph, made, settings)
        write_world(folder / "worlds" / name, world, grade=questions.graded, again=True)
    contents = Contents(
        questions={split: len(produced[split].questions) for split in SPLITS},
        shared=shared,
        origin=origin,
        passages=len(documents_of(graph).passages),
        made_with=_made_with(questions),
    )
    write_contents(folder, contents, graph)
    return QuestionSet.open(folder)


def open_world(
    base: QuestionSet, variant: str, seed: int, say: Callable[[str], None]
) -> QuestionSet:
    """Return a counterfactual world of a question set; it is made where it is missing.

    Args:
        base: The question set.
        variant: Name of the world, see `medenv.kg.worlds`; ``"true"`` returns `base`.
        seed: Seed of the alteration.
        say: Receives a description of each step.

    Raises:
        UsageError: The set has no graph.
    """
    settings = WorldSettings(variant=variant, seed=seed)
    if settings.variant == "true":
        return base
    if base.graph is None:
        raise UsageError(f"{base.folder} has no graph to make the {variant} world from")
    folder = base.folder / "worlds" / settings.variant
    if not (folder / CONTENTS).is_file():
        say(f"making the {settings.variant} world")
        world = make_world(Graph.load(base.graph), base.questions(), settings)
        write_world(folder, world, again=folder.exists())
    return QuestionSet.open(folder)
