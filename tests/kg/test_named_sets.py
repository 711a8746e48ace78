"""A question set has a name: a folder, a file, or a benchmark and its path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medenv.build.environment import make_parts
from medenv.errors import DataError, UnknownNameError
from medenv.kg import toy_questions, write_questions
from medenv.kg.questions.named import read_set, set_name

PUBMEDQA = {"1": {"QUESTION": "Do they?", "CONTEXTS": ["They do."], "final_decision": "yes"}}


def benchmark(folder: Path) -> str:
    path = folder / "ori_pqal.json"
    path.write_text(json.dumps(PUBMEDQA))
    return f"pubmedqa:{path}"


def test_a_benchmark_stands_before_the_path_and_a_path_may_have_a_colon(tmp_path: Path) -> None:
    name = set_name(benchmark(tmp_path))
    assert (name.benchmark, name.path.name, name.short) == ("pubmedqa", "ori_pqal.json", "pubmedqa")
    odd = tmp_path / "a:b.jsonl"
    odd.write_text('{"question": "Which?", "answer": "FBN1"}\n')
    assert set_name(str(odd)) == ("", odd)
    assert set_name(str(odd)).short == "a:b"


def test_a_set_is_read_in_any_of_its_forms(tmp_path: Path) -> None:
    made = toy_questions()
    write_questions(tmp_path / "made.jsonl", made.test, sealed=True)
    (tmp_path / "mine.csv").write_text("question,answer\nWhich gene?,FBN1\n")
    assert read_set(str(tmp_path / "made.jsonl")).questions == made.test
    assert read_set(str(tmp_path / "mine.csv")).questions[0].answers[0].name == "FBN1"
    found = read_set(benchmark(tmp_path))
    assert [one.id for one in found.questions] == ["1"]
    assert [one.text for one in found.passages] == ["They do."]


def test_an_environment_asks_a_benchmark_by_its_name(tmp_path: Path) -> None:
    parts = make_parts(questions=benchmark(tmp_path), scoring="answer_only")
    assert parts.retriever is not None
    assert parts.retriever.search(["they do"], 1)[0][0][0].text == "They do."
    prompt, _ = parts.env().reset(options={"question": "1"})
    assert "Do they?\n\nA. yes\nB. no\nC. maybe" in prompt


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("pubmedq:x.json", UnknownNameError, "unknown benchmark 'pubmedq'; did you mean 'pubmedqa"),
        (
            "pubmedqa:none.json",
            DataError,
            "^none.json: expected the folder of a question set",
        ),
        ("pubmedqa:", DataError, "there is no such file or folder"),
        ("none.jsonl", DataError, "^none.jsonl: expected the folder of a question set"),
        ("", DataError, "there is no such file or folder"),
    ],
)
def test_what_is_no_set_is_told_in_one_line(name: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told) as caught:
        set_name(name)
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_file_that_are_no_set_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the folder of a question set with"):
        read_set(str(tmp_path))
    (tmp_path / "p.jsonl").write_text('{"text": "a passage"}\n')
    with pytest.raises(DataError, match="has no column 'question'"):
        read_set(str(tmp_path / "p.jsonl"))
