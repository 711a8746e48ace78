"""The vector environment, held against Gymnasium's own in every autoreset mode."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from medenv.envs.env import MedResearchEnv
from medenv.envs.vector import MedResearchVectorEnv
from medenv.errors import UsageError
from medenv.records import Score, Trajectory
from medenv.tools import Search, Tool, ToolBox

from ..fakes import ANSWER, HERMES, SEARCH, Flaky, Shelf, exact, question, rules


def single(tool: Tool | None = None) -> MedResearchEnv:
    box = ToolBox([tool or Search(Shelf())])
    return MedResearchEnv([question(i) for i in range(50)], box, exact, rules(box, turns=3))


def plain(value: Any) -> Any:
    """Information without arrays, and without what differs by the clock."""
    if isinstance(value, dict):
        return {
            name: plain(inner)
            for name, inner in value.items()
            if name not in ("trajectory", "_trajectory")
        }
    return value.tolist() if isinstance(value, np.ndarray) else value


SCRIPT = [
    (SEARCH, ANSWER, "hm"),
    (ANSWER, SEARCH, "hm"),
    (SEARCH, SEARCH, "hm"),
    (SEARCH, ANSWER, SEARCH),
    (ANSWER, SEARCH, SEARCH),
]


@pytest.mark.parametrize("mode", AutoresetMode)
def test_it_steps_as_gymnasiums_own_does(mode: AutoresetMode) -> None:
    ours = MedResearchVectorEnv(single, 3, mode)
    theirs: Any = SyncVectorEnv([single] * 3, autoreset_mode=mode)
    assert ours.metadata["autoreset_mode"] is mode
    assert ours.observation_space == theirs.observation_space
    for first, second in [(ours.reset(seed=7), theirs.reset(seed=7))]:
        assert first[0] == second[0]
        assert plain(first[1]) == plain(second[1])
    for actions in SCRIPT:
        mine, other = ours.step(actions), theirs.step(actions)
        assert mine[0] == other[0]
        assert [part.tolist() for part in mine[1:4]] == [part.tolist() for part in other[1:4]]
        assert plain(mine[4]) == plain(other[4])
        ended = mine[2] | mine[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            mine = ours.reset(options={"reset_mask": ended})
            other = theirs.reset(options={"reset_mask": ended.copy()})
            assert (mine[0], plain(mine[1])) == (other[0], plain(other[1]))


def test_a_failure_outside_truncates_one_environment_without_a_reward() -> None:
    tools = iter([Search(Shelf()), Flaky(failures=1), Search(Shelf())])
    envs = MedResearchVectorEnv(lambda: single(next(tools)), 3)
    envs.reset(seed=0)
    _, rewards, terminated, truncated, infos = envs.step([SEARCH] * 3)
    assert [math.isnan(reward) for reward in rewards] == [False, True, False]
    assert truncated.tolist() == [False, True, False]
    assert not terminated.any()
    assert infos["failure"][1].startswith("the backend is away")
    observations, _, _, truncated, infos = envs.step([ANSWER] * 3)
    assert infos["_question_id"].tolist() == [False, True, False]
    assert observations[1].endswith(question().text)
    assert not truncated.any()


def test_any_exception_truncates_one_environment_alone() -> None:
    def bugged(trajectory: Trajectory) -> Score:
        if trajectory.answer == "CBS":
            raise ZeroDivisionError("no passages")
        return exact(trajectory)

    def made() -> MedResearchEnv:
        env = single()
        env.reward = bugged
        return env

    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        envs = MedResearchVectorEnv(made, 3, mode)
        envs.reset(seed=0)
        bad = HERMES.write_answer("CBS")
        _, rewards, terminated, truncated, infos = envs.step([ANSWER, bad, SEARCH])
        assert rewards[[0, 2]].tolist() == [1.0, 0.0]
        assert math.isnan(rewards[1])
        assert (terminated.tolist(), truncated.tolist()) == (
            [True, False, False],
            [False, True, False],
        )
        told = infos["final_info"] if mode is AutoresetMode.SAME_STEP else infos
        assert told["failure"][1] == "ZeroDivisionError: no passages"
        assert envs.step([SEARCH] * 3)[1].tolist() == [0.0] * 3


def test_make_vec_gives_ours_with_shared_parts() -> None:
    envs = gymnasium.make_vec(
        "medenv:medenv/Research-v0", num_envs=4, autoreset_mode="SameStep", split="train"
    )
    assert isinstance(envs, MedResearchVectorEnv)
    assert envs.spec is not None
    assert len({id(env.toolbox) for env in envs.envs}) == 1
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    observations, _, _, _, _ = envs.step(envs.action_space.sample())
    assert observations in envs.observation_space


def test_each_environment_is_rendered() -> None:
    envs = gymnasium.make_vec("medenv/ClosedBook-v0", num_envs=2, render_mode="ansi")
    theirs: Any = gymnasium.make_vec(
        "medenv/ClosedBook-v0", num_envs=2, render_mode="ansi", vectorization_mode="sync"
    )
    for one in (envs, theirs):
        one.reset(seed=0)
    assert (envs.render_mode, envs.metadata) == (theirs.render_mode, theirs.metadata)
    assert envs.render() == theirs.render()
    assert len(set(envs.render())) == 2


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: MedResearchVectorEnv(single, 0), "num_envs must be at least 1, got 0"),
        (lambda: MedResearchVectorEnv(single, 1, "Soon"), "'NextStep', .*, got 'Soon'"),
        (lambda: MedResearchVectorEnv(single, 2).reset(seed=[1]), "expected 2 seeds, got 1"),
        (lambda: MedResearchVectorEnv(single, 2).step([ANSWER]), "expected 2 actions, got 1"),
        (
            lambda: MedResearchVectorEnv(single, 2).reset(options={"reset_mask": [True, False]}),
            r"reset_mask must be a bool array of shape \[2\]",
        ),
    ],
    ids=["none", "mode", "seeds", "actions", "mask"],
)
def test_a_wrong_use_is_refused(call: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        call()


def test_without_autoreset_ended_episodes_wait_for_a_reset() -> None:
    envs = MedResearchVectorEnv(single, 2, "Disabled")
    envs.reset(seed=0)
    envs.step([ANSWER, SEARCH])
    with pytest.raises(UsageError, match=r"episodes \[0\] have ended"):
        envs.step([SEARCH, SEARCH])
