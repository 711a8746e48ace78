"""Benchmarks by their own measures, counted by hand, from the published form to the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from medenv.build.environment import make_parts
from medenv.cli.main import app
from medenv.evaluation.official import figure_text, official
from medenv.evaluation.summary import summarise
from medenv.kg import read_own_questions
from medenv.records import Part, Question, Score, Scored, Trajectory
from medenv.report.evaluation import EvaluationReport, write_evaluation
from medenv.reward import judge_answer

BIOASQ = [
    {"id": "f1", "type": "factoid", "body": "Which gene?", "exact_answer": [["FBN1", "fibrillin"]]},
    {"id": "f2", "type": "factoid", "body": "Which protein?", "exact_answer": [["dystrophin"]]},
    {"id": "f3", "type": "factoid", "body": "Which drug?", "exact_answer": [["imatinib"]]},
    {
        "id": "l1",
        "type": "list",
        "body": "Which?",
        "exact_answer": [["alpha"], ["beta"], ["gamma"]],
    },
    {"id": "y1", "type": "yesno", "body": "Is it so?", "exact_answer": "yes"},
    {"id": "y2", "type": "yesno", "body": "Is it thus?", "exact_answer": "no"},
    {"id": "y3", "type": "yesno", "body": "Is it then?", "exact_answer": "no"},
]


def converted(tmp_path: Path, name: str, records: list[dict[str, Any]]) -> dict[str, Question]:
    """Questions of a benchmark, as `medenv questions convert` makes them of its file."""
    file, rows = tmp_path / "published.json", tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"questions": records} if name == "bioasq" else records))
    done = CliRunner().invoke(app, ["questions", "convert", name, str(file), str(rows)])
    assert done.exit_code == 0, done.output
    return {one.id: one for one in read_own_questions(rows).questions}


def episode(question: Question, answer: str | None) -> Scored:
    right = float(answer is not None and judge_answer(answer, question.answers).right)
    missing = answer is None
    return Scored(
        trajectory=Trajectory(
            question=question, turns=(), ending="unavailable" if missing else "answered",
            answer=answer,
        ),
        score=Score(
            total=None if missing else right,
            parts={} if missing else {"accuracy": Part(raw=right, weight=1.0, weighted=right)},
        ),
    )  # fmt: skip


def test_bioasq_is_measured_as_its_challenge_does(tmp_path: Path) -> None:
    asked = converted(tmp_path, "bioasq", BIOASQ)
    answers = {
        "f1": "fibrillin",
        "f2": "1. utrophin\n2. dystrophin\n3. titin",
        "f3": "1. a\n2. b\n3. c\n4. d\n5. e\n6. imatinib",
        "l1": "alpha, delta and beta",
        "y1": "yes",
        "y2": "yes",
        "y3": "no",
    }
    found = official([episode(asked[name], answer) for name, answer in answers.items()])
    assert found["BioASQ factoid"] == {
        "strict accuracy": pytest.approx(1 / 3),
        "lenient accuracy": pytest.approx(2 / 3),
        "MRR": pytest.approx((1 + 1 / 2) / 3),
    }
    assert found["BioASQ list"] == {
        "mean precision": pytest.approx(2 / 3),
        "mean recall": pytest.approx(2 / 3),
        "mean F1": pytest.approx(2 / 3),
    }
    assert found["BioASQ yes/no"] == {
        "accuracy": pytest.approx(2 / 3),
        "F1 of yes": pytest.approx(2 / 3),
        "F1 of no": pytest.approx(2 / 3),
        "macro F1": pytest.approx(2 / 3),
    }


def test_what_is_missing_or_says_both_is_not_right(tmp_path: Path) -> None:
    asked = converted(tmp_path, "bioasq", BIOASQ)
    found = official(
        [episode(asked["y1"], None), episode(asked["y2"], "yes and no"), episode(asked["f1"], None)]
    )
    assert found["BioASQ yes/no"]["accuracy"] == found["BioASQ yes/no"]["macro F1"] == 0
    assert set(found["BioASQ factoid"].values()) == {0}


def test_medbrowsecomp_counts_right_answers_over_several_samples(tmp_path: Path) -> None:
    records = [{"id": f"b{i}", "problem": f"Who is {i}?", "answer": f"name {i}"} for i in range(4)]
    asked = list(converted(tmp_path, "medbrowsecomp", records).values())
    played = [episode(one, one.answers[0].name) for one in asked[:2]]
    played += [msgspec.structs.replace(episode(one, "nobody"), sample=1) for one in asked]
    played += [episode(one, "nobody") for one in asked[2:]]
    found = official(played)["MedBrowseComp"]
    assert found == {"right answers": 1.0, "questions": 4.0, "accuracy": 0.25}
    assert figure_text("right answers", 1.0) == "1"
    assert figure_text("MRR", 0.5) == "0.500"


def test_a_part_that_several_sets_have_is_measured_in_each(tmp_path: Path) -> None:
    asked = converted(tmp_path, "bioasq", BIOASQ)
    named = [
        msgspec.structs.replace(asked[name], question_set=of_set)
        for name, of_set in (("f1", "bioasq-7b"), ("f2", "bioasq-8b"), ("y1", "bioasq-8b"))
    ]
    found = official([episode(one, one.answers[0].name) for one in named[:1]])
    assert set(found) == {"BioASQ factoid"}
    found = official([episode(one, "FBN1") for one in named])
    assert found["BioASQ factoid (bioasq-7b)"]["MRR"] == 1.0
    assert found["BioASQ factoid (bioasq-8b)"]["MRR"] == 0.0
    assert set(found) == {
        "BioASQ factoid (bioasq-7b)",
        "BioASQ factoid (bioasq-8b)",
        "BioASQ yes/no",
    }


def test_a_differential_is_measured_by_the_rank_of_the_right_diagnosis(tmp_path: Path) -> None:
    """Of four cases the right disease is first, third, alone, and behind an eleventh."""
    cases = [
        {"id": str(n), "disease": "OMIM:1", "disease_name": "Gout", "observed": [["HP:1", "Pain"]]}
        for n in range(4)
    ]
    asked = list(converted(tmp_path, "phenopackets", cases).values())
    eleven = "\n".join(f"{n}. other {n}" for n in range(1, 11)) + "\n11. Gout"
    answers = ["1. Gout\n2. Rickets", "1. Rickets\n2. Scurvy\n3. Gout", "Gout", eleven]
    found = official([episode(*pair) for pair in zip(asked, answers, strict=True)])
    assert found["Phenopackets"] == {
        "top 1": 0.5,
        "top 3": 0.75,
        "top 10": 0.75,
        "MRR": pytest.approx((1 + 1 / 3 + 1) / 4),
    }


def test_the_cases_of_the_diagnosis_environment_are_measured_alike() -> None:
    (case,) = make_parts(cases=1, tools=("ask",), scoring="answer_only").questions
    found = official([episode(case, f"1. none\n2. {case.answers[0].name}")])
    assert found == {"Differential diagnosis": {"top 1": 0, "top 3": 1, "top 10": 1, "MRR": 0.5}}


def test_a_rubric_is_measured_by_the_share_of_its_points(tmp_path: Path) -> None:
    rubric = [{"criterion": "Says so", "points": 5}, {"criterion": "Says why", "points": 5}]
    record = {"prompt_id": "h", "prompt": [{"role": "user", "content": "So?"}], "rubrics": rubric}
    (question,) = converted(tmp_path, "healthbench", [record]).values()
    half = episode(question, "It is so.")
    part = Part(raw=0.5, weight=1.0, weighted=0.5)
    half = msgspec.structs.replace(half, score=Score(total=0.5, parts={"accuracy": part}))
    found = summarise([half, msgspec.structs.replace(episode(question, None), sample=1)])
    assert found.official["HealthBench"] == {"score": 0.25}
    assert found.measures["accuracy"].mean == 0.0  # right is who has every point


def test_the_page_and_the_summary_have_them_and_other_questions_have_none(tmp_path: Path) -> None:
    asked = converted(tmp_path, "bioasq", BIOASQ)
    played = [episode(asked["f1"], "FBN1"), episode(asked["y1"], "yes")]
    assert summarise(played).official["BioASQ factoid"]["MRR"] == 1.0
    write_evaluation(tmp_path / "p.html", EvaluationReport(sampled=played, greedy=[], facts={}))
    assert "BioASQ factoid: MRR" in (tmp_path / "p.html").read_text()
    other = msgspec.structs.replace(asked["f1"], kind="disease>gene")
    assert official([episode(other, "FBN1")]) == {}
