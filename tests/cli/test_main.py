"""The command line, driven as a person would."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from medenv.build.environment import make_parts
from medenv.cli.main import app, main
from medenv.envs.registration import ENVIRONMENTS

RUNNER = CliRunner()
QUESTION = make_parts().questions[0]


def test_envs_lists_every_id() -> None:
    listed = RUNNER.invoke(app, ["envs"])
    assert listed.exit_code == 0
    for env_id in ENVIRONMENTS:
        assert env_id in listed.output


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


def test_an_empty_line_stops() -> None:
    assert "Stopped; no score." in play("")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["play", "medenv/Resarch-v0"], "Did you mean: `Research`? (known: medenv/Research-v0"),
        (["play", "CartPole-v1"], "an environment of medenv, got 'CartPole-v1'"),
        (["play", "--question", "nope"], "no question has the id 'nope'"),
    ],
    ids=["typo", "foreign", "question"],
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
