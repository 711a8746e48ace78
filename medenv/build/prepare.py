"""From settings to what lies on disk, and from there to an environment, in any process."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from medenv.build.calibration import unguessed
from medenv.build.environment import Parts, make_dialect, make_parts
from medenv.build.plugins import RETRIEVERS, TOOLS
from medenv.build.retrieval import open_retriever, prepare_corpus
from medenv.build.scoring import build_scoring
from medenv.build.sets import combined_question_set, named_question_set
from medenv.build.settings import EnvironmentSpec, QuestionsSettings, RunSettings
from medenv.data import is_here
from medenv.errors import UsageError
from medenv.io import read_json, write_json
from medenv.kg import Graph
from medenv.kg.graph.archive import fingerprint
from medenv.kg.questions.benchmarks import refuse_benchmarks
from medenv.kg.questions.sets import QuestionSet, is_question_set
from medenv.kg.questions.synthesis import Progress, make_question_set, open_world
from medenv.kg.sources import GraphSettings
from medenv.records import Question
from medenv.rollouts.driver import Rollouts

DEFAULT_GRAPH = GraphSettings(source="hpo")
"""The graph that questions are made from where none is named."""

ENVIRONMENT = "environment.json"
"""Name of the file that holds an `EnvironmentSpec`."""


class Steps(Progress):
    """Progress that only reports steps.

    Args:
        say: Receives a description of each step.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say

    def say(self, step: str) -> None:
        """Report the step that begins."""
        self._say(step)


class Prepared(NamedTuple):
    """What a run needs on disk.

    Attributes:
        questions: The question set.
        train: Number of training questions that are used, or None for all.
        test: Number of test questions, likewise.
        spec: Everything an episode needs.
        drop_guessed: Whether questions that a model guesses are left out.
    """

    questions: QuestionSet
    train: int | None
    test: int | None
    spec: EnvironmentSpec
    drop_guessed: bool = False

    def asked(self, split: str) -> tuple[Question, ...]:
        """Return the questions of a split that are used.

        Args:
            split: ``"train"`` or ``"test"``.

        Raises:
            DataError: A file is missing or damaged.
            UsageError: The set holds fewer than are to be used, or no guesses to leave out.
        """
        n = self.train if split == "train" else self.test
        if not self.drop_guessed:
            return self.questions.questions(split, n)
        left = unguessed(self.questions.questions(split))
        if n is not None and len(left) < n:
            raise UsageError(
                f"{self.questions.folder} holds {len(left):,} {split} questions that no model"
                f" guesses, {n:,} were asked for"
            )
        return left[:n]

    def for_training(self) -> tuple[Question, ...]:
        """Return the training questions that are used.

        Raises:
            UsageError: There are none, or one is of a published benchmark.
        """
        questions = self.asked("train")
        if not questions:
            raise UsageError(
                f"{self.questions.folder} holds no training questions, so nothing can be trained "
                "on it (a published benchmark is for tests alone): name another set with "
                "questions=..., or evaluate a policy on this one with recipes/evaluate.py"
            )
        refuse_benchmarks(questions)
        return questions


def prepare(
    settings: RunSettings, progress: Progress | None = None, *, n: int | None = None
) -> Prepared:
    """Make or find everything that episodes of a run need.

    Args:
        settings: The run's settings.
        progress: Receives steps and counts.
        n: Number of training questions, instead of `settings.questions.n`.

    Raises:
        UsageError: Settings contradict each other.
        DataError: A file is missing or damaged, or a folder was made with other settings.
    """
    progress, root = progress or Progress(), Path(settings.root)
    check(settings)
    asked = settings.questions
    if n is not None:
        asked = msgspec.structs.replace(asked, n=n)
    if settings.environment is not None:
        spec = read_json(Path(settings.environment), EnvironmentSpec, "an environment")
        return Prepared(QuestionSet.open(spec.questions), n, None, spec)
    found = question_set(asked, settings.graph, root, progress)
    graph = _graph(settings.graph, found, root, progress.say)
    corpus = prepare_corpus(
        settings.corpus,
        settings.retriever,
        Graph.load(graph) if graph is not None else None,
        found.corpus,
        root,
        progress.say,
    )
    spec = EnvironmentSpec(
        questions=str(found.folder),
        graph=str(graph) if graph is not None else None,
        corpus=corpus,
        retriever=settings.retriever,
        env=settings.env,
        scoring=settings.scoring,
        verdicts=settings.scoring.judge.cache or str(root / "verdicts"),
    )
    return Prepared(found, asked.n, asked.n_test, spec, asked.drop_guessed)


def check(settings: RunSettings) -> None:
    """Check names and values that nothing has to be made for.

    Args:
        settings: The run's settings.

    Raises:
        UsageError: A reward, tool, dialect or retriever cannot be made.
    """
    build_scoring(settings.scoring)
    make_dialect(settings.env.dialect)
    for tool in settings.env.tools:
        TOOLS.load(tool)
    RETRIEVERS.load(settings.retriever.name)


def question_set(
    questions: QuestionsSettings, graph: GraphSettings, root: Path, progress: Progress
) -> QuestionSet:
    """Return the question set that settings name or describe; it is made where it is missing.

    Args:
        questions: Which questions.
        graph: The graph to make them from.
        root: Folder of everything that recipes write.
        progress: Receives steps and counts.

    Raises:
        UnknownNameError: No benchmark has the name before a colon.
        DataError: A path is neither a question set nor a file of questions.
        UsageError: Sets cannot be combined.
    """
    if questions.sets:
        return combined_question_set(questions, root, progress.say)
    if questions.path is None:
        folder = set_folder(questions, graph, root)
        origin = origin_of(folder, questions, graph, progress.say)
        base = make_question_set(folder, origin, questions, progress)
    else:
        base = named_question_set(questions.path, questions, root, progress.say)
    return open_world(base, questions.world, questions.seed, progress.say)


def origin_of(
    folder: Path, questions: QuestionsSettings, graph: GraphSettings, say: Callable[[str], object]
) -> GraphSettings:
    """Return the graph that a set is made from.

    With ``"auto"`` it is that of a set that is there, else the first of `questions.graphs` that is
    on this machine.

    Args:
        folder: Folder of the set.
        questions: Which questions.
        graph: The graph as it was asked for.
        say: Receives a line where the atlas would be taken and is not here.
    """
    if graph.source != "auto":
        return graph
    if is_question_set(folder):
        return QuestionSet.open(folder).contents.origin or DEFAULT_GRAPH
    if questions.graphs[:1] == ("atlas",) and not is_here("atlas"):
        say("the atlas is not here (`medenv data fetch atlas`), taking the HPO alone")
    here = [name for name in questions.graphs if name != "atlas" or is_here("atlas")]
    return GraphSettings(source=here[0]) if here else DEFAULT_GRAPH


def set_folder(questions: QuestionsSettings, graph: GraphSettings, root: Path) -> Path:
    """Return the folder in which a question set is made.

    Args:
        questions: Which questions.
        graph: The graph to make them from.
        root: Folder of everything that recipes write.
    """
    source = "" if graph.source in ("auto", DEFAULT_GRAPH.source) else f"{graph.source}-"
    name = f"questions-{source}{questions.name}-{questions.seed}"
    return Path(questions.folder) if questions.folder else root / name


def _graph(
    graph: GraphSettings, found: QuestionSet, root: Path, say: Callable[[str], None]
) -> Path | None:
    """Return the saved graph of a run."""
    if graph.source == "none":
        return None
    if found.graph is not None:
        if graph.source not in ("auto", "") and found.contents.origin not in (None, graph):
            raise UsageError(
                f"{found.folder} holds questions about {found.contents.source}, and "
                f"graph={graph.source} is another graph: leave graph=auto"
            )
        return found.graph
    if graph.source == "auto":
        return None
    say(f"reading {graph.source}")
    read = graph.read()
    folder = root / "graphs" / fingerprint(read)
    read.save(folder)
    return folder


class TrainingEnv(NamedTuple):
    """An environment as drivers and trainers use it.

    Attributes:
        parts: Questions, rules, tools, reward and retriever.
        spec: What it was made from.
    """

    parts: Parts
    spec: EnvironmentSpec

    def driver(self, step: int = 0) -> Rollouts:
        """Return the driver of the episodes of a training step.

        Args:
            step: Training step, from 1; 0 is the validation before them.
        """
        parts, scoring = self.parts, self.parts.scoring
        return Rollouts(
            parts.rules,
            parts.toolbox,
            scoring.reward_at(step),
            self.spec.env.retry,
            threads=scoring.threads,
        )


def open_environment(
    spec: EnvironmentSpec, questions: Sequence[Question] | None = None
) -> TrainingEnv:
    """Open a prepared environment.

    Args:
        spec: What it is made from.
        questions: What is asked, instead of all questions of the set.

    Raises:
        UsageError: A name or setting is unknown.
        DataError: A file is missing or damaged.
    """
    graph = Graph.load(spec.graph) if spec.graph is not None else None
    retriever = open_retriever(spec.retriever, spec.corpus) if spec.corpus is not None else None
    parts = make_parts(
        questions=questions or QuestionSet.open(spec.questions).questions(),
        corpus=retriever,
        graph=graph,
        dialect=spec.env.dialect,
        tools={name: options or {} for name, options in spec.env.tools.items()},
        budget=spec.env.budget,
        prompt_style=spec.env.prompt_style,
        env_id=spec.env.env_id,
        scoring=spec.scoring,
        verdicts=spec.verdicts,
    )
    return TrainingEnv(parts, spec)


def write_environment(path: Path, spec: EnvironmentSpec) -> None:
    """Write an `environment.json`; its paths become absolute, so that any process can open it.

    Args:
        path: The file.
        spec: What it holds.
    """

    def absolute(name: str | None) -> str | None:
        return str(Path(name).absolute()) if name and "://" not in name else name

    options = dict(spec.retriever.options)
    encoder = options.get("encoder")
    if isinstance(encoder, str) and encoder and Path(encoder).is_dir():
        options["encoder"] = absolute(encoder)
    spec = msgspec.structs.replace(
        spec,
        retriever=msgspec.structs.replace(spec.retriever, options=options),
        questions=absolute(spec.questions) or "",
        graph=absolute(spec.graph),
        corpus=absolute(spec.corpus),
        verdicts=absolute(spec.verdicts) or "",
    )
    write_json(path, spec)


@lru_cache(maxsize=4)
def load_environment(path: str) -> TrainingEnv:
    """Return the environment that a file describes, the same object for the same path.

    Args:
        path: An `environment.json`.

    Raises:
        DataError: The file, or a file that it names, is missing or damaged.
    """
    opened = open_environment(read_json(Path(path), EnvironmentSpec, "an environment"))
    gc.freeze()  # it stays until the process ends; collecting it would halt all episodes for 0.1 s
    return opened
