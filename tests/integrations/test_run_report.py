"""From a run's folder to its figures, where not every episode of a validation came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medenv.build.prepare import Prepared
from medenv.build.settings import EnvironmentSpec, TrainSettings, ValidationSettings
from medenv.evaluation.measures import is_missing
from medenv.evaluation.summary import summarise, write_scored
from medenv.integrations.verl.report import curves, episodes
from medenv.integrations.verl.run import Run
from medenv.kg import write_questions
from medenv.kg.questions.sets import Contents, QuestionSet, write_contents
from medenv.records import Scored
from medenv.report.headline import pair

from ..report.builder import rollout

QUESTIONS, SAMPLES = 24, 4


def validated(folder: Path, episodes: dict[int, list[Scored]], asked: int | None = None) -> Run:
    """A run's folder with the sampled episodes of its validations, by step."""
    every = rollout(QUESTIONS, SAMPLES, skill=0.5, search=1.0)
    questions = {one.trajectory.question.id: one.trajectory.question for one in every}
    made = folder / "questions"
    write_questions(made / "test.jsonl", list(questions.values()))
    contents = Contents(source="s", questions={"train": 1, "test": QUESTIONS}, shared={})
    write_contents(made, contents)
    for step, scored in episodes.items():
        write_scored(folder / "rollouts" / "val-sampled" / f"{step:06d}.jsonl", scored)
    (folder / "metrics").mkdir()
    (folder / "metrics" / "0000.jsonl").write_text(json.dumps({"step": 1, "data": {"a": 1.0}}))
    evaluation = ValidationSettings(samples=SAMPLES, greedy=False, questions=asked)
    settings = TrainSettings(root=str(folder), evaluation=evaluation)
    spec = EnvironmentSpec(
        questions=str(made), graph=None, corpus=None, retriever=settings.retriever,
        env=settings.env, scoring=settings.scoring,
    )  # fmt: skip
    prepared = Prepared(QuestionSet.open(made), None, None, spec)
    return Run(folder, OmegaConf.create(), settings, prepared)


EVERY = rollout(QUESTIONS, SAMPLES, skill=0.5, search=1.0)


def right(one: Scored) -> bool:
    return one.score.parts["accuracy"].raw == 1.0


def half_of_the_wrong_ones_dropped() -> list[Scored]:
    wrong = [one for one in EVERY if not right(one)]
    return [one for one in EVERY if one not in wrong[::2]]


def test_dropping_wrong_episodes_does_not_raise_the_accuracy(tmp_path: Path) -> None:
    left = half_of_the_wrong_ones_dropped()
    run = validated(tmp_path, {0: EVERY, 4: left})
    before, after = episodes(run, "val-sampled", 0), episodes(run, "val-sampled", -1)
    accuracy = sum(map(right, EVERY)) / len(EVERY)
    assert sum(map(right, left)) / len(left) > accuracy + 0.1  # what was reported before
    for scored in (before, after):
        assert len(scored) == QUESTIONS * SAMPLES
        assert summarise(scored).measures["accuracy"].mean == pytest.approx(accuracy)
    dropped = len(EVERY) - len(left)
    assert (sum(map(is_missing, after)), summarise(after).missing) == (dropped, dropped)
    assert pair(before, after).missing == (0, dropped)
    by_step = {row["step"]: row.get("val/accuracy") for row in curves(run)}
    assert by_step == {0.0: pytest.approx(accuracy), 1.0: None, 4.0: pytest.approx(accuracy)}


def test_whole_questions_that_never_came_are_missing_too(tmp_path: Path) -> None:
    left = [one for one in EVERY if one.trajectory.question.id != "test:3"]
    (scored,) = [episodes(validated(tmp_path, {0: left}), "val-sampled", 0)]
    missing = [one for one in scored if is_missing(one)]
    assert [one.trajectory.question.id for one in missing] == ["test:3"] * SAMPLES
    assert [one.sample for one in missing] == list(range(SAMPLES))
    assert summarise(scored).questions == QUESTIONS


def test_only_what_was_asked_can_be_missing(tmp_path: Path) -> None:
    some = [one for one in EVERY if int(one.trajectory.question.id[5:]) < 5]
    run = validated(tmp_path, {0: some}, asked=5)
    assert summarise(episodes(run, "val-sampled", 0)).missing == 0
    assert episodes(run, "val-greedy", 0) == []
