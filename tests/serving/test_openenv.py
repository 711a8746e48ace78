"""OpenEnv 0.10's own client plays on the server, and its own checks pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..peers import installed, run
from .served import ANSWER, SEARCH, parts, serving

HERE = Path(__file__).parent
PACKAGES = HERE / "openenv.txt"
"""OpenEnv and what it needs beside the packages of the development environment."""


@pytest.fixture(scope="module")
def openenv(pytestconfig: pytest.Config) -> Path:
    """A folder with OpenEnv, installed once and kept between runs."""
    return installed(pytestconfig, PACKAGES)


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    with serving() as where:
        yield where


@pytest.fixture(scope="module")
def report(openenv: Path, where: str) -> dict[str, Any]:
    program = str(HERE / "openenv_peer.py")
    found: dict[str, Any] = json.loads(
        run(openenv, program, f"http://{where}", "7", SEARCH, ANSWER)
    )
    return found


def test_its_client_sees_what_the_gymnasium_environment_shows(report: dict[str, Any]) -> None:
    env = parts().env()
    prompt, info = env.reset(seed=7)
    begin, searched, answered = report["results"]
    assert begin[0]["text"] == prompt
    assert begin[0]["messages"] == info["messages"]
    assert begin[1:3] == [None, False]
    seen, reward, over, cut, info = env.step(SEARCH)
    assert (searched[0]["text"], searched[1:3]) == (seen, [reward, over or cut])
    _, reward, over, _, info = env.step(ANSWER)
    assert answered[1:3] == [reward, over] == [1.0 + 0.1 + 0.2, True]
    assert answered[3]["score"]["total"] == info["score"].total
    assert {n: p["weighted"] for n, p in answered[3]["score"]["parts"].items()} == {
        name: part.weighted for name, part in info["score"].parts.items()
    }


def test_its_client_reads_the_state(report: dict[str, Any]) -> None:
    found = [(one["episode_id"], one["step_count"], one["done"]) for one in report["states"]]
    assert found == [("sync", 0, False), ("sync", 1, False), ("sync", 2, True)]


def test_its_client_plays_many_episodes_at_once(report: dict[str, Any]) -> None:
    assert report["rewards"] == [1.3] * 32


def test_its_client_raises_what_was_wrong(report: dict[str, Any]) -> None:
    wrong, late = report["errors"]
    assert "VALIDATION_ERROR" in wrong
    assert "`txt`" in wrong
    assert "EXECUTION_ERROR" in late
    assert "send reset" in late


def test_its_validation_passes(report: dict[str, Any]) -> None:
    assert report["validated"]["passed"] is True
    assert report["validated"]["summary"]["failed_criteria"] == []
    assert report["validated"]["mode"] == "simulation"


def test_its_graders_of_a_running_environment_pass(report: dict[str, Any]) -> None:
    assert {name: status for name, (status, _) in report["graded"].items()} == {
        "runtime.reward_well_formed": "pass",
        "runtime.observation_schema": "pass",
        "runtime.state_contract": "pass",
    }, report["graded"]


def test_the_example_plays_its_episodes(openenv: Path) -> None:
    from medenv.build.environment import make_parts

    with serving(make_parts(env_id="medenv/Research-v0", split="train")) as where:
        printed = run(openenv, "examples/openenv_client.py", f"http://{where}")
    *episodes, mean = printed.splitlines()
    assert len(episodes) == 8
    assert all(" answered " in line for line in episodes)
    assert float(mean.split()[2]) > 0.8
