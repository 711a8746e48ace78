"""What a benchmark shares with what is trained on: wording, entities, and where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.errors import UsageError
from medenv.kg import toy_questions
from medenv.kg.questions.overlap import SetOverlap, overlap_of_sets
from medenv.records import Entity, Passage, Question

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def question(name: str, text: str, answer: str = "Rett syndrome", **others: object) -> Question:
    gold = Entity(id=f"{name}#0", kind="answer", name=answer)
    return Question(id=name, text=text, answers=(gold,), **others)  # type: ignore[arg-type]


def test_runs_of_words_are_shares_of_each_questions_own_runs() -> None:
    """Of fourteen words seven runs have eight words; five of them stand in the other set."""
    trained = question("t", f"So: {' '.join(LONG.split()[:12]).upper()}!", "other")
    found = overlap_of_sets([question("a", LONG), question("b", "too short")], [trained])
    assert found.in_questions[8].questions == 1
    assert found.in_questions[8].share == pytest.approx(5 / 7)
    assert found.in_questions[13].share == 0.0
    assert found.in_questions[13].too_short == 1
    assert (found.questions, found.others, found.passages, found.in_corpus) == (2, 1, 0, {})
    (one,) = found.found
    assert (one.question, one.in_questions) == ("a", {8: pytest.approx(5 / 7), 13: 0.0})


def test_a_corpus_is_held_apart_from_the_questions() -> None:
    passage = Passage(id="p", title="Numbers", text=LONG)
    found = overlap_of_sets([question("a", LONG)], [question("t", "else", "x")], [passage], [13])
    assert found.in_questions[13].questions == 0
    assert found.in_corpus[13].share == 1.0
    assert found.passages == 1


def test_options_are_no_wording_and_the_same_question_is_found_in_any_spelling() -> None:
    options = ("yes", "no")
    text = "Is Behçet disease hereditary?\n\nA. yes\nB. no"
    other = "Is it BEHCET disease\n\nA. yes\nB. no"
    asked = question("a", text, "no", options=options)
    assert overlap_of_sets([asked], [question("t", other, "no", options=options)]).found == ()
    same = question("t", "Is BEHCET disease hereditary", "never")
    assert overlap_of_sets([asked], [same]).identical == 1


def test_entities_are_shared_by_name_alias_and_id_and_opinions_are_none() -> None:
    made = toy_questions()
    itself = overlap_of_sets(made.train, made.train)
    assert itself.identical == itself.with_entities == len(made.train)
    apart = overlap_of_sets(made.test, made.train)
    assert apart.identical == 0
    alias = Entity(id="x", kind="disease", name="Cerebroatrophy", aliases=("RETT SYNDROME",))
    named = Question(id="t", text="Which?", answers=(alias,))
    (one,) = overlap_of_sets([question("a", "What is it?")], [named]).found
    assert one.entities == ("Rett syndrome",)
    assert (
        overlap_of_sets([question("a", "Is it?", "yes")], [question("t", "Or?", "yes")]).found == ()
    )


def test_no_question_or_no_run_is_refused() -> None:
    with pytest.raises(UsageError, match="got 0 questions"):
        overlap_of_sets([], [])
    with pytest.raises(UsageError, match="runs of 0"):
        overlap_of_sets([question("a", "b")], [], runs=[0])


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    rows = {"1": {"QUESTION": f"Is {LONG}?", "CONTEXTS": [LONG, "x"], "final_decision": "yes"}}
    (tmp_path / "p.json").write_text(json.dumps(rows))
    (tmp_path / "mine.csv").write_text(
        f"question,answer,split\n{LONG},FBN1,train\nIs {LONG}?,FBN1,test\n"
    )
    (tmp_path / "c.jsonl").write_text(json.dumps({"id": "c", "title": "t", "text": LONG}) + "\n")
    command = [
        "questions",
        "overlap",
        f"pubmedqa:{tmp_path / 'p.json'}",
        str(tmp_path / "mine.csv"),
    ]
    command += ["--corpus", str(tmp_path / "c.jsonl"), "--json", str(tmp_path / "o.json")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "1 questions, held against 1 questions and 1 passages" in told
    assert "13 words in a row, in the corpus" in told
    assert "a passage that they bring along (1 of 2)" in told
    found = json.loads((tmp_path / "o.json").read_text())
    assert set(found) == set(SetOverlap.__struct_fields__)
    assert found["identical"] == 0  # the test question of the other set is not looked at
    assert (found["given"], found["shared_passages"]) == (2, 1)
    assert found["in_questions"]["13"]["share"] == pytest.approx(2 / 3)
