"""Several question sets and benchmarks in one evaluation, from the command to the page."""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from omegaconf import DictConfig

from medenv.dialects import Hermes
from medenv.errors import UsageError
from medenv.evaluation.run import EvaluateSettings
from medenv.evaluation.summary import read_scored
from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, expanded
from medenv.integrations.trl import rows
from medenv.kg import toy_questions, write_questions
from medenv.kg.questions.benchmarks import refuse_benchmarks
from medenv.kg.questions.published import convert
from medenv.records import Part, Score, Scored, Trajectory
from medenv.report.evaluation import EvaluationReport, write_evaluation

from ..browser import dom
from ..chat_server import ChatServer
from ..toy import opened, train_config

ROOT = Path(__file__).parents[2]
HERMES = Hermes()
BIOASQ = {
    "questions": [
        {
            "id": "f1",
            "type": "factoid",
            "body": "Which gene is mutated in Marfan syndrome?",
            "exact_answer": [["FBN1"]],
            "snippets": [{"text": "Marfan syndrome is caused by mutations of FBN1."}],
        },
        {"id": "l1", "type": "list", "body": "Which two?", "exact_answer": [["alpha"], ["beta"]]},
        {"id": "y1", "type": "yesno", "body": "Is it inherited?", "exact_answer": "yes"},
    ]
}
PUBMEDQA = {"f1": {"QUESTION": "Do they?", "CONTEXTS": ["They do."], "final_decision": "no"}}
OWN = "id,question,answer,split\nf1,Which vitamin is missing in scurvy?,vitamin C,test\n"
ANSWERS = {
    "Marfan": "1. TP53\n2. FBN1",
    "Which two": "alpha and gamma",
    "inherited": "yes",
    "Do they": "B",
    "scurvy": "vitamin C",
}


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    """The sets of a command: a folder of BioASQ, a file of PubMedQA, and one's own table."""
    (tmp_path / "bioasq" / "Task1").mkdir(parents=True)
    (tmp_path / "bioasq" / "Task1" / "1B1_golden.json").write_text(json.dumps(BIOASQ))
    (tmp_path / "ori_pqal.json").write_text(json.dumps(PUBMEDQA))
    (tmp_path / "mine.csv").write_text(OWN)
    return [
        f"bioasq:{tmp_path / 'bioasq'}",
        f"pubmedqa:{tmp_path / 'ori_pqal.json'}",
        str(tmp_path / "mine.csv"),
    ]


def evaluate(root: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> tuple[int, str]:
    """What the recipe ends with and prints."""
    command = ["evaluate.py", f"root={root}", "samples=0", "concurrency=1", *overrides]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setenv("COLUMNS", "200")
    shown, status = io.StringIO(), 0
    with contextlib.redirect_stdout(shown):
        try:
            runpy.run_path(str(ROOT / "recipes" / "evaluate.py"), run_name="__main__")
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, shown.getvalue()


def answer(body: dict[str, Any]) -> str:
    asked = next(one for one in body["messages"] if one["role"] == "user")["content"]
    word = next(word for word in ANSWERS if word in asked)
    if len([one for one in body["messages"] if one["role"] != "system"]) == 1:
        return HERMES.write_call("search", {"query": asked})
    return HERMES.write_answer(ANSWERS[word])


def test_a_command_evaluates_benchmarks_and_a_table_of_ones_own_by_set(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids that two files share do not collide; each set has its accuracy and official figures."""
    with ChatServer(answer) as server:
        status, told = evaluate(
            tmp_path,
            monkeypatch,
            f"questions=[{','.join(names)}]",
            "env.tools=[search]",
            f"policy={server.url}#m",
            "run=both",
        )
    assert status == 0, told
    played = [one.trajectory for one in read_scored(tmp_path / "both" / "greedy.jsonl")]
    ids = [one.question.id for one in played]
    assert ids == ["bioasq/f1", "pubmedqa/f1", "mine/f1", "bioasq/l1", "bioasq/y1"]
    assert played[0].turns[0].results[0].passages  # the snippets of BioASQ are the corpus
    greedy = json.loads((tmp_path / "both" / "summary.json").read_text())["greedy"]
    by_set = {name: found["mean"] for name, found in greedy["by"]["set"].items()}
    assert by_set == {"bioasq": pytest.approx(1 / 3), "mine": 1.0, "pubmedqa": 1.0}
    assert greedy["official"]["BioASQ factoid"] == {
        "strict accuracy": 0.0,
        "lenient accuracy": 1.0,
        "MRR": 0.5,
    }
    assert greedy["official"]["BioASQ list"]["mean F1"] == 0.5
    assert greedy["official"]["PubMedQA"] == {"accuracy": 1.0}
    assert "set mine: accuracy 100.0" in told
    page = (tmp_path / "both" / "page.html").read_text()
    assert "Accuracy by set" in page
    assert "BioASQ factoid: MRR" in page
    assert '"set":"pubmedqa"' in page.replace('": "', '":"')


def test_the_page_filters_episodes_by_set(tmp_path: Path) -> None:
    made = toy_questions().test[:3]
    played = [
        Scored(
            trajectory=Trajectory(
                question=msgspec.structs.replace(one, question_set=name),
                turns=(),
                ending="answered",
                answer="x",
            ),
            score=Score(total=0.0, parts={"accuracy": Part(raw=0.0, weight=1.0, weighted=0.0)}),
        )
        for one, name in zip(made, ("bioasq", "medqa", "medqa"), strict=True)
    ]
    page = tmp_path / "page.html"
    write_evaluation(page, EvaluationReport(sampled=played, greedy=[], facts={}))
    shown = dom(page, "set=medqa")
    assert "2 of 3 episodes" in shown
    assert '<option value="bioasq">bioasq</option>' in shown


def test_one_benchmark_needs_no_list(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatServer(answer) as server:
        policy = f"policy={server.url}#m"
        status, told = evaluate(tmp_path, monkeypatch, f"questions={names[0]}", policy, "run=one")
    assert status == 0, told
    greedy = json.loads((tmp_path / "one" / "summary.json").read_text())["greedy"]
    assert greedy["questions"] == 3
    assert "set" not in greedy["by"]


def test_real_files_are_evaluated_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(os.environ.get("MEDENV_DATA", "none"))
    files = {
        "bioasq": data / "bioasq_7b-10b.jsonl.gz",
        "drugmechdb": data / "drugmechdb_paths.jsonl.gz",
        "pubmedqa": data / "pubmedqa_dev500.jsonl.gz",
    }
    if not all(file.is_file() for file in files.values()):
        pytest.skip("MEDENV_DATA names no folder with BioASQ, DrugMechDB and PubMedQA")
    (tmp_path / "c.jsonl").write_text('{"text": "Marfan syndrome is caused by FBN1."}\n')
    sets = ",".join(f"{name}:{file}" for name, file in files.items())
    corpus = f"corpus={tmp_path / 'c.jsonl'}"
    given = [f"questions=[{sets}]", corpus, "policy=one_search", "n=40", "run=real"]
    status, told = evaluate(tmp_path, monkeypatch, *given)
    assert status == 0, told
    greedy = json.loads((tmp_path / "real" / "summary.json").read_text())["greedy"]
    assert set(greedy["by"]["set"]) == set(files)
    assert {"DrugMechDB", "PubMedQA"} < set(greedy["official"])


@pytest.mark.parametrize(
    ("questions", "told"),
    [
        ("[{0},bioask:x.json]", "error: unknown benchmark 'bioask'; did you mean 'bioasq'?"),
        ("[{0},pubmedqa:none.json]", "error: none.json: expected the folder of a question set"),
        ("[{0},docs]", "error: docs: expected the folder of a question set with contents.json"),
        ("[{0},7]", "error: expected questions=[SET,SET,...], where each is"),
        ("[]", "error: expected questions=[SET,SET,...], where each is a folder, a file or"),
        ("pubmed:x", "error: unknown benchmark 'pubmed'; did you mean 'pubmedqa'?"),
    ],
)
def test_what_is_no_set_is_told_in_one_line(
    questions: str,
    told: str,
    names: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    given = f"questions={questions.format(*names)}"
    status, said = evaluate(tmp_path, monkeypatch, given, "policy=one_search")
    assert status == 2
    assert said.splitlines()[-1].startswith(told)


def test_a_rubric_without_a_judge_is_refused_before_anything_is_played(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one the mean share of points is the official score, with the judge of the recipe."""
    rubric = [{"criterion": "Says so", "points": 5}, {"criterion": "Says why", "points": 5}]
    health = {"prompt_id": "h", "prompt": [{"role": "user", "content": "Do they?"}]}
    (tmp_path / "h.jsonl").write_text(json.dumps({**health, "rubrics": rubric}))
    both = f"questions=[{names[1]},healthbench:{tmp_path / 'h.jsonl'}]"
    status, said = evaluate(tmp_path, monkeypatch, both, "policy=one_search")
    assert status == 2
    assert "question 'healthbench/h' is graded by its rubric, which needs a judge" in said

    def judged(body: dict[str, Any]) -> str:
        system, *said = body["messages"]
        if "You grade" in system["content"]:
            rubric = json.loads(said[0]["content"])["rubric"]
            return json.dumps({"criteria": {name: name != "c2" for name in rubric}})
        return answer(body)

    with ChatServer(judged) as server:
        judge = ["scoring=paper", f"scoring.judge.url={server.url}", "scoring.judge.model=j"]
        policy = f"policy={server.url}#m"
        status, said = evaluate(tmp_path, monkeypatch, both, policy, *judge, "run=judged")
    assert status == 0, said
    greedy = json.loads((tmp_path / "judged" / "summary.json").read_text())["greedy"]
    assert greedy["official"] == {"HealthBench": {"score": 0.5}, "PubMedQA": {"accuracy": 1.0}}


def composed(*overrides: str) -> EvaluateSettings:
    from hydra import compose, initialize_config_dir

    register_schema("evaluate", EvaluateSettings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config: DictConfig = compose("evaluate", overrides=expanded(overrides))
    return settings_of(config, EvaluateSettings)


def test_a_list_of_tools_keeps_the_options_of_those_that_the_environment_has() -> None:
    assert composed("env.tools=[search]").env.tools == {"search": {"k": 5, "snippet_chars": 400}}
    tools = composed("env.tools=[med_search,read]").env.tools
    assert tools == {"med_search": None, "read": {"window_chars": 2000}}
    assert composed("questions=[a b.csv,c:d]").questions.sets == ("a b.csv", "c:d")


def test_nothing_is_trained_on_a_benchmark(names: list[str], tmp_path: Path) -> None:
    """A set of benchmarks alone has nothing to train on, and one that was edited is refused."""
    config = train_config(
        "experiment=smoke", f"root={tmp_path}", "policy=tiny", f"questions={names[1]}"
    )
    with (
        pytest.raises(UsageError, match="a published benchmark is for tests alone"),
        opened(config),
    ):
        pass
    (question,) = convert("pubmedqa", tmp_path / "ori_pqal.json").questions
    with pytest.raises(UsageError, match="'f1' is of PubMedQA, a benchmark, which is never train"):
        refuse_benchmarks([*toy_questions().train, question])
    write_questions(tmp_path / "edited.jsonl", [question])
    with pytest.raises(UsageError, match="is of PubMedQA, a benchmark"):
        rows("test", questions=str(tmp_path / "edited.jsonl"), tools=())
