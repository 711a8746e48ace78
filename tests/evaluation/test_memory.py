"""Memory against research: closed book against tools, the true world against altered ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from medenv.build.settings import PolicySettings
from medenv.cli.main import app
from medenv.dialects import Hermes
from medenv.errors import DataError, UsageError
from medenv.evaluation.compare import Episodes, compare, read_evaluation, sides
from medenv.evaluation.memory import MEMORY, Contrast, contrast_of
from medenv.evaluation.run import EvaluateSettings, Evaluation, evaluate
from medenv.kg.questions.sets import QuestionSet
from medenv.kg.worlds.counterfactual import numbered
from medenv.records import UNSET, Question, Scored

from ..chat_server import ChatServer
from ..report.builder import question, scored, turn
from ..toy import toy_questions_settings, toy_run

HERMES = Hermes()


def episode(asked: Question, right: float, answer: str = "x", *, searched: bool = True) -> Scored:
    """An episode that answers, after a search or without any."""
    search = turn(0, "look", [("search", {"query": "q"}, "ok")], shown="...")
    turns = [search] * searched + [turn(1, "so", answer=answer)]
    return scored(asked, turns, right=right)


def moved(asked: Question, number: int, **changes: Any) -> Question:
    """A question of a rewired world, under another number."""
    given = {"id": f"test:{number}", "world": "rewired", "origin": asked.id}
    return msgspec.structs.replace(asked, **{**given, **changes})


def run(*episodes: Scored) -> Episodes:
    return Episodes(folder="f", sampled=episodes, greedy=())


def contrast(before: Episodes, after: Episodes) -> Contrast | None:
    return contrast_of(sides(before, after)[0])


def means(found: Contrast | None) -> dict[str, float]:
    assert found is not None
    return {row.label: row.value.mean for row in found.rows}


def test_closed_book_against_research_is_counted_by_question() -> None:
    marks = [(1, 1), (0, 1), (0, 1), (1, 0), (0, 0)]
    closed = run(*(episode(question(i), a, searched=False) for i, (a, _) in enumerate(marks)))
    research = run(*(episode(question(i), b) for i, (_, b) in enumerate(marks)))
    expected = pytest.approx(
        {
            "right closed book": 2 / 5,
            "right with research": 3 / 5,
            "difference, within questions": 1 / 5,
            "right both ways": 1 / 5,
            "right closed book alone": 1 / 5,
            "right with research alone": 2 / 5,
            "right neither way": 1 / 5,
        }
    )
    for found in (contrast(closed, research), contrast(research, closed)):  # in either order
        assert found is not None
        assert (found.title, found.questions) == ("Closed book against research", 5)
        assert means(found) == expected
    difference = found.rows[2]
    assert difference.difference
    assert difference.value.low < 1 / 5 < difference.value.high


def test_several_samples_count_by_their_chances() -> None:
    closed = run(*(episode(question(0), mark, searched=False) for mark in (1, 0)))
    research = run(*(episode(question(0), mark) for mark in (1, 1, 1, 0)))
    found = means(contrast(closed, research))
    assert found["right both ways"] == pytest.approx(1 / 2 * 3 / 4)
    assert found["right with research alone"] == pytest.approx(1 / 2 * 3 / 4)
    assert found["right neither way"] == pytest.approx(1 / 2 * 1 / 4)


def test_questions_of_a_world_are_paired_by_what_they_were_made_from() -> None:
    asked = [question(i) for i in range(4)]
    true = run(*(episode(one, float(i < 3)) for i, one in enumerate(asked)))
    # question 1 was left out of the world, so that all after it have other numbers there
    kept = [asked[0], asked[2], asked[3]]
    answers = ["x", asked[2].answers[0].name.lower(), "x"]
    world = [
        episode(moved(one, n), float(n == 0), answer)
        for n, (one, answer) in enumerate(zip(kept, answers, strict=True))
    ]
    found = contrast(true, run(*world))
    assert found is not None
    assert (found.title, found.questions, found.dropped) == ("True against rewired world", 3, 1)
    assert means(found) == pytest.approx(
        {
            "right in the true world": 2 / 3,
            "right in the rewired world": 1 / 3,
            "difference, within questions": -1 / 3,
            "right both ways": 1 / 3,
            "right in the true world alone": 1 / 3,
            "right in the rewired world alone": 0,
            "right neither way": 1 / 3,
            "answer of the true world in the rewired one": 1 / 3,
        }
    )
    (compared,) = compare([true, run(*world)])
    assert [flip.question for flip in compared.flips] == ["test:2"]


def test_in_worlds_made_before_there_was_an_origin_the_text_decides() -> None:
    asked = [question(i) for i in range(3)]
    true = run(*(episode(one, 1.0) for one in asked))
    old = [moved(one, n, origin=UNSET) for n, one in enumerate(asked[1:])]
    strange = moved(question(7, text="Which gene is it?"), 2, origin=UNSET)
    found = contrast(true, run(*(episode(one, 0.0) for one in [*old, strange])))
    assert found is not None
    assert (found.questions, found.dropped) == (2, 2)


def test_renamed_worlds_have_no_answer_to_recall() -> None:
    asked = [question(i) for i in range(2)]
    true = run(*(episode(one, 1.0) for one in asked))
    renamed = run(*(episode(moved(one, n, world="renamed"), 1.0) for n, one in enumerate(asked)))
    found = contrast(true, renamed)
    assert found is not None
    assert found.title == "True against renamed world"
    assert len(found.rows) == 7


def test_runs_that_differ_in_neither_or_both_have_no_table() -> None:
    asked = [question(i) for i in range(2)]
    true = run(*(episode(one, 1.0) for one in asked))
    assert contrast(true, true) is None
    closed = run(*(episode(moved(one, n), 1.0, searched=False) for n, one in enumerate(asked)))
    assert contrast(true, closed) is None
    unanswerable = [moved(one, n, world="unanswerable") for n, one in enumerate(asked)]
    assert contrast(true, run(*(episode(one, 1.0) for one in unanswerable))) is None


def settings(root: Path, name: str, policy: PolicySettings, **changes: Any) -> EvaluateSettings:
    given = {"run": name, "policy": policy, "samples": 1, "greedy": False, "split": ""}
    return EvaluateSettings(**toy_run(root, **{**given, **changes}))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Research, closed book and a rewired world, evaluated on the toy graph."""
    folder = tmp_path_factory.mktemp("outputs")
    hops, none = (PolicySettings(baseline=one) for one in ("greedy_hops", "closed_book"))
    evaluate(settings(folder, "research", hops))
    against = str(folder / "research")
    evaluate(settings(folder, "closed", none, closed_book=True, against=against))
    rewired = toy_questions_settings(world="rewired")
    evaluate(settings(folder, "rewired", hops, questions=rewired, against=against))
    return folder


def test_closed_book_plays_without_tools_in_the_same_environment(root: Path) -> None:
    specs = [
        json.loads((root / name / "environment.json").read_text())["env"]
        for name in ("research", "closed")
    ]
    assert specs[0].pop("tools").keys() == {"search", "read"}
    assert specs[1].pop("tools") == {}
    assert specs[0] == specs[1]
    episodes = read_evaluation(root / "closed").sampled
    assert len(episodes) == 12
    assert not any(turn.calls for one in episodes for turn in one.trajectory.turns)


@pytest.mark.parametrize(
    ("name", "title"),
    [("closed", "Closed book against research"), ("rewired", "True against rewired world")],
)
def test_file_pages_and_command_have_the_same_table(root: Path, name: str, title: str) -> None:
    found = msgspec.json.decode((root / name / MEMORY).read_bytes(), type=Contrast)
    assert found.title == title
    for file in ("report.md", "page.html", "report.html"):
        text = (root / name / file).read_text()
        assert title in text, file
        assert all(row.label in text for row in found.rows), file
    folders = [str(root / "research"), str(root / name)]
    page = root / f"{name}.html"
    done = CliRunner().invoke(
        app, ["compare", *folders, "--page", str(page)], env={"COLUMNS": "200"}
    )
    assert done.exit_code == 0, done.output
    assert title in done.output
    assert "right neither way" in done.output
    assert title in page.read_text()
    done = CliRunner().invoke(app, ["view", folders[1], "--markdown", str(root / "again.md")])
    assert done.exit_code == 0, done.output
    assert title in (root / "again.md").read_text()


def test_the_rewired_world_is_paired_with_what_it_was_made_from(root: Path) -> None:
    world = QuestionSet.open(root / "questions-toy-toy-0" / "worlds" / "rewired")
    true = QuestionSet.open(root / "questions-toy-toy-0")
    known = {one.id: one for split in ("train", "test") for one in true.questions(split)}
    made = [one for split in ("train", "test") for one in world.questions(split)]
    assert 0 < len(made) <= len(known)
    assert all(one.text == known[str(one.origin)].text for one in made)
    assert all(one.origin is UNSET for one in known.values())
    left = numbered([known["test:1"], known["test:3"], known["train:0"]])
    assert [(one.id, one.origin) for one in left] == [
        *(("test:0", "test:1"), ("test:1", "test:3"), ("train:0", "train:0")),
    ]
    (found,) = compare([read_evaluation(root / name) for name in ("research", "rewired")])
    assert (found.questions, found.dropped) == (len(made), len(known) - len(made))
    assert means(found.contrast)["right in the rewired world"] > 0.5  # it reads what stands there


def test_a_model_that_knows_the_true_world_is_found_out(root: Path, tmp_path: Path) -> None:
    known = {
        one.text: one.answers[0].name
        for split in ("train", "test")
        for one in QuestionSet.open(root / "questions-toy-toy-0").questions(split)
    }

    def answer(body: dict[str, Any]) -> str:
        if len(body["messages"]) < 3:
            return HERMES.write_call("search", {"query": "gene"})
        text = next(one["content"] for one in body["messages"] if one["role"] == "user")
        return HERMES.write_answer(known[text])

    def play(name: str, **changes: Any) -> Evaluation:
        policy = PolicySettings(url=server.url, model="m")
        return evaluate(settings(tmp_path, name, policy, **changes))

    with ChatServer(answer) as server:
        play("true")
        rewired = toy_questions_settings(world="rewired")
        done = play("rewired", questions=rewired, against=str(tmp_path / "true"))
    found = means(done.contrast)
    assert found["right in the true world"] == 1.0
    assert found["right in the rewired world"] == 0.0
    assert found["answer of the true world in the rewired one"] == 1.0


def test_what_cannot_play_or_be_compared_is_told_first(root: Path, tmp_path: Path) -> None:
    hops = PolicySettings(baseline="greedy_hops")
    with pytest.raises(UsageError, match="needs the tool search; the environment has none"):
        evaluate(settings(tmp_path, "closed", hops, closed_book=True))
    with pytest.raises(DataError, match="expected the folder of a finished evaluation"):
        evaluate(settings(tmp_path, "a", hops, against=str(tmp_path / "nowhere")))
    assert not (tmp_path / "a" / "episodes.jsonl").exists()


def test_the_recipe_takes_the_tools_away(root: Path) -> None:
    command: Sequence[str] = [
        *(sys.executable, "-m", "medenv.cli", "evaluate", "graph=toy", "questions=toy", "env=tiny"),
        *("policy=closed_book", "closed_book=true", "samples=1", "greedy=false", "split="),
        *(f"root={root}", "run=recipe", f"against={root / 'research'}"),
    ]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Closed book against research, 12 questions" in done.stdout
