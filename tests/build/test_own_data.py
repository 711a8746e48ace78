"""An environment of one's own questions and corpus, from end to end."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from medenv.ablation.attack import HONEST, AttackEnvironment
from medenv.build.environment import make_env, make_parts
from medenv.errors import NoCertificateError, UsageError
from medenv.evaluation.measures import chance_of
from medenv.evaluation.summary import read_scored, summarise, write_scored
from medenv.kg import read_own_questions, toy_graph, toy_questions
from medenv.records import Part, Score, Scored, Trajectory
from medenv.report.headline import headline, pair
from medenv.report.training import TrainingReport, write_training_report
from medenv.reward import COMPONENTS, Checked, Composition, check_questions, compose
from medenv.rollouts.policies import Texts
from medenv.trajectories.exports import chat_of
from medenv.trajectories.leaks import guidance_text, leaks

from ..fakes import HERMES

ROWS = [
    {"id": "q1", "question": "Which gene is mutated in Marfan syndrome?", "answer": "FBN1"},
    {
        "id": "q2",
        "question": "Which vitamin is missing in scurvy?",
        "options": ["Vitamin A", "Vitamin B12", "Vitamin C", "Vitamin D"],
        "answer": "C",
    },
]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    questions = tmp_path / "q.jsonl"
    questions.write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Marfan syndrome\n\nMutations of FBN1.")
    (tmp_path / "docs" / "b.txt").write_text("Scurvy: vitamin C is missing.")
    return {"questions": str(questions), "corpus": str(tmp_path / "docs")}


def test_an_episode_from_end_to_end(data: dict[str, Any]) -> None:
    parts = make_parts(**data, scoring="composite")
    texts = [HERMES.write_call("search", {"query": "scurvy vitamin"}), HERMES.write_answer("C")]
    scored = [parts.rollouts().run(Texts(texts).begin(q), q) for q in parts.questions]
    right = scored[1]
    assert "D. Vitamin D" in parts.env().reset(options={"question": "q2"})[0]
    assert right.trajectory.turns[0].results[0].passages[0] == "b.txt#0"
    assert right.score.total == pytest.approx(1.3)
    assert scored[0].score.total == 0.0
    summary = summarise(scored)
    assert "hops" not in summary.by  # one group of questions without a path
    assert summary.chance == pytest.approx(0.125)
    assert summary.wasted["beyond"] == 0
    assert [chance_of(q) for q in parts.questions] == [0.0, 0.25]
    table = headline(pair(scored, scored), None)
    assert any(row.label == "no gold path" for row in table)


def test_the_passages_of_the_file_are_the_corpus(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "passages": ["FBN1 is mutated."]}, ROWS[1]]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    parts = make_parts(questions=tmp_path / "q.jsonl")
    assert parts.retriever is not None
    ((found, _),) = parts.retriever.search(["FBN1"], 3)[0]
    assert found.text == "FBN1 is mutated."
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.txt").write_text("Scurvy.")
    other = make_parts(questions=tmp_path / "q.jsonl", corpus=tmp_path / "docs").retriever
    assert other is not None
    assert not other.search(["FBN1"], 3)[0]


@pytest.mark.parametrize("tool", ["lookup", "diagnose"])
def test_the_toy_graph_never_answers_for_ones_own(data: dict[str, Any], tool: str) -> None:
    certified = toy_questions().train
    for given in (data, {"questions": data["questions"]}, {"corpus": data["corpus"]}):
        with pytest.raises(UsageError, match=f"^{tool} needs a graph"):
            make_parts(**given, tools=(tool,))
    with pytest.raises(UsageError, match="needs a graph"):
        make_parts(questions=certified, tools={tool: {}})
    assert set(make_parts(**data, tools="all").toolbox.tools) == {"search", "read", "med_search"}
    assert tool in make_parts(**data, graph=toy_graph(), tools="all").toolbox.tools
    assert tool in make_parts(tools=(tool,)).toolbox.tools


def test_own_questions_without_a_corpus_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="set corpus"):
        make_parts(questions=data["questions"])
    assert make_parts(questions=data["questions"], tools=()).retriever is None
    assert make_parts(questions=data["questions"], graph=toy_graph()).retriever is not None


NEEDY = {name for name, one in COMPONENTS.items() if one.needs_certificate}


@pytest.mark.parametrize("component", sorted(COMPONENTS))
def test_what_needs_certificates_says_so_when_it_is_made(
    data: dict[str, Any], component: str
) -> None:
    weights = {"accuracy": 1.0, component: 0.0}
    if component not in NEEDY:
        parts = make_parts(**data, scoring=weights)
        for question in parts.questions:
            policy = Texts([HERMES.write_answer("x")]).begin(question)
            assert parts.rollouts().run(policy, question).score.total is not None
        return
    with pytest.raises(NoCertificateError) as told:
        make_parts(**data, scoring=weights)
    assert told.value.question == "q1"
    assert component in told.value.need
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)
    check_questions(compose(Composition(weights=weights)), toy_questions().train)


def test_a_reward_of_ones_own_may_need_certificates_too(data: dict[str, Any]) -> None:
    def mine(trajectory: Trajectory) -> Score:
        part = Part(raw=1.0, weight=1.0, weighted=1.0)
        return Score(total=1.0, parts={"accuracy": part})

    questions = read_own_questions(data["questions"]).questions
    check_questions(mine, questions)
    checked = make_parts(**data, scoring=mine).reward
    assert isinstance(checked, Checked)
    assert checked.reward is mine
    mine.needs_certificate = ("my part",)  # type: ignore[attr-defined]  # as a reward of a package
    with pytest.raises(NoCertificateError, match="my part"):
        check_questions(mine, questions)
    with pytest.raises(NoCertificateError, match="my part"):
        make_parts(**data, scoring=mine)


def test_withholding_needs_certificates(data: dict[str, Any]) -> None:
    with pytest.raises(NoCertificateError, match="q1"):
        make_parts(**data, withhold=0.5)


def test_scored_episodes_are_stored(data: dict[str, Any], tmp_path: Path) -> None:
    parts = make_parts(**data)
    question = parts.questions[1]
    policy = Texts([HERMES.write_answer("Vitamin C")]).begin(question)
    scored: Scored = parts.rollouts().run(policy, question)
    write_scored(tmp_path / "r.jsonl", [scored])
    assert read_scored(tmp_path / "r.jsonl") == [scored]


def played(data: dict[str, Any], answers: tuple[str, str]) -> list[Scored]:
    parts = make_parts(**data)
    call = HERMES.write_call("search", {"query": "scurvy vitamin C"})
    return [
        parts.rollouts().run(Texts([call, HERMES.write_answer(one)]).begin(question), question)
        for question, one in zip(parts.questions, answers, strict=True)
    ]


def test_a_report_shows_questions_without_a_path(data: dict[str, Any], tmp_path: Path) -> None:
    before, after = played(data, ("x", "A")), played(data, ("FBN1", "C"))
    report = TrainingReport(before_sampled=before, after_sampled=after)
    write_training_report(tmp_path / "report.html", report)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h4>Answer</h4>" in page
    assert "<h4>Certificate</h4>" not in page
    assert "no gold path" in page


def test_trajectories_without_a_path_are_exported_and_searched_for_leaks(
    data: dict[str, Any],
) -> None:
    guessed, right = (one.trajectory for one in played(data, ("FBN1", "C")))
    exported = chat_of(right, make_parts(**data).rules)
    assert (exported.hops, exported.calls) == (0, 1)
    assert guidance_text(right.question) == ""
    assert leaks(right, {}) == []
    assert [(leak.kind, leak.found) for leak in leaks(guessed, {})] == [("entity", "FBN1")]


def test_no_attack_earns_more_than_its_bound(
    data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        *ROWS,
        {"question": "Which gene, again?", "answer": "FBN1"},
        {"question": "Is it inherited?", "answer": "yes"},
        {"question": "Which?", "options": ["yes", "Scurvy", "Gout, acute"], "answer": "A"},
        {"question": "All?", "kind": "list:x", "options": list("xyz"), "answers": ["A", "C"]},
    ]
    Path(data["questions"]).write_text("\n".join(map(json.dumps, rows)))
    spec = gymnasium.envs.registration.EnvSpec(
        "tests/Own-v0", entry_point=lambda **settings: make_env(**{**data, **settings})
    )
    monkeypatch.setitem(gymnasium.registry, "tests/Own-v0", spec)
    arena = AttackEnvironment("tests/Own-v0")
    for preset in ("answer_only", "composite"):
        for found in arena.findings(preset, arena.reward(preset)):
            if found.attack == HONEST:
                assert found.worst >= found.bound
            else:
                assert found.worst <= found.bound, found
    with pytest.raises(NoCertificateError):
        arena.reward("evidence")
