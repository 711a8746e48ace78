"""Every reader of every file names the file, and the line, of bytes that are not UTF-8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medenv.build.diagnosis import disease_model
from medenv.build.prepare import load_environment
from medenv.diagnosis.cases import phenopacket_cases
from medenv.errors import DataError
from medenv.evaluation.summary import read_scored
from medenv.io import Journal
from medenv.kg import Graph, load_hpo, read_questions, toy_graph
from medenv.kg.questions.card import read_card
from medenv.kg.questions.overlap import overlaps
from medenv.kg.questions.sets import QuestionSet
from medenv.kg.questions.store import read_leakage
from medenv.kg.sources import open_source
from medenv.kg.worlds.worlds import read_world_file
from medenv.llm.batch import open_journal
from medenv.retrieval import PassageFile, PassageStore
from medenv.retrieval.loaders import load_corpus
from medenv.reward import EntityNames
from medenv.trajectories.records import Rollout

BAD = b'{"name": "caf\xe9"}'


def hpo(path: Path) -> object:
    path.rename(path.with_name("hp.obo"))
    for name in ("phenotype.hpoa", "genes_to_phenotype.txt"):
        path.with_name(name).write_bytes(b"")
    return load_hpo(path.parent)


def table(path: Path) -> object:
    path.rename(path.with_name("edges.tsv"))
    return open_source("tsv", path.parent, {"nodes": ""})


def renamed(name: str, read: Callable[[Path], object]) -> Callable[[Path], object]:
    def reader(path: Path) -> object:
        path.rename(path.with_name(name))
        return read(path.parent)

    return reader


LINES: dict[str, Callable[[Path], object]] = {
    "passages on disk": PassageFile,
    "passages": PassageStore.load,
    "cases": lambda path: phenopacket_cases(disease_model(toy_graph()), path),
    "questions": read_questions,
    "rollouts": lambda path: list(read_scored(path)),
    "a corpus": lambda path: list(load_corpus("medquad", path)),
    "an ontology": lambda path: open_source("obo", path),
    "the HPO": hpo,
    "orphapackets": lambda path: open_source("orphapackets", path),
    "mechanisms": lambda path: open_source("drugmechdb", path),
    "a table": table,
    "a benchmark": lambda path: overlaps((), path),
    "a journal of episodes": lambda path: Journal(path, {"run": "r"}, Rollout),
    "a journal of replies": lambda path: open_journal(path, "run", "m"),
}
WHOLE: dict[str, Callable[[Path], object]] = {
    "a graph": renamed("graph.json", Graph.load),
    "a question set": renamed("contents.json", QuestionSet.open),
    "an environment": lambda path: load_environment(str(path)),
    "a world": renamed("world.json", read_world_file),
    "a card": renamed("card.json", read_card),
    "a certificate": read_leakage,
    "names": EntityNames.load,
    "a benchmark": renamed("b.json", lambda folder: overlaps((), folder / "b.json")),
}


@pytest.mark.parametrize("read", LINES.values(), ids=LINES)
def test_a_line_in_latin_1_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(BAD + b"\n")
    with pytest.raises(DataError, match=r"UTF-8|utf-8") as caught:
        read(path)
    assert (caught.value.path.parent, caught.value.line) == (tmp_path, 1)


@pytest.mark.parametrize("read", WHOLE.values(), ids=WHOLE)
def test_a_file_in_latin_1_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(BAD)
    with pytest.raises(DataError, match=r"UTF-8|utf-8") as caught:
        read(path)
    assert caught.value.path.parent == tmp_path
