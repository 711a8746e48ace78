"""Benchmarks in the shape in which they are published become questions for tests alone."""

import base64
import csv
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.errors import DataError, UnknownNameError
from medenv.kg.questions.own import read_own_questions
from medenv.kg.questions.published import BENCHMARKS, convert


def sealed(text: str, password: str) -> str:
    """What BrowseComp's authors publish: XORed with the repeated hash of the canary, base 64."""
    key = hashlib.sha256(password.encode()).digest()
    data = text.encode()
    mask = (key * (len(data) // len(key) + 1))[: len(data)]
    return base64.b64encode(bytes(a ^ b for a, b in zip(data, mask, strict=True))).decode()


def table(*rows: list[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


BIOASQ = {
    "questions": [
        {"id": "a", "type": "factoid", "body": "Which gene?", "exact_answer": [["FBN1", "fib-1"]]},
        {"id": "b", "type": "list", "body": "Which two?", "exact_answer": [["A"], ["B", "b2"]]},
        {"id": "c", "type": "yesno", "body": "Is it so?", "exact_answer": "Yes"},
        {"id": "d", "type": "summary", "body": "What is it?", "ideal_answer": ["It is."]},
    ]
}
PUBMEDQA = {
    "21645374": {
        "QUESTION": "Do mitochondria play a role?",
        "CONTEXTS": ["..."],
        "final_decision": "maybe",
    }
}
SHAPES = {
    "bioasq": (json.dumps(BIOASQ), [["FBN1"], ["A", "B"], ["yes"]]),
    "pubmedqa": (json.dumps(PUBMEDQA), [["maybe"]]),
    "medqa": (
        lines(
            {
                "question": "Which drug?",
                "answer": "Nitrofurantoin",
                "options": {"A": "Ampicillin", "B": "Nitrofurantoin"},
                "answer_idx": "B",
            }
        ),
        [["Nitrofurantoin"]],
    ),
    "medmcqa": (
        lines(
            {
                "id": "x",
                "question": "Which?",
                "opa": "p",
                "opb": "q",
                "opc": "r",
                "opd": "s",
                "cop": 4,
                "choice_type": "single",
                "subject_name": "Anatomy",
            },
            {
                "id": "y",
                "question": "Which?",
                "opa": "p",
                "opb": "q",
                "opc": "r",
                "opd": "s",
                "cop": 1,
                "choice_type": "multi",
                "subject_name": "Anatomy",
            },
        ),
        [["s"]],
    ),
    "mmlu": (table(["Which bone?", "one", "two", "three", "four", "C"]), [["three"]]),
    "browsecomp": (
        table(
            ["problem", "answer", "canary"],
            [sealed("Who wrote it?", "secret"), sealed("Rett", "secret"), "secret"],
        ),
        [["Rett"]],
    ),
    "xbench": (table(["id", "prompt", "answer"], ["1", "Wer war es?", "Rett"]), [["Rett"]]),
    "gaia": (
        lines(
            {"task_id": "t", "Question": "How many?", "Level": 2, "Final answer": "3"},
            {"task_id": "u", "Question": "See?", "Level": 1, "Final answer": "x", "file_name": "a"},
        ),
        [["3"]],
    ),
    "hle": (
        lines(
            {"id": "h", "question": "What?", "answer": "LMNA", "category": "Biology", "image": ""},
            {"id": "i", "question": "What?", "answer": "x", "image": "data:"},
        ),
        [["LMNA"]],
    ),
}


def test_every_benchmark_has_a_shape_here() -> None:
    assert set(SHAPES) == set(BENCHMARKS)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_benchmark_is_converted_by_the_command_and_read_as_ones_own_tests(
    name: str, tmp_path: Path
) -> None:
    text, expected = SHAPES[name]
    (tmp_path / "published").write_text(text, encoding="utf-8")
    out = tmp_path / "mine.jsonl"
    arguments = ["questions", "convert", name, str(tmp_path / "published"), str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert f"{len(expected)} questions of {name}" in " ".join(done.output.split())
    questions = read_own_questions(out).questions
    assert [[answer.name for answer in one.answers] for one in questions] == expected
    assert {one.split for one in questions} == {"test"}
    assert [one.asks_for_all for one in questions] == [len(names) > 1 for names in expected]


def test_synonyms_are_aliases_and_what_cannot_be_asked_is_counted(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps(BIOASQ), encoding="utf-8")
    found = convert("bioasq", tmp_path / "b.json")
    assert found.left_out == {"summary without an exact answer": 1}
    assert found.rows[0]["aliases"] == ["fib-1"]
    assert found.rows[1]["answers"][1] == {"name": "B", "aliases": ["b2"]}


def test_options_are_numbered_from_zero_where_any_is_zero(tmp_path: Path) -> None:
    record = {"question": "Which?", "opa": "p", "opb": "q", "opc": "r", "opd": "s"}
    rows = [{**record, "id": "x", "cop": 0}, {**record, "id": "y", "cop": 3}]
    (tmp_path / "m.jsonl").write_text(lines(*rows), encoding="utf-8")
    assert [row["answer"] for row in convert("medmcqa", tmp_path / "m.jsonl").rows] == ["A", "D"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("mmlu", "Which?,one,two,A\n", "expected a question of mmlu, got .*Which"),
        ("gaia", '{"task_id": "t"}\n', "expected a question of gaia"),
        ("pubmedqa", '{"a": 1}\n{"b"\n', "expected JSON"),
        ("bioasq", '{"questions": []}', "holds no question of bioasq"),
    ],
)
def test_a_file_of_another_form_is_named_with_its_place(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        convert(name, tmp_path / "f")


def test_an_unknown_benchmark_is_answered_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'pubmedqa'"):
        convert("pubmedq", tmp_path / "f")


@pytest.mark.parametrize(
    ("name", "file", "least"),
    [("pubmedqa", "pubmedqa_dev500.jsonl.gz", 500), ("bioasq", "bioasq_7b-10b.jsonl.gz", 900)],
)
def test_the_real_development_files_are_read(name: str, file: str, least: int) -> None:
    path = Path(os.environ.get("MEDENV_DATA", "")) / file
    if not path.is_file():
        pytest.skip(f"MEDENV_DATA names no folder with {file}")
    assert len(convert(name, path).rows) >= least
