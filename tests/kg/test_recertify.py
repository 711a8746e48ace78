"""Sets of an earlier version are proved anew: what holds is kept, the old folder stays as it is."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.errors import DataError, UsageError
from medenv.io import digest, read_json, write_json
from medenv.kg import Graph, read_questions, write_questions
from medenv.kg.certificates.proving import prove_all
from medenv.kg.questions.card import read_card
from medenv.kg.questions.recertify import recertify
from medenv.kg.questions.sets import CONTENTS, FORMAT, Contents, QuestionSet
from medenv.kg.questions.synthesis import QuestionsSettings, make_question_set
from medenv.kg.sources import GraphSettings
from medenv.records import Guess, Question
from medenv.retrieval import BM25Retriever

KINDS = {"list": 1, "quantity": 1, "intersection": 1, "disease>gene": 1}
SETTINGS = QuestionsSettings(kinds=KINDS, rare_percent=100, test_share=0.3, n=6, n_test=1)
NEW_FIELDS = {"effective_hops": 0, "entries": 0, "needed_clues": 0, "hidden_bits": 0.0}
NEW_ON_THE_CARD = ("effective", "families", "recorded", "hidden_bits", "remembered", "guessed")
GUESS = Guess(model="wise", answer="Night lake syndrome", right=False)


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> QuestionSet:
    folder = tmp_path_factory.mktemp("today") / "set"
    return make_question_set(folder, GraphSettings(source="toy"), SETTINGS)


def aged(question: Question, **changes: Any) -> Question:
    """Return a question as the first version certified it, with a guess."""
    proof = replace(question.proof, guess=GUESS, **NEW_FIELDS)
    return replace(question, certificate=proof, **changes)


@pytest.fixture
def old(today: QuestionSet, tmp_path: Path) -> Path:
    """The same set as version 1 wrote it; of its six training questions three no longer hold."""
    folder = tmp_path / "old"
    shutil.copytree(today.folder, folder)
    first, second, third, *others = today.questions("train")
    counted = ["where", "disease", [["count", "has_phenotype", 2, 3]]]
    other = replace(second.proof, answers=("TOY:D999",))
    train = [
        aged(first, text="Which of them is it?"),  # names nothing
        aged(replace(second, certificate=other)),
        aged(replace(third, certificate=replace(third.proof, query=counted))),
        *map(aged, others),
    ]
    write_questions(folder / "train.jsonl", train)
    write_questions(folder / "test.jsonl", map(aged, today.questions("test")), sealed=True)
    contents = read_json(folder / CONTENTS, Contents)
    write_json(folder / CONTENTS, replace(contents, format=1))
    card = json.loads((folder / "card.json").read_text())
    card = {name: value for name, value in card.items() if name not in NEW_ON_THE_CARD}
    write_json(folder / "card.json", card)
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def bytes_of(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): digest(path.read_bytes()) for path in files}


def test_an_older_set_is_refused_in_a_line_that_names_the_command(old: Path) -> None:
    with pytest.raises(DataError, match="has format 1") as refused:
        QuestionSet.open(old)
    assert f"`medenv questions certify {old}`" in str(refused.value)
    verified = run("questions", "verify", old)
    assert isinstance(verified.exception, DataError)
    assert f"`medenv questions certify {old}`" in str(verified.exception)


def test_one_command_proves_an_older_set_anew_and_leaves_it_as_it_was(
    old: Path, today: QuestionSet
) -> None:
    before = bytes_of(old)
    done = run("questions", "certify", old)
    assert done.exit_code == 0, done.output
    fresh = QuestionSet.open(old.with_name("old-certified"))
    told = done.output.replace("\n", " ")
    assert f"{fresh.folder}: 3 train, 1 test questions, proved; 3 dropped" in told
    assert "dropped, rests on a count or an absent record, which is asked no longer: 1" in told
    assert "dropped, a text that no longer fits: 1" in told
    assert "dropped, another answer than before: 1" in told
    assert bytes_of(old) == before
    # The questions that hold are those of today's set, with the guess that the old ones had.
    for split, wanted in (("train", today.questions("train")[3:]), ("test", today.questions())):
        expected = {
            q.id: replace(q, certificate=replace(q.proof, guess=GUESS))
            for q in wanted
            if q.split == split
        }
        assert {q.id: q for q in fresh.questions(split)} == expected
    assert (fresh.contents.format, fresh.contents.questions) == (FORMAT, {"train": 3, "test": 1})
    assert fresh.contents.graph == today.contents.graph
    assert fresh.contents.passages == today.contents.passages


def test_the_new_set_is_whole(old: Path, today: QuestionSet, tmp_path: Path) -> None:
    found = recertify(old, tmp_path / "new")
    folder = found.questions.folder
    assert {path.name for path in folder.iterdir()} == {
        *("train.jsonl", "test.jsonl", "leakage.json", "card.json", "README.md"),
        *("difficulty.svg", "contents.json", "graph", "corpus"),
    }
    assert b"sealed" in (folder / "test.jsonl").read_bytes()
    assert run("questions", "verify", folder).exit_code == 0
    graph, corpus = Graph.load(folder / "graph"), BM25Retriever.load(folder / "corpus")
    proofs = list(prove_all(found.questions.questions(), graph, corpus))
    assert [problems for _, problems in proofs] == [[]] * 4
    card = read_card(folder)
    assert (card.questions, card.attempts) == ({"train": 3, "test": 1}, {"train": 6, "test": 1})
    assert card.rejected == found.dropped
    assert card.guessed == {"wise": (0, 4)}
    assert found.dropped == {
        "a text that no longer fits": 1,
        "another answer than before": 1,
        "rests on a count or an absent record, which is asked no longer": 1,
    }


def test_a_set_of_today_comes_out_the_same(today: QuestionSet, tmp_path: Path) -> None:
    found = recertify(today.folder, tmp_path / "again")
    assert found.dropped == {}
    for name in ("train.jsonl", "test.jsonl", "leakage.json"):
        assert (tmp_path / "again" / name).read_bytes() == (today.folder / name).read_bytes()


def test_a_set_that_is_extended_would_not_be_the_one_that_was_certified(
    today: QuestionSet, tmp_path: Path
) -> None:
    recertify(today.folder, tmp_path / "again")
    with pytest.raises(DataError, match="certified_anew is True there and None here"):
        make_question_set(tmp_path / "again", GraphSettings(source="toy"), SETTINGS)


def test_nothing_is_written_where_the_folder_is_taken_or_no_question_holds(
    old: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    refused = run("questions", "certify", old, "--out", taken)
    assert isinstance(refused.exception, DataError)
    assert "exists and is not empty; name another folder with --out" in str(refused.exception)
    assert [path.name for path in taken.iterdir()] == ["mine.txt"]
    train = read_questions(old / "train.jsonl")
    write_questions(old / "train.jsonl", train[:1])
    write_questions(old / "test.jsonl", (), sealed=True)
    with pytest.raises(UsageError, match=r"no question that holds \(a text that no longer fits: 1"):
        recertify(old, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_is_no_older_set_is_refused(old: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the folder of a question set"):
        recertify(tmp_path)
    contents = read_json(old / CONTENTS, Contents)
    write_json(old / CONTENTS, replace(contents, format=99))
    with pytest.raises(UsageError, match="format 99, of a later version of medenv; update medenv"):
        recertify(old)
    with pytest.raises(DataError, match="a later version of medenv made it"):
        QuestionSet.open(old)
    (old / "graph").rename(tmp_path / "gone")
    write_json(old / CONTENTS, replace(contents, format=1))
    with pytest.raises(UsageError, match="no graph to prove its questions against"):
        recertify(old)
