"""From settings to what lies on disk, and from there to an environment in any process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from medenv.build.prepare import (
    ENVIRONMENT,
    Prepared,
    Steps,
    load_environment,
    open_environment,
    prepare,
    write_environment,
)
from medenv.build.settings import (
    CorpusSettings,
    EnvironmentSpec,
    GraphSettings,
    RetrieverSettings,
    RunSettings,
    ScoringSettings,
)
from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.io import read_json, write_json
from medenv.kg import toy_graph, verify
from medenv.kg.questions.sets import CONTENTS, Contents, QuestionSet

from ..toy import TOY, tiny_env, toy_questions_settings, toy_settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    return toy_settings(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def prepared(settings: RunSettings) -> Prepared:
    return prepare(settings)


def test_a_set_is_a_folder_that_holds_everything(prepared: Prepared) -> None:
    found = QuestionSet.open(prepared.questions.folder)
    graph = toy_graph()
    assert found.contents.questions == {"train": 8, "test": 4}
    assert (found.contents.nodes, found.contents.edges) == (len(graph), graph.edge_count)
    assert not any(n for kind, n in found.contents.shared.items() if kind != "templates")
    assert found.graph is not None
    assert found.corpus is not None
    for split, n in (("train", 8), ("test", 4)):
        questions = found.questions(split)
        assert len(questions) == n
        assert all(verify(question, graph) == [] for question in questions)
    assert found.questions(n=3) == (*found.questions("train")[:3], *found.questions("test")[:3])


def test_what_is_there_is_reused_and_a_part_of_it_is_enough(
    settings: RunSettings, prepared: Prepared
) -> None:
    contents = prepared.questions.folder / CONTENTS
    before = contents.stat().st_mtime_ns
    again = prepare(settings, n=5)
    assert contents.stat().st_mtime_ns == before
    assert again.asked("train") == prepared.asked("train")[:5]
    assert again.asked("test") == prepared.asked("test")


def test_other_settings_in_the_same_folder_are_refused_by_name(settings: RunSettings) -> None:
    other = toy_questions_settings(test_share=0.3)
    with pytest.raises(DataError, match=r"test_share is 0\.4 there and 0\.3 here"):
        prepare(msgspec.structs.replace(settings, questions=other))


def test_a_set_is_taken_by_its_folder(settings: RunSettings, prepared: Prepared) -> None:
    named = toy_questions_settings(path=str(prepared.questions.folder), n=None, n_test=None)
    taken = prepare(
        msgspec.structs.replace(settings, questions=named, graph=GraphSettings(), root="/nowhere")
    )
    assert taken.questions == prepared.questions
    assert (taken.spec.graph, taken.spec.corpus) == (prepared.spec.graph, prepared.spec.corpus)
    assert len(taken.asked("train")) == 8


def test_a_folder_of_another_format_and_one_that_is_no_set_are_refused(
    settings: RunSettings, prepared: Prepared, tmp_path: Path
) -> None:
    contents = read_json(prepared.questions.folder / CONTENTS, Contents)
    write_json(tmp_path / CONTENTS, msgspec.structs.replace(contents, format=99))
    named = toy_questions_settings(path=str(tmp_path))
    with pytest.raises(DataError, match="has format 99"):
        prepare(msgspec.structs.replace(settings, questions=named))
    (tmp_path / CONTENTS).unlink()
    with pytest.raises(DataError, match="expected the folder of a question set"):
        prepare(msgspec.structs.replace(settings, questions=named))


def test_another_graph_than_that_of_the_questions_is_refused(
    settings: RunSettings, prepared: Prepared
) -> None:
    named = toy_questions_settings(path=str(prepared.questions.folder))
    other = GraphSettings(source="hpo")
    with pytest.raises(UsageError, match="graph=hpo is another graph"):
        prepare(msgspec.structs.replace(settings, questions=named, graph=other))


@pytest.mark.parametrize("world", ["renamed", "rewired", "unanswerable"])
def test_a_counterfactual_world_is_a_set_beside_its_own(
    settings: RunSettings, prepared: Prepared, world: str
) -> None:
    altered = prepare(
        msgspec.structs.replace(settings, questions=toy_questions_settings(world=world))
    )
    assert altered.questions.folder == prepared.questions.folder / "worlds" / world
    assert altered.questions.contents.world
    assert {one.world for one in altered.questions.questions()} == {world}
    assert altered.spec.graph != prepared.spec.graph


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scoring", ScoringSettings(preset="nothing")),
        ("env", tiny_env(tools={"telepathy": {}})),
        ("env", tiny_env(dialect="latin")),
        ("retriever", RetrieverSettings(name="nowhere")),
    ],
)
def test_a_name_that_is_unknown_is_refused_before_anything_is_made(
    tmp_path: Path, field: str, value: object
) -> None:
    steps: list[str] = []
    with pytest.raises(UnknownNameError):
        prepare(toy_settings(tmp_path, **{field: value}), Steps(steps.append))
    assert steps == []
    assert list(tmp_path.iterdir()) == []


def test_an_environment_is_opened_from_its_file_in_another_process(
    prepared: Prepared, tmp_path: Path
) -> None:
    path = tmp_path / ENVIRONMENT
    write_environment(path, prepared.spec)
    here = load_environment(str(path))
    assert load_environment(str(path)) is here
    assert here.spec.env == prepared.spec.env
    program = (
        "import sys; from medenv.build.prepare import load_environment;"
        "parts = load_environment(sys.argv[1]).parts; print(parts.rules.config_hash)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == here.parts.rules.config_hash, done.stderr


def test_a_run_takes_the_environment_of_an_earlier_one(
    settings: RunSettings, prepared: Prepared, tmp_path: Path
) -> None:
    path = tmp_path / ENVIRONMENT
    write_environment(path, prepared.spec)
    taken = prepare(RunSettings(root=str(tmp_path), environment=str(path)))
    assert taken.spec == read_json(path, EnvironmentSpec)
    assert taken.asked("test") == prepared.asked("test")


def test_without_a_corpus_there_is_nothing_to_search(settings: RunSettings) -> None:
    closed = msgspec.structs.replace(
        settings, corpus=CorpusSettings(source="none"), env=tiny_env(tools={})
    )
    opened = open_environment(prepare(closed).spec)
    assert opened.parts.retriever is None
    assert opened.parts.toolbox.tools == {}


def test_the_toy_graph_is_named_by_its_source() -> None:
    assert TOY.read().info.label == toy_graph().info.label
