"""Alarms go off once for each collapse, and end a run only after a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from omegaconf import OmegaConf

from medenv.build.settings import AlarmSettings
from medenv.errors import UsageError
from medenv.integrations.verl.alarms import MEASURES, Alarm, TrainingCollapsedError, alarms_in

pytestmark = pytest.mark.verl

Metrics = dict[int, dict[str, float]]


def entropies(*values: float) -> Metrics:
    return {step: {"actor/entropy": value} for step, value in enumerate(values, 1)}


SETTINGS = AlarmSettings(steps=2, entropy_below=0.1)


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ((0.5, 0.05, 0.5, 0.05), []),
        ((0.5, 0.05, 0.05, 0.05), [3]),
        ((0.05, 0.05, 0.5, 0.05, 0.05), [2, 5]),
        ((0.1, 0.1), []),
        ((math.nan, math.nan), [2]),
    ],
)
def test_an_alarm_goes_off_once_for_each_run_of_steps(
    values: tuple[float, ...], steps: list[int]
) -> None:
    assert [alarm.step for alarm in alarms_in(entropies(*values), SETTINGS)] == steps


@pytest.mark.parametrize(
    ("setting", "bad", "good"),
    [
        ("entropy_below", 0.0, 0.3),
        ("length_below", 1.0, 50.0),
        ("length_above", 900.0, 50.0),
        ("well_formed_below", 0.0, 1.0),
        ("dead_groups_above", 1.0, 0.5),
    ],
)
def test_each_bound_watches_its_measure(setting: str, bad: float, good: float) -> None:
    settings = AlarmSettings(steps=1, length_above=800.0)
    for value, expected in ((bad, [setting]), (good, [])):
        metrics = {1: {MEASURES[setting]: value}}
        assert [alarm.setting for alarm in alarms_in(metrics, settings)] == expected


def test_a_bound_that_is_null_and_a_measure_that_is_not_logged_raise_no_alarm() -> None:
    assert alarms_in(entropies(0.0), AlarmSettings(steps=1, entropy_below=None)) == []
    assert alarms_in({1: {}}, AlarmSettings(steps=1)) == []


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"entropy_below": -1.0}, {"dead_groups_above": 1.5}]
)
def test_a_bound_that_cannot_be_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"alarms.{next(iter(wrong))}"):
        AlarmSettings(**wrong)


def steps_of(metrics: Metrics) -> Iterator[tuple[int, dict[str, float]]]:
    yield from metrics.items()


def run_of(folder: Path, earlier: Metrics, **alarms: Any) -> Any:
    settings = AlarmSettings(steps=2, entropy_below=0.1, **alarms)
    return SimpleNamespace(
        folder=folder,
        steps=8,
        metrics=lambda: earlier,
        settings=SimpleNamespace(alarms=settings),
        config=OmegaConf.create({"trainer": {"save_freq": 4}}),
    )


def test_an_alarm_is_told_and_written_and_training_goes_on(tmp_path: Path) -> None:
    from medenv.integrations.verl.run import watched

    said: list[str] = []
    metrics = entropies(0.5, 0.05, 0.04, 0.03, 0.5)
    assert dict(watched(steps_of(metrics), run_of(tmp_path, {}), said.append)) == metrics
    assert said == [
        "alarm at step 3: actor/entropy is 0.04, below alarms.entropy_below=0.1 "
        "for 2 steps in a row"
    ]
    lines = (tmp_path / "alarms.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Alarm).step for line in lines] == [3]


def test_with_stop_a_run_ends_at_the_checkpoint_and_goes_on_with_another_bound(
    tmp_path: Path,
) -> None:
    from medenv.integrations.verl.run import watched

    metrics, seen = entropies(0.5, 0.05, 0.04, 0.03, 0.02, 0.02), []
    stopping = watched(steps_of(metrics), run_of(tmp_path, {}, stop=True), lambda _: None)
    with pytest.raises(TrainingCollapsedError, match=r"checkpoint of step 4.*entropy_below"):
        seen += [step for step, _ in stopping]
    rest = {step: metrics[step] for step in (5, 6)}
    earlier = {step: metrics[step] for step in range(1, 5)}
    resumed = watched(steps_of(rest), run_of(tmp_path, earlier), lambda _: None)
    assert [step for step, _ in resumed] == [5, 6]


def test_a_collapse_from_before_a_restart_counts_on(tmp_path: Path) -> None:
    from medenv.integrations.verl.run import watched

    said: list[str] = []
    list(
        watched(
            steps_of({2: {"actor/entropy": 0.0}}), run_of(tmp_path, entropies(0.0)), said.append
        )
    )
    assert len(said) == 1
