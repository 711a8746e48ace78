"""Baselines play in the real environment, by stated rules, through the same recipe as policies."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medenv.build.settings import PolicySettings
from medenv.dialects import Hermes
from medenv.errors import UnknownNameError, UsageError
from medenv.evaluation.baselines import BASELINES, ClosedBook, Named
from medenv.evaluation.run import EvaluateSettings, evaluate
from medenv.evaluation.summary import read_scored
from medenv.kg import Graph
from medenv.kg.questions.sets import QuestionSet
from medenv.records import Scored

from ..toy import tiny_env, toy_run

ROOT = Path(__file__).parents[2]


def settings(root: Path, baseline: str, **changes: Any) -> EvaluateSettings:
    given = {"run": baseline, "policy": PolicySettings(baseline=baseline), "samples": 1}
    return EvaluateSettings(**toy_run(root, **{**given, "greedy": False, **changes}))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def played(root: Path) -> dict[str, list[Scored]]:
    """The episodes of each baseline on all questions, training ones too."""
    for name in BASELINES:
        evaluate(settings(root, name, split=""))
    return {name: read_scored(root / name / "sampled.jsonl") for name in BASELINES}


@pytest.fixture(scope="module")
def questions(root: Path, played: dict[str, list[Scored]]) -> QuestionSet:
    return QuestionSet.open(root / "questions-toy-toy-0")


def test_all_answer_the_same_questions_with_the_same_tools(
    played: dict[str, list[Scored]],
) -> None:
    asked = {name: [one.trajectory.question.id for one in done] for name, done in played.items()}
    assert len({tuple(ids) for ids in asked.values()}) == 1
    assert len(asked["oracle"]) == 12


def test_the_oracle_is_right_wherever_it_was_shown_the_proof(
    played: dict[str, list[Scored]],
) -> None:
    for one in played["oracle"]:
        right = one.score.parts["accuracy"].raw == 1.0
        assert right == (one.trajectory.answer != "unknown")
    assert sum(one.score.parts["accuracy"].raw for one in played["oracle"]) >= 9


def test_one_search_searches_once_and_answers_with_the_first_of_the_kind(
    played: dict[str, list[Scored]], questions: QuestionSet
) -> None:
    assert questions.graph is not None
    graph = Graph.load(questions.graph)
    kinds = {name: graph.kind(number) for number, name in enumerate(graph.nodes.names)}
    for one in played["one_search"]:
        first, second = one.trajectory.turns
        assert [call.name for call in first.calls] == ["search"]
        kind = one.trajectory.question.answers[0].kind
        shown, asked = first.observation, one.trajectory.question.text
        places = {
            shown.find(name): name
            for name, of in kinds.items()
            if of == kind and name in shown and name not in asked
        }
        expected = places[min(places)] if places else "unknown"
        assert one.trajectory.answer == expected, second.text


def test_greedy_hops_reach_further_than_one_search(played: dict[str, list[Scored]]) -> None:
    right = {
        name: {one.trajectory.question.id for one in done if one.score.parts["accuracy"].raw == 1.0}
        for name, done in played.items()
    }
    assert right["one_search"] <= right["greedy_hops"]
    two_hops = [
        one
        for one in played["greedy_hops"]
        if len(one.trajectory.question.proof.path) == 2 and one.score.parts["accuracy"].raw == 1.0
    ]
    assert two_hops
    assert all(len(one.trajectory.turns) == 3 for one in two_hops)


def test_closed_book_calls_nothing_and_says_what_is_most_frequent(
    played: dict[str, list[Scored]], questions: QuestionSet
) -> None:
    train = list(questions.questions("train"))
    for one in played["closed_book"]:
        assert not any(turn.calls for turn in one.trajectory.turns)
        kind = one.trajectory.question.kind
        counted = Counter(
            answer.name for other in train if other.kind == kind for answer in other.answers
        )
        most = max(counted.values())
        assert counted[str(one.trajectory.answer)] == most


def test_names_are_found_whole_and_the_longest_first() -> None:
    named = Named([("Alder fever", "disease"), ("Alder fever, familial, 1", "disease"), ("A", "x")])
    found = list(named.within("Of ALDER FEVER, FAMILIAL, 1 and alder fever: an alderfever a-b."))
    assert [name for name, _ in found] == ["Alder fever, familial, 1", "Alder fever", "A"]
    assert list(Named([]).within("anything")) == []


def test_several_options_have_a_blind_answer(questions: QuestionSet) -> None:
    (question, *_) = questions.questions("test")
    chosen = msgspec.structs.replace(question, options=("first", "second"))
    book = ClosedBook([], Hermes())
    assert book.answer(chosen) == "first"
    assert book.answer(question) == "unknown"


@pytest.mark.parametrize(
    ("baseline", "tools", "error", "told"),
    [
        ("orcle", {"search": {}}, UnknownNameError, "did you mean 'oracle'"),
        ("one_search", {"read": {}}, UsageError, "needs the tool search; the environment has read"),
    ],
)
def test_a_baseline_that_cannot_play_is_told(
    tmp_path: Path, baseline: str, tools: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        evaluate(settings(tmp_path, baseline, env=tiny_env(tools=tools)))


def test_a_policy_is_one_thing() -> None:
    with pytest.raises(UsageError, match="expected one of"):
        PolicySettings(path="x", baseline="oracle")


def test_the_recipe_evaluates_a_baseline_by_its_name(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "medenv.cli", "evaluate", "graph=toy", "questions=toy", "env=tiny"),
        *("policy=greedy_hops", "samples=1", "greedy=false", f"root={tmp_path}"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "over 4 held-out questions" in done.stdout
    assert "greedy_hops" in (tmp_path / "evaluation" / "page.html").read_text()
