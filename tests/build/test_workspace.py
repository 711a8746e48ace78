"""What a run needs is built once, found again, and never left half-built."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from medenv.build.environment import make_parts
from medenv.build.workspace import Workspace, WorkspaceSettings, fingerprint, open_workspace
from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.kg import (
    Graph,
    QuestionConfig,
    read_questions,
    toy_graph,
    toy_questions,
    verify,
)
from medenv.kg.worlds.worlds import WorldSettings, make_world
from medenv.retrieval import BM25Retriever
from medenv.retrieval.filtered import answer_kind, answer_name
from medenv.text import Analysis
from medenv.trajectories.teachers import Oracle

TOY = WorkspaceSettings(source="toy", questions=QuestionConfig(n_train=8, n_test=4, test_share=0.4))


def said() -> list[str]:
    return []


def test_a_workspace_holds_graph_corpus_and_certified_questions(tmp_path: Path) -> None:
    steps = said()
    made = open_workspace(TOY, tmp_path, steps.append)
    graph = Graph.load(made.graph)
    train, test = (list(read_questions(made.questions(split))) for split in ("train", "test"))
    assert (len(train), len(test)) == (8, 4) == (made.facts.train, made.facts.test)
    assert [problem for question in (*train, *test) for problem in verify(question, graph)] == []
    assert made.facts.nodes == len(graph)
    assert len(BM25Retriever.load(made.corpus).passages) == made.facts.passages
    assert set(made.facts.shared.values()) == {0}
    assert len(steps) == 3


def test_a_second_opening_reuses_it_and_builds_nothing(tmp_path: Path) -> None:
    first = open_workspace(TOY, tmp_path, said().append)
    steps = said()
    second = open_workspace(TOY, tmp_path, steps.append)
    assert (first.reused, second.reused) == (False, True)
    assert steps == []
    assert first.folder == second.folder


def test_the_corpus_is_of_the_analysis_that_is_asked_for(tmp_path: Path) -> None:
    english = msgspec.convert(
        {**msgspec.to_builtins(TOY), "analysis": {"stemming": "english"}}, WorkspaceSettings
    )
    assert fingerprint(english) != fingerprint(TOY)
    for variant in ("true", "rewired"):
        settings = msgspec.structs.replace(english, variant=variant)
        made = open_workspace(settings, tmp_path, said().append)
        assert BM25Retriever.load(made.corpus).analysis == Analysis(stemming="english")
    with pytest.raises(UsageError, match="unknown analysis 'englsh'; did you mean 'english'"):
        WorkspaceSettings(analysis="englsh")


def test_another_setting_is_another_workspace(tmp_path: Path) -> None:
    other = msgspec.structs.replace(TOY, seed=1)
    assert fingerprint(TOY) != fingerprint(other)
    assert fingerprint(TOY) == fingerprint(msgspec.structs.replace(other, seed=0))


@pytest.mark.parametrize("variant", ["renamed", "rewired", "unanswerable"])
def test_an_altered_workspace_is_one_of_its_own_and_says_that_it_is_fiction(
    tmp_path: Path, variant: str
) -> None:
    settings = msgspec.structs.replace(TOY, variant=variant)
    made = open_workspace(settings, tmp_path, said().append)
    assert made.folder != open_workspace(TOY, tmp_path, said().append).folder
    assert made.facts.source == f"FICTION ({variant} world, seed 0) after medenv toy 1"
    graph = Graph.load(made.graph)
    questions = [q for split in ("train", "test") for q in read_questions(made.questions(split))]
    assert {(q.source, q.world) for q in questions} == {(graph.info.label, variant)}
    assert len(questions) == made.facts.train + made.facts.test
    assert set(made.facts.shared.values()) == {0}
    assert {p.source for p in BM25Retriever.load(made.corpus).passages} == {graph.info.label}
    if variant != "unanswerable":
        assert [problem for question in questions for problem in verify(question, graph)] == []


def test_a_world_that_there_is_not_is_refused() -> None:
    assert WorkspaceSettings(variant="True") == WorkspaceSettings()
    with pytest.raises(UnknownNameError, match="unknown world 'reworded'; did you mean"):
        WorkspaceSettings(variant="reworded")


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    greedy = msgspec.structs.replace(TOY, questions=QuestionConfig(n_train=5_000, n_test=4))
    with pytest.raises(UsageError, match=r"asked for 5,000 train questions, the graph holds \d+"):
        open_workspace(greedy, tmp_path, said().append)
    assert list(tmp_path.iterdir()) == []


def test_a_stop_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(what: str) -> None:
        if what.startswith("indexing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_workspace(TOY, tmp_path, interrupt)
    assert list(tmp_path.iterdir()) == []
    assert not open_workspace(TOY, tmp_path, said().append).reused


def test_an_unknown_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be 'hpo' or 'toy', got 'umls'"):
        open_workspace(WorkspaceSettings(source="umls"), tmp_path, said().append)


def test_a_folder_without_the_ontology_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "hpo"
    empty.mkdir()
    with pytest.raises(DataError, match=r"hp\.obo"):
        open_workspace(WorkspaceSettings(folder=str(empty)), tmp_path / "w", said().append)
    assert not (tmp_path / "w").exists()
    with pytest.raises(UsageError, match="expected a folder"):
        open_workspace(WorkspaceSettings(folder=str(tmp_path / "no")), tmp_path, said().append)


def test_a_workspace_that_is_not_whole_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a finished workspace"):
        Workspace.open(tmp_path)
    (tmp_path / "facts.json").write_text('{"source": "HP')
    with pytest.raises(DataError, match="expected a finished workspace"):
        Workspace.open(tmp_path)


def test_a_question_without_an_answer_still_says_what_it_asks_for() -> None:
    made = toy_questions()
    for question in (*made.train, *made.test):
        lost = msgspec.structs.replace(question, answers=())
        assert (answer_name(question), answer_name(lost)) == (question.answers[0].name, "unknown")
        assert answer_kind(question) == answer_kind(lost) == question.answers[0].kind
    asked = msgspec.structs.replace(made.train[0], answers=(), kind="quantity:disease")
    assert answer_kind(asked) == "value"
    assert answer_kind(msgspec.structs.replace(asked, kind="intersection:disease")) == "disease"


def test_an_oracle_and_the_trainer_say_unknown_where_there_is_no_answer(tmp_path: Path) -> None:
    from medenv.integrations.verl.rows import rows

    made = toy_questions()
    altered = WorldSettings(variant="unanswerable", share=1.0)
    world = make_world(toy_graph(), (*made.train, *made.test), altered)
    parts = make_parts(
        questions=world.questions,
        corpus=BM25Retriever(world.documents.passages),
        graph=world.graph,
    )
    names = dict(zip(world.graph.nodes.ids, world.graph.nodes.names, strict=True))
    oracle = Oracle(names, parts.rules.dialect)
    for number, question in enumerate(world.questions):
        scored = parts.rollouts().run(oracle.begin(question, number), question, seed=number)
        assert scored.trajectory.answer == "unknown"
        assert scored.score.parts["accuracy"].raw == 1.0
    told = rows(world.questions, parts.rules, "sampled")
    assert {row["reward_model"]["ground_truth"] for row in told} == {"unknown"}


def test_two_who_build_the_same_workspace_at_once_both_have_it(tmp_path: Path) -> None:
    made: list[Workspace] = []

    def build_another(what: str) -> None:
        if what.startswith("indexing") and not made:
            made.append(open_workspace(TOY, tmp_path, lambda _: None))

    second = open_workspace(TOY, tmp_path, build_another)
    assert second.folder == made[0].folder
    assert second.facts == made[0].facts
    assert [path.name for path in tmp_path.iterdir()] == [second.folder.name]


def test_what_users_share_has_the_modes_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        made = open_workspace(TOY, tmp_path, lambda _: None)
    finally:
        os.umask(before)
    modes = {
        path.is_dir(): stat.S_IMODE(path.stat().st_mode)
        for path in (made.folder, *made.folder.rglob("*"))
        if not path.name.startswith(".")
    }
    assert modes == {True: 0o775, False: 0o664}


def test_files_of_another_content_make_another_workspace(tmp_path: Path) -> None:
    for name in ("hp.obo", "phenotype.hpoa", "genes_to_phenotype.txt"):
        (tmp_path / name).write_text("NAIL1")
    settings, genes = WorkspaceSettings(folder=str(tmp_path)), tmp_path / "genes_to_phenotype.txt"
    first, before = fingerprint(settings), genes.stat()
    genes.write_text("NAIL2")
    os.utime(genes, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint(settings) != first, "size and time are the same"
    genes.write_text("NAIL1")
    assert fingerprint(settings) == first
