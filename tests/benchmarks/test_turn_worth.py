"""The worth of turns is enumerated exactly, and compared with the credits of training."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from medenv.build.environment import Parts, registered_parts
from medenv.records import Scored, Trajectory

from .test_tool_benchmarks import program

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore"),  # of verl, as it is imported
]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return program("turn_worth")


@pytest.fixture(scope="module")
def parts() -> Parts:
    return registered_parts("medenv/Research-v0", scoring="process")


def total(parts: Parts) -> Any:
    return lambda trajectory: parts.reward(trajectory).total


def test_a_decision_of_two_turns_is_worth_what_one_works_out_by_hand(
    bench: ModuleType, parts: Parts
) -> None:
    question = parts.questions[0]
    write = parts.rules.dialect
    right = write.write_answer(question.answers[0].name)
    search = write.write_call("search", {"query": question.topic.name if question.topic else ""})

    def policy(trajectory: Trajectory) -> list[Any]:
        if trajectory.turns:
            wrong = write.write_answer("nobody")
            return [bench.Choice("right", right, 0.8), bench.Choice("wrong", wrong, 0.2)]
        wrong = write.write_answer("nobody")
        return [bench.Choice("search", search, 0.5), bench.Choice("guess", wrong, 0.5)]

    worths = bench.Worths(parts.env(), question, policy, [total(parts)])
    # Right after the one search needed: 1 + 0.1 + 0.1 + 0.3 = 1.5; wrong: 0.
    after, start = worths.states
    assert start is worths.start
    assert after.value == pytest.approx([0.8 * 1.5])
    assert after.advantages[:, 0] == pytest.approx([0.3, -1.2])
    assert start.value == pytest.approx([0.5 * 1.2])
    assert start.advantages[:, 0] == pytest.approx([0.6, -0.6])
    assert worths.visits() == pytest.approx([0.5, 1.0])
    assert bench.space_of([worths]).gradient[:, 0] == pytest.approx([0.12, -0.12, 0.3, -0.3])


def test_the_value_of_a_question_is_the_mean_of_its_episodes(
    bench: ModuleType, parts: Parts
) -> None:
    question = next(one for one in parts.questions if len(one.proof.path) == 2)
    policy = bench.Researcher(parts)
    worths = bench.Worths(parts.env(), question, policy, [total(parts)])
    env, rng, found = parts.env(), np.random.default_rng(7), []
    for _ in range(1000):
        env.reset(options={"question": question.id})
        over, reward = False, 0.0
        while not over:
            choices = policy(env.episode.trajectory())
            shares = [one.probability for one in choices]
            assert sum(shares) == pytest.approx(1)
            text = choices[int(rng.choice(len(choices), p=shares))].text
            _, given, terminated, truncated, _ = env.step(text)
            over, reward = terminated or truncated, float(given)
        found.append(reward)
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - worths.start.value[0]) < 4 * error
    assert error < 0.03


def test_merged_states_are_worth_what_the_whole_history_is_worth(bench: ModuleType) -> None:
    short = registered_parts("medenv/Research-v0", scoring="process", budget={"turns": 4})
    question = next(one for one in short.questions if len(one.proof.path) == 2)
    given = (short.env(), question, bench.Researcher(short), [total(short)])
    merged, whole = bench.Worths(*given), bench.Worths(*given, bench.whole_history)
    assert len(merged.states) < len(whole.states)
    assert merged.start.returns == pytest.approx(whole.start.returns)


def test_credits_are_those_of_the_estimators_that_training_uses(
    bench: ModuleType, parts: Parts
) -> None:
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

    from medenv.integrations.verl import advantages

    assert bench.registered("grpo") is compute_grpo_outcome_advantage
    assert bench.registered("medenv_turn_grpo") is advantages.turn_grpo
    assert bench.registered("medenv_gdpo") is advantages.gdpo
    worths = [
        bench.Worths(parts.env(), parts.questions[0], bench.Researcher(parts), [total(parts)])
    ]
    step = bench.play(worths, [parts.scoring], 4, np.random.default_rng([0, 3]))
    scored: list[Scored] = step.scored[0]
    totals = np.array([one.score.total for one in scored])
    assert len(set(totals.tolist())) > 1
    expected = (totals - totals.mean()) / totals.std(ddof=1)
    for credit, one, value in zip(
        bench.credits_of("grpo", scored, step.question, parts.scoring),
        scored,
        expected,
        strict=True,
    ):
        assert credit == pytest.approx([value] * len(one.trajectory.turns), abs=1e-4)


def test_the_command_writes_tables_and_a_figure_and_repeats_them(
    bench: ModuleType, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(bench.main)
    written = []
    for name in ("a", "b"):
        table, drawing = tmp_path / f"{name}.md", tmp_path / f"{name}.svg"
        given = ["--steps=3", "--size=3", "--questions=2", "--scoring=answer_only"]
        done = CliRunner().invoke(app, [*given, f"--write={table}", f"--figure={drawing}"])
        assert done.exit_code == 0, done.output
        written.append((table.read_text(), drawing.read_bytes()))
    assert written[0] == written[1]
    assert "| answer_only | turn credit |" in written[0][0]
    assert b"answer rightly" in written[0][1]


def test_a_way_to_pay_that_does_not_exist_is_one_line(bench: ModuleType) -> None:
    app = typer.Typer()
    app.command()(bench.main)
    done = CliRunner().invoke(app, ["--scoring=process,tokens"])
    assert done.exit_code == 1
    assert done.stderr == ("turn_worth: expected REWARD or REWARD,turns, got 'process,tokens'\n")
