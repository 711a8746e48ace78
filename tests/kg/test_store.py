import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from medenv.errors import DataError
from medenv.kg import leakage, read_questions, write_questions
from medenv.kg.sources.toy import ToyQuestions

Damage = Callable[[bytes], bytes]


def test_questions_come_back_as_they_were_written(questions: ToyQuestions, tmp_path: Path) -> None:
    path = tmp_path / "new" / "train.jsonl"
    assert write_questions(path, questions.train) == 16
    assert read_questions(path) == questions.train
    assert len(path.read_text().splitlines()) == 16


def test_writing_replaces_the_file_and_leaves_no_scratch(
    questions: ToyQuestions, tmp_path: Path
) -> None:
    path = tmp_path / "q.jsonl"
    write_questions(path, questions.train)
    write_questions(path, questions.test)
    assert read_questions(path) == questions.test
    assert [entry.name for entry in tmp_path.iterdir()] == ["q.jsonl"]


def test_a_failed_write_leaves_the_old_file(questions: ToyQuestions, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    write_questions(path, questions.train)

    with pytest.raises(ZeroDivisionError):
        write_questions(path, (q for q in questions.test if 1 / 0))
    assert read_questions(path) == questions.train
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda raw: raw.removesuffix(b"\n"),
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: b"\xef\xbb\xbf" + raw + b"\n\n",
        gzip.compress,
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_what_editors_do_to_a_file_makes_no_difference(
    questions: ToyQuestions, tmp_path: Path, edit: Damage, sealed: bool
) -> None:
    path = tmp_path / "q.jsonl"
    write_questions(path, questions.train, sealed=sealed)
    path.write_bytes(edit(path.read_bytes()))
    assert read_questions(path) == questions.train


@pytest.mark.parametrize(
    ("damage", "line", "problem"),
    [
        (lambda raw: raw[:-40], 16, "was cut short"),
        (lambda raw: b"{}\n" + raw, 1, "is not a question"),
        (lambda raw: raw.replace(b'"kind"', b'"sort"', 1), 1, "is not a question"),
        (lambda raw: raw[:100] + b"\xff" + raw[101:], 1, "is not a question"),
    ],
)
def test_a_damaged_line_is_named(
    questions: ToyQuestions, tmp_path: Path, damage: Damage, line: int, problem: str
) -> None:
    path = tmp_path / "q.jsonl"
    write_questions(path, questions.train)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=problem) as caught:
        read_questions(path)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")


def test_a_set_shares_everything_with_itself(questions: ToyQuestions) -> None:
    shared = leakage(questions.train, questions.train)
    assert shared["topics"] == len({q.topic.id for q in questions.train})
    assert shared["answers"] == len({q.answers[0].id for q in questions.train})
    assert shared["texts"] == 16
    assert shared["edges"] > 0
