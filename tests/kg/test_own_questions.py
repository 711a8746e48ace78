"""Questions of one's own, from JSON lines and tables, good and bad."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.cli.questions import described
from medenv.errors import DataError, NoCertificateError, UnknownNameError, UsageError
from medenv.kg import leakage, read_own_questions, read_questions, toy_questions, write_questions
from medenv.kg.questions.own import FIELDS, is_own
from medenv.kg.questions.store import encode, leakage_certificate
from medenv.records import Question

CHOICE = {"question": "Which?", "options": ["Gout", "Scurvy"], "answer": "B"}


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def table(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def one(tmp_path: Path, **row: Any) -> Question:
    (question,) = read_own_questions(jsonl(tmp_path / "q.jsonl", row)).questions
    return question


def test_a_text_and_an_answer_are_enough(tmp_path: Path) -> None:
    question = one(tmp_path, question=" Which gene? ", answer="FBN1", unused=[1])
    assert (question.id, question.text, question.kind, question.split) == (
        *("own:1", "Which gene?", "own", "train"),
    )
    (answer,) = question.answers
    assert (answer.id, answer.kind, answer.name, answer.aliases) == (
        "own:1#0",
        "answer",
        "FBN1",
        (),
    )
    assert question.certificate is None
    assert question.topic is None
    assert (question.path, question.named) == ((), question.answers)
    assert question.options is msgspec.UNSET
    assert pickle.loads(pickle.dumps(question)) == question
    assert b"options" not in encode(question)
    for need in (lambda: question.proof, lambda: question.subject):
        with pytest.raises(NoCertificateError, match="'own:1'"):
            need()


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_the_same_as_json_lines(tmp_path: Path, separator: str, end: str) -> None:
    cells = [
        ["id", "question", "answer", "aliases", "option_a", "option_b", "option_c", "note"],
        ["a", '"Which gene,\n""really""; so?"', "FBN1", "FBN|fibrillin", "", "", "", "x"],
        ["b", "Which vitamin?", "c", "", "Vitamin A", "Vitamin B", "Vitamin C", ""],
    ]
    if separator == "\t":
        cells[1][1] = "Which gene?"
    text = "\ufeff" + end.join(separator.join(row) for row in cells) + end + end
    first, second = read_own_questions(table(tmp_path / "q.csv", text)).questions
    assert first.text == ("Which gene?" if separator == "\t" else 'Which gene,\n"really"; so?')
    assert first.answers[0].aliases == ("FBN", "fibrillin")
    assert first.options is msgspec.UNSET
    assert second.options == ("Vitamin A", "Vitamin B", "Vitamin C")
    assert second.answers[0].name == "Vitamin C"
    assert second.text == "Which vitamin?\n\nA. Vitamin A\nB. Vitamin B\nC. Vitamin C"
    packed = tmp_path / "q.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert [q.text for q in read_own_questions(packed).questions] == [first.text, second.text]


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", "B)", "Scurvy", "SCURVY "])
@pytest.mark.parametrize(
    "options",
    [["Gout", "Scurvy"], {"B": "Scurvy", "A": "Gout"}, "Gout|Scurvy", '["Gout","Scurvy"]'],
)
def test_an_answer_is_a_letter_or_a_text(tmp_path: Path, answer: str, options: Any) -> None:
    question = one(tmp_path, question="Which?", options=options, answer=answer)
    assert question.options == ("Gout", "Scurvy")
    assert question.answers[0].name == "Scurvy"


def test_labels_that_are_no_letters_are_understood(tmp_path: Path) -> None:
    labelled = {"1": "Gout", "2": "Scurvy"}
    assert one(tmp_path, question="?", options=labelled, answer="2").answers[0].name == "Scurvy"
    assert one(tmp_path, question="?", options=labelled, answer="A").answers[0].name == "Gout"


def test_several_answers_and_their_ids(tmp_path: Path) -> None:
    mapped = {"name": "CBS", "aliases": ["cystathionine"], "id": "NCBIGene:875"}
    question = one(
        tmp_path, question="?", answer="FBN1", answers=["TTN", mapped], kind="list:answer", id=7
    )
    assert [a.id for a in question.answers] == ["7#0", "7#1", "NCBIGene:875"]
    assert question.answers[2].aliases == ("cystathionine",)
    assert question.asks_for_all
    picked = one(tmp_path, question="?", options=["a1", "b1", "c1"], answers="A|C")
    assert [a.name for a in picked.answers] == ["a1", "c1"]


def test_columns_are_mapped(tmp_path: Path) -> None:
    path = table(tmp_path / "q.txt", "stem;key;opa;opb\nWhich?;1. b;1. a;1. b\n")
    columns = {"question": "stem", "answer": "key", "option_a": "opa", "option_b": "opb"}
    (question,) = read_own_questions(path, columns).questions
    assert (question.options, question.answers[0].name) == (("1. a", "1. b"), "1. b")
    with pytest.raises(UnknownNameError, match="question"):
        read_own_questions(path, {"questoin": "stem"})
    with pytest.raises(DataError, match="'opb'"):
        read_own_questions(path, columns | {"option_b": "opbb"})


def test_passages_become_a_corpus_and_give_no_question_away(tmp_path: Path) -> None:
    whole = {"id": "P:1", "title": "Gout", "text": "Urate."}
    rows = [
        {"id": "q1", "question": "a?", "answer": "x", "passages": ["First text.", whole]},
        {"id": "q2", "question": "b?", "answer": "y", "passages": "First text."},
        {"id": "q3", "question": "c?", "answer": "z", "passages": whole},
    ]
    found = read_own_questions(jsonl(tmp_path / "q.jsonl", *rows)).passages
    assert [passage.text for passage in found] == ["Urate.", "First text."]
    assert found[0].id == "P:1"
    assert "q1" not in found[1].id
    rows[2]["passages"] = {**whole, "text": "Other."}
    with pytest.raises(DataError) as told:
        read_own_questions(jsonl(tmp_path / "q.jsonl", *rows))
    assert told.value.line == 3


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"question": f"Question {i}?", "answer": str(i)} for i in range(count)]


def test_tests_are_drawn_by_the_seed_and_share_no_text(tmp_path: Path) -> None:
    rows = [*numbered(20), {"question": "QUESTION  3?", "answer": "three"}]
    path = jsonl(tmp_path / "q.jsonl", *rows)
    drawn = {seed: read_own_questions(path, n_test=8, seed=seed).questions for seed in range(20)}
    assert drawn[3] == read_own_questions(path, n_test=8, seed=3).questions
    assert len({tuple(q.split for q in questions) for questions in drawn.values()}) > 10
    for questions in drawn.values():
        assert [q.id for q in questions] == [f"own:{i}" for i in range(1, 22)]
        assert [q.split for q in questions].count("test") == 8
        assert questions[3].split == questions[20].split == "train"
    assert {q.split for q in read_own_questions(path).questions} == {"train"}
    assert [q.split for q in read_own_questions(path, n_test=19).questions].count("test") == 19
    for n_test, error in ((20, DataError), (22, UsageError), (-1, UsageError)):
        with pytest.raises(error):
            read_own_questions(path, n_test=n_test)


def test_a_column_of_splits_decides(tmp_path: Path) -> None:
    rows = [{**row, "split": "test" if i == 1 else "train"} for i, row in enumerate(numbered(3))]
    found = read_own_questions(jsonl(tmp_path / "q.jsonl", *rows), n_test=2).questions
    assert [q.split for q in found] == ["train", "test", "train"]
    for change, line in (
        ({"split": None}, 3),
        ({"split": "dev"}, 3),
        ({"question": "question 1?"}, 3),
    ):
        wrong = [*rows[:2], {**rows[2], **change}]
        with pytest.raises(DataError) as told:
            read_own_questions(jsonl(tmp_path / "q.jsonl", *wrong))
        assert told.value.line == line


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"id": "first"}, "'first'"),
        ({"question": ""}, "question"),
        ({"question": ["a"]}, "a list"),
        ({"answer": None, "options": None}, "answer"),
        ({"answer": " ", "options": None}, "answer"),
        ({"answer": 3}, "answer"),
        ({"answer": {"nam": "x"}}, "answer"),
        ({"answer": {"name": "B", "other": "x"}}, "other"),
        ({"answer": "Fever"}, "'Fever'"),
        ({"answer": "C"}, "'C'"),
        ({"answers": ["B"]}, "Scurvy"),
        ({"answers": ["A"], "aliases": ["x"]}, "aliases"),
        ({"aliases": [1]}, "aliases"),
        ({"aliases": {"a": 1}}, "aliases"),
        ({"options": ["Gout"]}, "2 to 26"),
        ({"options": [f"o{i}" for i in range(27)]}, "26"),
        ({"options": ["Gout", "  "]}, "empty"),
        ({"options": ["Gout", 2]}, "options"),
        ({"options": 7}, "options"),
        ({"options": '["Gout", '}, "JSON"),
        ({"options": ["Behçet", "BEHCET"]}, "one text"),
        ({"options": ["B", "O", "A"]}, "letter"),
        ({"options": {"A": "Gout", "C": "Scurvy"}, "answer": "A"}, "A, C"),
        ({"options": {"1": "Gout", "2": "1", "3": "x"}, "answer": "1"}, "more than one"),
        ({"options": None, "option_a": "x", "option_c": "y"}, "option_b"),
        ({"passages": [3]}, "passages"),
        ({"passages": [{"title": "x"}]}, "text"),
        ({"specialty": 3}, "specialty"),
        ({"id": 1.5}, "id"),
    ],
)
def test_a_wrong_question_is_named(tmp_path: Path, change: Mapping[str, Any], word: str) -> None:
    path = jsonl(tmp_path / "q.jsonl", {**CHOICE, "id": "first"}, {}, {**CHOICE, **change})
    path.write_text(path.read_text().replace("{}", ""))
    with pytest.raises(DataError) as told:
        read_own_questions(path)
    assert told.value.line == 3
    assert word in told.value.problem
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("qestion,answer\na,b\n", None, "did you mean 'qestion'"),
        ("question,anser\na,b\n", None, "did you mean 'anser'"),
        ("question,answer\n", None, "no question"),
        ("", None, "no question"),
        ("question,answer\na,b,c\n", 2, "columns"),
        ('question,answer\na,b\n"c,d\n', 3, "never closed"),
        ("question,answer,answer\na,b,c\n", 1, "two columns"),
        ("question,answer\na,b\nc,\n", 3, "answer"),
        ("question,answer\na,b\n,d\n", 3, "question"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str, line: int | None, word: str) -> None:
    with pytest.raises(DataError) as told:
        read_own_questions(table(tmp_path / "q.csv", text))
    assert told.value.line == line
    assert word in told.value.problem


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    for name, raw, line in (
        ("a.csv", b"question,answer\nBeh\xe7et?,x\n", 2),
        ("b.jsonl", b'{"question": "Beh\xe7et?", "answer": "x"}\n', 1),
        ("c.csv", "question,answer\na,b\n".encode("utf-16"), 1),
        ("d.json", b'[{"question": "a",\n"answer": "b"}]', 1),
        ("e.jsonl", b'"text"\n', 1),
    ):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(DataError) as told:
            read_own_questions(tmp_path / name)
        assert told.value.line == line, name
    with pytest.raises(DataError):
        read_own_questions(tmp_path / "none.csv")


def test_own_questions_are_stored_as_others_are(tmp_path: Path) -> None:
    found = read_own_questions(
        jsonl(tmp_path / "q.jsonl", CHOICE, *numbered(5)), n_test=2, seed=1
    ).questions
    for sealed in (False, True):
        write_questions(tmp_path / "set.jsonl", found, sealed=sealed)
        assert read_questions(tmp_path / "set.jsonl") == found
        assert not is_own(tmp_path / "set.jsonl")
    assert is_own(tmp_path / "q.jsonl")
    splits = [[q for q in found if q.split == split] for split in ("train", "test")]
    assert leakage_certificate(*splits).clean
    assert leakage(found, found)["texts"] == len(found)


def test_certified_questions_have_no_options_in_their_json() -> None:
    made = toy_questions()
    for question in (*made.train, *made.test):
        fields = msgspec.json.decode(encode(question))
        unset = {
            name for name in Question.__struct_fields__ if getattr(question, name) is msgspec.UNSET
        }
        assert list(fields) == [name for name in Question.__struct_fields__ if name not in unset]
        assert unset >= {"options", "rubric", "question_set", "origin"}
        assert question.proof is question.certificate
        assert question.subject is question.topic
    assert set(FIELDS) > {"question", "answer"}


def test_the_command_shows_a_question_without_a_graph(tmp_path: Path) -> None:
    found = read_own_questions(jsonl(tmp_path / "q.jsonl", CHOICE)).questions
    write_questions(tmp_path / "set.jsonl", found)
    command = ["questions", "show", "own:1", "--file", str(tmp_path / "set.jsonl")]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "B. Scurvy" in shown.output
    assert ("certificate", "none") in described(found[0])
