"""The command line, driven as a person would."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medenv.ablation.attack import AttackEnvironment
from medenv.build.environment import make_parts
from medenv.cli.main import app, clash, main
from medenv.envs.registration import ENVIRONMENTS
from medenv.errors import NoCertificateError

RUNNER = CliRunner()
QUESTION = make_parts().questions[0]


def test_envs_lists_every_id() -> None:
    listed = RUNNER.invoke(app, ["envs"])
    assert listed.exit_code == 0
    for env_id in ENVIRONMENTS:
        assert env_id in listed.output


def test_the_demo_plays_the_longest_proof_and_shows_what_it_earned() -> None:
    shown = RUNNER.invoke(app, ["demo"])
    assert shown.exit_code == 0, shown.output
    asked = max(make_parts().questions, key=lambda one: len(one.proof.path))
    gold = asked.answers[0].name
    assert [f"Turn {i}" in shown.output for i in (1, 2, 3, 4)] == [True, True, True, False]
    assert f"<answer>{gold}</answer>" in shown.output
    assert "1.300" in shown.output


def test_another_projects_distribution_of_the_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clash() == ""
    meta = tmp_path / "medenv-9.9.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: medenv\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["medenv", "envs"])
    with pytest.raises(SystemExit):
        main()
    assert "another project's distribution medenv 9.9" in capsys.readouterr().err


def play(*lines: str) -> str:
    arguments = ["play", "medenv/Research-v0", "--question", QUESTION.id]
    played = RUNNER.invoke(app, arguments, input="".join(f"{line}\n" for line in lines))
    assert played.exit_code == 0, played.output
    return played.output


def test_playing_shows_the_question_the_passages_and_the_score() -> None:
    gold = QUESTION.answers[0].name
    shown = play(QUESTION.topic.name, f"?{QUESTION.topic.id}#0", f"={gold}")
    assert QUESTION.text[:40] in shown
    assert "[1]" in shown
    assert "The episode ended: answered." in shown
    assert "accuracy" in shown
    assert f"The answer was: {gold}" in shown


def test_a_turn_can_be_typed_in_the_dialect() -> None:
    shown = play("<tool_call>{</tool_call>", "<answer>[/]nothing like it</answer>")
    assert "Error: tool call 1 is not valid JSON" in shown
    assert "0.000" in shown


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.csv"
    path.write_text(
        "id,question,answer,passages\n"
        "q1,Which vitamin is missing in scurvy?,Vitamin C,Scurvy: vitamin C is missing.\n"
        "q2,Which gene is mutated in Marfan syndrome?,FBN1,Marfan syndrome: FBN1.\n"
    )
    return str(path)


def test_a_file_of_ones_own_questions_is_played_over_its_own_passages(own: str) -> None:
    arguments = ["play", "--questions", own, "--question", "q1"]
    played = RUNNER.invoke(app, arguments, input="scurvy vitamin\n=vitamin C\n")
    assert played.exit_code == 0, played.output
    assert "Which vitamin is missing in scurvy?" in played.output
    assert "Scurvy: vitamin C is missing." in played.output
    assert "The answer was: Vitamin C" in played.output
    assert "wrong" not in played.output


def test_own_questions_are_attacked_under_the_rewards_that_can_score_them(own: str) -> None:
    attacked = RUNNER.invoke(app, ["attack", "--questions", own])
    assert attacked.exit_code == 0, attacked.output
    assert "medenv/Research-v0" in attacked.output
    assert not any(
        env_id in attacked.output for env_id in set(ENVIRONMENTS) - {"medenv/Research-v0"}
    )
    assert "evidence is left out: question 'q1' has no certificate" in attacked.output
    assert "composite is left out" not in attacked.output
    named = RUNNER.invoke(app, ["attack", "--questions", own, "--scoring", "evidence"])
    assert isinstance(named.exception, NoCertificateError)


@pytest.mark.parametrize("variant", ["rewired", "unanswerable"])
def test_a_world_is_attacked_by_its_folder(variant: str, tmp_path: Path) -> None:
    folder = str(tmp_path / variant)
    assert RUNNER.invoke(app, ["kg", "world", "make", variant, folder]).exit_code == 0
    attacked = RUNNER.invoke(app, ["attack", "--questions", folder, "--n", "4"])
    assert attacked.exit_code == 0, attacked.output
    arena = AttackEnvironment("medenv/Research-v0", n=4, questions=folder)
    assert {question.world for question in arena.questions} == {variant}
    assert "All bounds are kept." in attacked.output


def test_an_empty_line_stops() -> None:
    assert "Stopped; no score." in play("")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["play", "medenv/Resarch-v0"], "Did you mean: `Research`? (known: medenv/Research-v0"),
        (["play", "CartPole-v1"], "an environment of medenv, got 'CartPole-v1'"),
        (["play", "--question", "nope"], "no question has the id 'nope'"),
        (["play", "--questions", "no.csv"], "no.csv"),
        (["attack", "--questions", "no.csv"], "no.csv"),
        (["attack", "--n", "0"], "got 0 of the 22 questions"),
    ],
    ids=["typo", "foreign", "question", "no file to play", "no file to attack", "no questions"],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["medenv", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert error.startswith("medenv: ")
    assert told in error
    assert error.count("\n") == 1
