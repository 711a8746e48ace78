"""Every wrapper and vector class of the installed Gymnasium over every id.

The tables name all of them: those that work, with the arguments they need, and those that cannot
apply to text, with the reason. A wrapper that a later Gymnasium adds fails the test of names.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import vector as vector_wrappers

from medenv.envs.env import MAX_CHARS
from medenv.envs.registration import ENVIRONMENTS
from medenv.envs.spaces import UnicodeText
from medenv.envs.vector import MedResearchVectorEnv

from ..fakes import ANSWER, SEARCH

TEXT = UnicodeText(MAX_CHARS)
TEXTS = batch_space(TEXT, 2)

NUMBERS = "it computes with an array of numbers (a Box), and a text is none"
PIXELS = "it works on images, and a conversation is rendered as text"
PARTS = "it picks parts of a Dict or a Tuple, and a text has none"
ARRAYS = "it converts arrays between libraries, and takes a text apart into characters without end"

APPLY: dict[str, dict[str, Any]] = {
    "Autoreset": {},
    "ClipReward": {"min_reward": 0, "max_reward": 1},
    "DelayObservation": {"delay": 2},
    "FlattenObservation": {},
    "FrameStackObservation": {"stack_size": 3},
    "NormalizeReward": {},
    "OrderEnforcing": {},
    "PassiveEnvChecker": {},
    "RecordEpisodeStatistics": {},
    "RenderCollection": {},
    "RepeatAction": {"num_repeats": 2},
    "StickyAction": {"repeat_action_probability": 0.5},
    "TimeAwareObservation": {},
    "TimeLimit": {"max_episode_steps": 3},
    "TransformAction": {"func": str.strip, "action_space": TEXT},
    "TransformObservation": {"func": str.upper, "observation_space": TEXT},
    "TransformReward": {"func": abs},
}
CANNOT: dict[str, tuple[str, dict[str, Any]]] = {
    "AddRenderObservation": (PIXELS, {}),
    "AddWhiteNoise": (PIXELS, {"probability_of_noise_per_pixel": 0.5}),
    "ArrayConversion": (ARRAYS, {"env_xp": np, "target_xp": np}),
    "AtariPreprocessing": (PIXELS, {"frame_skip": 1}),
    "ClipAction": (NUMBERS, {}),
    "DiscretizeAction": (NUMBERS, {"bins": 3}),
    "DiscretizeObservation": (NUMBERS, {"bins": 3}),
    "DtypeObservation": (NUMBERS, {"dtype": np.float32}),
    "FilterObservation": (PARTS, {"filter_keys": ["obs"]}),
    "GrayscaleObservation": (PIXELS, {}),
    "HumanRendering": (PIXELS, {}),
    "JaxToNumpy": (ARRAYS, {}),
    "JaxToTorch": (ARRAYS, {}),
    "MaxAndSkipObservation": (NUMBERS, {}),
    "NormalizeObservation": (NUMBERS, {}),
    "NumpyToTorch": (ARRAYS, {}),
    "ObstructView": (PIXELS, {"obstructed_pixels_ratio": 0.5, "obstruction_width": 2}),
    "RecordVideo": (PIXELS, {"video_folder": "videos"}),
    "RescaleAction": (NUMBERS, {"min_action": 0, "max_action": 1}),
    "RescaleObservation": (NUMBERS, {"min_obs": 0, "max_obs": 1}),
    "ReshapeObservation": (NUMBERS, {"shape": (2, 2)}),
    "ResizeObservation": (PIXELS, {"shape": (2, 2)}),
}


def upper(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.upper() for text in texts)


VECTOR_APPLY: dict[str, dict[str, Any]] = {
    **{
        name: APPLY[name]
        for name in (
            "ClipReward",
            "FlattenObservation",
            "NormalizeReward",
            "RecordEpisodeStatistics",
            "TransformReward",
        )
    },
    "DictInfoToList": {},
    "TransformAction": {"func": tuple, "single_action_space": TEXT, "action_space": TEXTS},
    "TransformObservation": {
        "func": upper,
        "single_observation_space": TEXT,
        "observation_space": TEXTS,
    },
    "VectorizeTransformAction": {
        "wrapper": wrappers.TransformAction,
        "func": str.strip,
        "action_space": TEXT,
    },
    "VectorizeTransformObservation": {
        "wrapper": wrappers.TransformObservation,
        "func": str.upper,
        "observation_space": TEXT,
    },
    "VectorizeTransformReward": {"wrapper": wrappers.TransformReward, "func": abs},
}
VECTOR_CANNOT = {name: CANNOT[name] for name in vector_wrappers.__all__ if name in CANNOT}

MODES = {
    "sync": SyncVectorEnv,
    "async": AsyncVectorEnv,
    "vector_entry_point": MedResearchVectorEnv,
}


def test_the_tables_name_every_wrapper_of_the_installed_gymnasium_once() -> None:
    named = [*APPLY, *CANNOT]
    assert sorted(named) == sorted(set(wrappers.__all__) - {"vector"})
    assert sorted([*VECTOR_APPLY, *VECTOR_CANNOT]) == sorted(vector_wrappers.__all__)


def play(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """A useless turn, then an answer; the information of the end."""
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    for action in ("Hm.", *[ANSWER] * 12):  # StickyAction makes some actions twice
        observation, reward, terminated, truncated, info = env.step(action)
        assert observation in env.observation_space
        assert np.isfinite(reward)
        if env.render_mode is not None:
            frames = env.render()
            assert all(isinstance(frame, str) for frame in frames)
        if terminated or truncated:
            return info
    raise AssertionError("an answer ends an episode")


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
@pytest.mark.parametrize("name", APPLY)
def test_a_wrapper_applies(name: str, env_id: str) -> None:
    mode = "ansi" if name == "RenderCollection" else None
    env = gymnasium.make(env_id, render_mode=mode)
    assert "score" in play(getattr(wrappers, name)(env, **APPLY[name]))


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
@pytest.mark.parametrize("name", CANNOT)
def test_a_wrapper_that_is_not_for_text_refuses_it(
    name: str, env_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reason, arguments = CANNOT[name]
    mode = "ansi" if reason is PIXELS else None
    # RecursionError is ARRAYS' own; ImportError where the library to convert to is not installed.
    with pytest.raises((TypeError, ValueError, AttributeError, RecursionError, ImportError)):
        play(getattr(wrappers, name)(gymnasium.make(env_id, render_mode=mode), **arguments))


@pytest.fixture(params=[(env_id, mode) for env_id in ENVIRONMENTS for mode in MODES], ids=str)
def envs(request: pytest.FixtureRequest) -> Iterator[VectorEnv[Any, Any, Any]]:
    env_id, mode = request.param
    made = gymnasium.make_vec(env_id, num_envs=2, vectorization_mode=mode)
    assert isinstance(made.unwrapped, MODES[mode])
    yield made
    made.close()


def play_two(envs: VectorEnv[Any, Any, Any]) -> None:
    """Two environments of which one answers after the other."""
    prompts, _ = envs.reset(seed=[0, 1])
    assert prompts in envs.observation_space
    shown, _, terminated, truncated, _ = envs.step(("Hm.", ANSWER))
    assert shown in envs.observation_space
    assert (terminated.tolist(), truncated.tolist()) == ([False, True], [False, False])
    _, rewards, terminated, _, _ = envs.step((ANSWER, ANSWER))
    assert np.isfinite(rewards).all()
    assert terminated.tolist() == [True, False]


def test_every_wrapper_for_vectors_applies_or_refuses_text(
    envs: VectorEnv[Any, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, arguments in VECTOR_APPLY.items():
        play_two(getattr(vector_wrappers, name)(envs, **arguments))
    for name, (_, arguments) in VECTOR_CANNOT.items():
        errors = (TypeError, ValueError, AttributeError, RecursionError, ImportError)
        with pytest.raises(errors):
            play_two(getattr(vector_wrappers, name)(envs, **arguments))


def test_frames_are_stacked_and_padded() -> None:
    env = wrappers.FrameStackObservation(gymnasium.make("medenv/Research-v0"), 3)
    first, _ = env.reset(seed=0)
    assert first == (first[2],) * 3
    second, *_ = env.step(SEARCH)
    assert second[:2] == (first[2],) * 2
    assert second[2] == "No passage matches; try other words."
    blank = wrappers.FrameStackObservation(
        gymnasium.make("medenv/Research-v0"), 3, padding_type="zero"
    )
    assert blank.reset(seed=0)[0] == ("", "", first[2])


def test_observations_are_delayed() -> None:
    plain, late = gymnasium.make("medenv/Research-v0"), gymnasium.make("medenv/Research-v0")
    late = wrappers.DelayObservation(late, 2)
    seen = [plain.reset(seed=0)[0], plain.step(SEARCH)[0], plain.step("Hm.")[0]]
    assert len(set(seen)) == 3
    delayed = [late.reset(seed=0)[0], late.step(SEARCH)[0], late.step("Hm.")[0]]
    assert delayed == ["", "", seen[0]]
    assert late.step(SEARCH)[0] == seen[1]


@pytest.mark.parametrize("budget", [None, {"turns": 5}])
@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_the_spec_knows_the_budget_of_turns(env_id: str, budget: dict[str, int] | None) -> None:
    env = gymnasium.make(env_id, **({"budget": budget} if budget else {}))
    turns = env.unwrapped.rules.budget.turns
    assert turns == (5 if budget else ENVIRONMENTS[env_id].get("budget", {}).get("turns", 8))
    assert env.spec.max_episode_steps == turns
    aware = wrappers.TimeAwareObservation(env, flatten=False)
    prompt, _ = aware.reset(seed=0)
    assert prompt["time"].tolist() == [0]
    for turn in range(1, turns + 1):
        shown, _, terminated, truncated, info = aware.step("Hm.")
        assert shown["time"].tolist() == [turn]
        assert shown in aware.observation_space
        assert (terminated, truncated) == (False, turn == turns)
    assert info["ending"] == "turns"
    again = gymnasium.make(env.spec)
    assert again.reset(seed=3)[0] == env.reset(seed=3)[0]
    assert again.spec.max_episode_steps == turns


def test_a_time_limit_can_be_set_for_one_environment_and_for_a_vector() -> None:
    env = gymnasium.make("medenv/Research-v0", max_episode_steps=2)
    envs = gymnasium.make_vec("medenv/Research-v0", num_envs=2, max_episode_steps=2)
    env.reset(seed=0)
    envs.reset(seed=0)
    assert [env.step("Hm.")[3] for _ in range(2)] == [False, True]
    assert [envs.step(["Hm."] * 2)[3].tolist() for _ in range(2)] == [[False] * 2, [True] * 2]


def strip(info: dict[str, Any]) -> dict[str, Any]:
    """Information without what differs by the clock."""
    return {name: value for name, value in info.items() if name != "trajectory"}


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_a_pickled_environment_goes_on_as_the_original_does(env_id: str) -> None:
    env = gymnasium.make(env_id)
    env.reset(seed=7)
    env.step(SEARCH)
    other = pickle.loads(pickle.dumps(env))
    assert other.spec == env.spec
    assert other.unwrapped.messages == env.unwrapped.messages
    for _ in range(3):
        for action in (SEARCH, ANSWER):
            mine, theirs = env.step(action), other.step(action)
            assert mine[:4] == theirs[:4]
            assert strip(mine[4]) == strip(theirs[4])
            if mine[2] or mine[3]:
                break
        assert env.reset()[1]["question_id"] == other.reset()[1]["question_id"]


@pytest.mark.parametrize(
    ("env_id", "context", "count"),
    [("medenv/Research-v0", None, 2), ("medenv/ClosedBook-v0", "spawn", 1)],
)
def test_an_async_vector_with_its_defaults_shows_what_a_sync_one_does(
    env_id: str, context: str | None, count: int
) -> None:
    def made() -> Any:
        return gymnasium.make(f"medenv:{env_id}")

    sync = SyncVectorEnv([made] * count)
    parallel = AsyncVectorEnv([made] * count, context=context)
    try:
        assert parallel.shared_memory
        assert parallel.copy
        first = sync.reset(seed=3)[0], parallel.reset(seed=3)[0]
        assert first[0] == first[1]
        for actions in ((SEARCH, "Größe: 5 µg 🧬"), (ANSWER, SEARCH), (SEARCH, SEARCH)):
            expected, got = sync.step(actions[:count]), parallel.step(actions[:count])
            assert got[0] == expected[0]
            assert got[0] in parallel.observation_space
            assert [part.tolist() for part in got[1:4]] == [part.tolist() for part in expected[1:4]]
    finally:
        parallel.close()
