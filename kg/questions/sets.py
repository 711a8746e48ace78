"""A question set: one folder with questions, their graph and the search index of its documents.

    contents.json              what the folder holds; its presence means that it is whole
    train.jsonl, test.jsonl    questions, the tests sealed
    leakage.json               what the two share
    graph/                     the saved graph; absent where the questions came without one
    corpus/                    the saved index of the passages; absent where there are none
    card.json, README.md       the data card
    worlds/<name>/             counterfactual worlds, each a question set
    work/                      journals

Every recipe takes such a folder by its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from medenv.errors import DataError, UsageError
from medenv.io import read_json, write_json
from medenv.kg.graph import Graph
from medenv.kg.graph.archive import fingerprint
from medenv.kg.questions.store import read_questions
from medenv.kg.sources import GraphSettings
from medenv.records import Question, Record

FORMAT = 2
"""Version of the layout; raised when an older folder can no longer be read."""

CERTIFIED_ANEW = "certified_anew"
"""Key in `Contents.made_with` of a set that was proved against the graph that it holds."""

CONTENTS = "contents.json"
SPLITS = ("train", "test")


class Contents(Record, frozen=True, kw_only=True):
    """What a question set holds.

    Args:
        format: Version of the layout.
        source: Source and version of the questions.
        questions: Number of questions by split.
        shared: What the splits share, by kind; all 0 in a sound set.
        world: Name of the counterfactual world, which is fiction; empty for the true one.
        licence: Terms of the source.
        acknowledgement: The sentence that users of the data have to show.
        graph: Fingerprint of the graph; empty without one.
        origin: What the graph was read from, or None.
        nodes: Nodes of the graph.
        edges: Edges of the graph.
        passages: Passages of the corpus.
        made_with: The settings that decide which questions there are.
    """

    format: int = FORMAT
    source: str = ""
    questions: dict[str, int]
    shared: dict[str, int]
    world: str = ""
    licence: str = ""
    acknowledgement: str = ""
    graph: str = ""
    origin: GraphSettings | None = None
    nodes: int = 0
    edges: int = 0
    passages: int = 0
    made_with: dict[str, Any] = msgspec.field(default_factory=dict)


class QuestionSet(Record, frozen=True, kw_only=True):
    """A finished question set.

    Args:
        folder: Where it lies.
        contents: What it holds.
    """

    folder: Path
    contents: Contents

    @classmethod
    def open(cls, folder: Path | str) -> QuestionSet:
        """Return the finished question set in a folder.

        Args:
            folder: Where it lies.

        Raises:
            DataError: There is none, it is not finished, or it has another format.
        """
        path = Path(folder) / CONTENTS
        if not path.is_file():
            raise DataError(
                folder,
                f"expected the folder of a question set with {CONTENTS}; make one with"
                " `python recipes/synthesize.py`, or finish it with the command that began it",
            )
        check_format(Path(folder))
        return cls(folder=Path(folder), contents=read_json(path, Contents, "a question set"))

    @property
    def graph(self) -> Path | None:
        """The saved graph, or None."""
        path = self.folder / "graph"
        return path if path.is_dir() else None

    @property
    def corpus(self) -> Path | None:
        """The saved search index of the passages, or None."""
        path = self.folder / "corpus"
        return path if path.is_dir() else None

    def questions(self, split: str = "", n: int | None = None) -> tuple[Question, ...]:
        """Return the questions of a split, in their order.

        Args:
            split: ``"train"``, ``"test"``, or empty for both.
            n: Most questions of each split, or None for all.

        Raises:
            DataError: A file is missing or damaged.
            UsageError: The set holds fewer than `n`.
        """
        found: list[Question] = []
        for name in [split] if split else SPLITS:
            questions = read_questions(self.folder / f"{name}.jsonl")
            if n is not None and len(questions) < n:
                raise UsageError(
                    f"{self.folder} holds {len(questions):,} {name} questions, {n:,} were asked for"
                )
            found += questions[:n]
        return tuple(found)


class _Version(msgspec.Struct):
    """The one field that all formats have."""

    format: int = 0


def check_format(folder: Path) -> None:
    """Refuse a question set of an earlier or later version in one line.

    Args:
        folder: The set's folder.

    Raises:
        DataError: The set has another format than this version reads.
    """
    version = read_json(folder / CONTENTS, _Version, "the contents of a question set").format
    if version != FORMAT:
        advice = (
            f"prove it anew with `medenv questions certify {folder}`, or make the set anew"
            if version < FORMAT
            else "a later version of medenv made it: update medenv"
        )
        raise DataError(
            folder / CONTENTS, f"has format {version}, this version reads {FORMAT}; {advice}"
        )


def is_question_set(path: Path | str) -> bool:
    """Return whether a path is the folder of a question set, of any format.

    Args:
        path: The path.
    """
    return (Path(path) / CONTENTS).is_file()


def write_contents(folder: Path, contents: Contents, graph: Graph | None = None) -> None:
    """Write `contents.json`, the last file of a question set.

    Args:
        folder: The set's folder.
        contents: What it says.
        graph: The graph of the questions, which fills in what describes one.
    """
    if graph is not None:
        contents = msgspec.structs.replace(
            contents,
            source=graph.info.label,
            world=graph.info.world,
            licence=graph.info.licence,
            acknowledgement=graph.info.acknowledgement,
            graph=fingerprint(graph),
            nodes=len(graph),
            edges=graph.edge_count,
        )
    write_json(folder / CONTENTS, contents)
