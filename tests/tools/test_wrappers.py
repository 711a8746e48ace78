"""Faults on purpose, and cassettes: what stands between a call and the tool that answers it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from medenv.build.environment import make_env, make_parts
from medenv.errors import DataError, ToolUnavailableError, UnknownNameError, UsageError
from medenv.records import Score, ToolCall, ToolResult, Trajectory
from medenv.rollouts.driver import RolloutRetryPolicy
from medenv.rollouts.policies import Texts
from medenv.tools import FunctionTool, Tool, ToolBox, ToolOutput
from medenv.tools.cassette import Cassette
from medenv.tools.faults import FAULTS, Faulty

from ..fakes import ANSWER, SEARCH, Shelf, exact, question

LIVE: list[str] = []


@FunctionTool
def search(query: str) -> ToolOutput:
    """Search the live web."""
    LIVE.append(query)
    shown = ("p0", "p1", "p2", "p3")
    return ToolOutput(text=f"{len(LIVE)} answers to {query}", passages=shown)


@FunctionTool
async def afar(query: str) -> ToolOutput:
    """Search far away."""
    await asyncio.sleep(0)
    return search.call(query)  # type: ignore[return-value]  # it is plain


def run(one: Tool, query: str = "x") -> ToolResult:
    return ToolBox([one]).run(ToolCall(id="0.0", name=one.name, arguments={"query": query}))


def outcomes(rate: float, kinds: tuple[str, ...] = FAULTS, count: int = 400) -> list[str]:
    faulty = Faulty(search, rate, kinds, seed=3)
    LIVE.clear()
    seen = []
    for i in range(count):
        try:
            got = run(faulty, f"q{i}")
        except ToolUnavailableError as error:
            seen.append(str(error).split()[0])
            continue
        whole = got.text == f"{len(LIVE)} answers to q{i}"
        cut = f"{len(LIVE)} answers to q{i}".startswith(got.text) and not whole
        seen.append("fine" if whole else "truncated" if cut else "irrelevant")
    return seen


def test_faults_come_at_their_rate_and_of_every_kind() -> None:
    seen = outcomes(0.3)
    assert 0.2 < 1 - seen.count("fine") / len(seen) < 0.4
    assert set(seen) == {"fine", *FAULTS}
    assert set(outcomes(0.0)) == {"fine"}
    assert set(outcomes(1.0, ("truncated",))) == {"truncated"}


def test_faults_depend_on_seed_and_arguments_alone() -> None:
    assert outcomes(0.3) == outcomes(0.3)


def test_a_truncated_result_loses_half_of_its_passages() -> None:
    assert run(Faulty(search, 1.0, ["truncated"])).passages == ("p0", "p1")


def test_a_second_try_is_a_new_draw() -> None:
    faulty = Faulty(search, 0.5, ["error"], seed=1)
    tries = []
    for _ in range(60):
        try:
            run(faulty)
            tries.append(True)
        except ToolUnavailableError:
            tries.append(False)
    assert {True, False} == set(tries)


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"rate": 1.5}, UsageError, r"a rate in \[0, 1\] and kinds, got 1.5"),
        ({"rate": 0.1, "kinds": []}, UsageError, "got 0.1, "),
        ({"rate": 0.1, "kinds": ["eror"]}, UnknownNameError, "did you mean 'error'"),
    ],
    ids=["rate", "none", "kind"],
)
def test_impossible_faults_are_refused(options: Any, error: Any, problem: str) -> None:
    with pytest.raises(error, match=problem):
        Faulty(search, **options)


def none_if_unavailable(trajectory: Trajectory) -> Score:
    if trajectory.ending == "unavailable":
        return Score(total=None, parts={})
    return exact(trajectory)


def test_outages_of_three_calls_in_ten_are_never_scored_zero() -> None:
    faults = {"rate": 0.3, "kinds": ["error", "timeout"], "seed": 5}
    parts = make_parts(
        questions=[question()], corpus=Shelf(), scoring=none_if_unavailable, faults=faults
    )
    rollouts = parts.rollouts(RolloutRetryPolicy(attempts=2, backoff=0.0))
    episodes = [(Texts([SEARCH, SEARCH, ANSWER]).begin(question()), question()) for _ in range(300)]
    totals = [one.score.total for one in asyncio.run(rollouts.arun_all(episodes))]
    assert set(totals) == {None, 1.0}
    assert totals.count(None) > 10


@pytest.mark.parametrize("live", [search, afar], ids=["plain", "async"])
def test_a_recorded_run_is_repeated_to_the_byte_without_asking(tmp_path: Path, live: Tool) -> None:
    LIVE.clear()
    recorded = run(Cassette(live, tmp_path / "tape", "record"))
    assert LIVE == ["x"]
    for mode in ("replay", "strict"):
        again = run(Cassette(live, tmp_path / "tape", mode))
        assert (again.text, again.passages) == (recorded.text, recorded.passages)
    assert LIVE == ["x"]


def test_recording_asks_again_and_replaying_asks_what_is_missing(tmp_path: Path) -> None:
    LIVE.clear()
    for mode in ("record", "record", "replay"):
        run(Cassette(search, tmp_path, mode))
    run(Cassette(search, tmp_path, "replay"), "y")
    run(Cassette(search, tmp_path, "strict"), "y")
    assert LIVE == ["x", "x", "y"]


def test_answers_of_different_days_stay_apart(tmp_path: Path) -> None:
    LIVE.clear()
    first = run(Cassette(search, tmp_path, as_of="2026-01-01"))
    second = run(Cassette(search, tmp_path, as_of="2026-02-01"))
    assert (first.text, second.text) == ("1 answers to x", "2 answers to x")
    assert run(Cassette(search, tmp_path, "strict", "2026-01-01")).text == first.text


def test_a_strict_cassette_refuses_what_it_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recording of 'search' .*\['x'\]: record it first"):
        run(Cassette(search, tmp_path, "strict"))
    with pytest.raises(UnknownNameError, match="unknown cassette mode 'repaly'"):
        Cassette(search, tmp_path, "repaly")


def test_a_damaged_recording_is_told(tmp_path: Path) -> None:
    run(Cassette(search, tmp_path))
    (file,) = tmp_path.rglob("*.json")
    for damage in (b"{", b'{"tool": "caf\xe9"}', b""):
        file.write_bytes(damage)
        with pytest.raises(DataError, match="expected a recorded output"):
            run(Cassette(search, tmp_path))


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    broken = Cassette(Faulty(search, 1.0, ["error"]), tmp_path)
    with pytest.raises(ToolUnavailableError):
        run(broken)
    assert not list(tmp_path.rglob("*.json"))


def test_an_environment_can_be_recorded_and_repeated(tmp_path: Path) -> None:
    def played(mode: str, corpus: Any) -> str:
        cassette = {"folder": tmp_path, "mode": mode}
        env = make_env(questions=[question()], corpus=corpus, cassette=cassette)
        env.reset(seed=0)
        return env.step(SEARCH)[0]

    assert played("record", Shelf()) == played("strict", Shelf([]))
    with pytest.raises(UsageError, match="Cassette cannot take"):
        make_env(questions=[question()], corpus=Shelf(), cassette={"dir": tmp_path})
