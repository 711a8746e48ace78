"""Several question sets as one, and files of benchmarks as sets of test questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medenv.build.prepare import Prepared, prepare
from medenv.build.sets import combined_question_set
from medenv.build.settings import (
    EnvironmentSpec,
    EnvSettings,
    QuestionsSettings,
    RetrieverSettings,
    RunSettings,
    ScoringSettings,
)
from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.kg import Graph, toy_graph, verify, write_questions
from medenv.kg.questions.sets import QuestionSet
from medenv.retrieval.disk import read_passages

from ..toy import toy_settings

SPEC = EnvironmentSpec(
    questions="",
    graph=None,
    corpus=None,
    retriever=RetrieverSettings(),
    env=EnvSettings(),
    scoring=ScoringSettings(),
)


def pubmedqa(path: Path, count: int, context: str = "It was shown in mice.") -> str:
    records = {
        str(number): {
            "QUESTION": f"Is question {number} asked?",
            "CONTEXTS": [f"{context} Trial {number}."],
            "final_decision": "yes",
        }
        for number in range(count)
    }
    path.write_text(json.dumps(records))
    return f"pubmedqa:{path}"


def medqa(path: Path) -> str:
    options = {"A": "Ampicillin", "B": "Nitrofurantoin"}
    row = {"question": "Which drug?", "answer_idx": "B", "options": options}
    path.write_text(json.dumps(row) + "\n")
    return f"medqa:{path}"


def combined(root: Path, *names: str, **changes: Any) -> QuestionSet:
    questions = QuestionsSettings(name="set", sets=names, **changes)
    return combined_question_set(questions, root, lambda _: None)


def test_questions_keep_the_name_of_their_set_and_take_turns(tmp_path: Path) -> None:
    found = combined(tmp_path, pubmedqa(tmp_path / "p.json", 3), medqa(tmp_path / "m.jsonl"))
    asked = found.questions("test")
    assert [one.id for one in asked] == ["pubmedqa/0", "medqa/medqa:1", "pubmedqa/1", "pubmedqa/2"]
    assert [one.question_set for one in asked] == ["pubmedqa", "medqa", "pubmedqa", "pubmedqa"]
    assert found.questions("train") == ()
    assert found.contents.source == "pubmedqa, medqa"
    again = combined(tmp_path, f"pubmedqa:{tmp_path / 'p.json'}", f"medqa:{tmp_path / 'm.jsonl'}")
    assert again == found


def test_two_files_of_one_benchmark_do_not_collide(tmp_path: Path) -> None:
    first, second = pubmedqa(tmp_path / "a.json", 2), pubmedqa(tmp_path / "b.json", 2, "In rats.")
    asked = combined(tmp_path, first, second).questions("test")
    assert {one.question_set for one in asked} == {"pubmedqa-a", "pubmedqa-b"}
    assert len({one.id for one in asked}) == 4
    (tmp_path / "x").mkdir()
    third = pubmedqa(tmp_path / "x" / "a.json", 1, "In cats.")
    names = {one.question_set for one in combined(tmp_path, first, third).questions("test")}
    assert names == {"pubmedqa-a", "pubmedqa-a~2"}


def test_a_set_with_a_graph_keeps_it_and_all_corpora_are_one(tmp_path: Path) -> None:
    made = prepare(toy_settings(tmp_path)).questions
    found = combined(tmp_path, str(made.folder), pubmedqa(tmp_path / "p.json", 2))
    assert found.graph is not None
    graph = toy_graph()
    assert len(Graph.load(found.graph)) == len(graph)
    certified = [one for one in found.questions() if one.certificate is not None]
    assert len(certified) == len(made.questions())
    assert all(verify(one, graph) == [] for one in certified)
    assert found.corpus is not None
    ids = {one.id for one in read_passages(found.corpus)[0]}
    assert made.corpus is not None
    assert ids > {one.id for one in read_passages(made.corpus)[0]}
    assert len(ids) == found.contents.passages == made.contents.passages + 2
    alone = combined(tmp_path, str(made.folder), medqa(tmp_path / "m.jsonl"))
    assert alone.contents.passages == made.contents.passages


def test_one_name_is_that_set_itself(tmp_path: Path) -> None:
    name = pubmedqa(tmp_path / "p.json", 1)
    (question,) = combined(tmp_path, name).questions("test")
    assert (question.id, bool(question.question_set), question.source) == ("0", False, "PubMedQA")


def test_a_run_prepares_several_sets_with_the_tools_that_are_named(tmp_path: Path) -> None:
    names = (pubmedqa(tmp_path / "p.json", 2), medqa(tmp_path / "m.jsonl"))
    settings = RunSettings(
        root=str(tmp_path),
        questions=QuestionsSettings(name="set", sets=names),
        env=EnvSettings(tools={"search": {"k": 3}, "read": None}, only=("search",)),
    )
    prepared = prepare(settings)
    assert prepared.spec.env.tools == {"search": {"k": 3}}
    assert prepared.spec.corpus is not None
    assert len(prepared.asked("test")) == 3


@pytest.mark.parametrize(
    ("names", "changes", "error", "told"),
    [
        (["{p}", "nope:{f}"], {}, UnknownNameError, "unknown benchmark 'nope'"),
        (
            ["{p}", "medqa:none.jsonl"],
            {},
            DataError,
            "^none.jsonl: expected the folder of a question set",
        ),
        (["{p}", "{d}"], {}, DataError, "expected the folder of a question set"),
        (["{p}", "medqa:{f}"], {}, DataError, "expected a question of medqa, got"),
        (["{p}", "{p}"], {}, UsageError, "names the set '.*' twice: name it once"),
        (["{p}", "{p}"], {"world": "renamed"}, UsageError, "needs one question set with a graph"),
    ],
)
def test_an_element_that_is_no_set_is_told_in_one_line(
    names: list[str], changes: dict[str, str], error: type[Exception], told: str, tmp_path: Path
) -> None:
    places = {"p": pubmedqa(tmp_path / "p.json", 1), "f": tmp_path / "p.json", "d": tmp_path}
    with pytest.raises(error, match=told) as caught:
        combined(tmp_path, *(name.format(**places) for name in names), **changes)
    assert "\n" not in str(caught.value)


def test_training_takes_the_other_sets_of_a_list_and_refuses_benchmarks(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("question,answer,split\nWhich gene?,FBN1,train\n")
    name, mine = pubmedqa(tmp_path / "p.json", 2), str(tmp_path / "mine.csv")
    both = Prepared(combined(tmp_path, name, mine), None, None, SPEC)
    assert [one.id for one in both.for_training()] == ["mine/own:1"]
    assert len(both.asked("test")) == 2
    alone = Prepared(combined(tmp_path, name), None, None, SPEC)
    with pytest.raises(UsageError, match="holds no training questions, so nothing can be trained"):
        alone.for_training()
    questions = alone.asked("test")
    write_questions(alone.questions.folder / "train.jsonl", questions)
    with pytest.raises(UsageError, match="is of PubMedQA, a benchmark, which is never training"):
        alone.for_training()


def test_a_path_beside_a_list_is_refused() -> None:
    with pytest.raises(UsageError, match=r"expected questions\.path or questions\.sets"):
        QuestionsSettings(name="set", path="a", sets=("b",))


def test_passages_of_one_id_and_two_texts_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        passage = {"id": "p1", "title": "t", "text": f"text of {name}"}
        row = {"question": f"Which {name}?", "answer": "FBN1", "split": "test"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({**row, "passages": [passage]}) + "\n")
    with pytest.raises(UsageError, match="different passages with the id 'p1': evaluate them one"):
        combined(tmp_path, str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"))
