"""Every registered id, held against Gymnasium's own contract, here and in a fresh process."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import medenv
from medenv.envs.registration import ENVIRONMENTS, register_all

from ..fakes import ANSWER, SEARCH


def fresh(code: str) -> str:
    """What a fresh interpreter prints, warnings being errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_every_id_passes_gymnasiums_checker_without_a_warning(env_id: str) -> None:
    check_env(gymnasium.make(env_id).unwrapped)


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_every_id_can_be_made_without_importing_medenv(env_id: str) -> None:
    code = f"import gymnasium; print(gymnasium.make('medenv:{env_id}').unwrapped.spec.id)"
    assert fresh(code) == env_id


def test_importing_medenv_registers_its_ids_and_imports_nothing_heavy() -> None:
    heavy = "numba bm25s networkx scipy torch verl ray vllm hydra pandas matplotlib typer rich"
    code = (
        "import sys, medenv, gymnasium\n"
        "print(*[i for i in gymnasium.registry if i.startswith('medenv/')])\n"
        f"print(*[name for name in '{heavy}'.split() if name in sys.modules])"
    )
    assert fresh(code) == " ".join(ENVIRONMENTS)


def test_registering_twice_changes_nothing() -> None:
    before = dict(gymnasium.registry)
    register_all()
    assert dict(gymnasium.registry) == before


def test_the_version_is_in_the_id_and_in_every_trajectory() -> None:
    env = gymnasium.make("medenv/Research-v0")
    env.reset(seed=0)
    _, _, _, _, info = env.step(ANSWER)
    assert info["trajectory"].env_id == "medenv/Research-v0"


def test_the_closed_book_has_no_tools() -> None:
    env = gymnasium.make("medenv/ClosedBook-v0")
    prompt, _ = env.reset(seed=0)
    assert "tool" not in prompt
    observation, _, _, _, _ = env.step(SEARCH)
    assert "there is no tool 'search'" in observation


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments_step_together(mode: str) -> None:
    options = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    if mode == "async":
        options["shared_memory"] = False
    envs = gymnasium.make_vec(
        "medenv:medenv/Research-v0",
        num_envs=2,
        vectorization_mode=mode,
        vector_kwargs=options,
        prompt_style="minimal",
    )
    try:
        prompts, infos = envs.reset(seed=[1, 2])
        assert len(prompts) == 2
        assert list(infos["question_id"]) == [info_of(seed) for seed in (1, 2)]
        observations, rewards, terminated, truncated, infos = envs.step((SEARCH, ANSWER))
        assert observations in envs.observation_space
        assert list(terminated) == [False, True]
        assert list(rewards) == [0.0, 0.0]
        assert infos["ending"][1] == "answered"
        assert not truncated.any()
    finally:
        envs.close()


def info_of(seed: int) -> str:
    env = gymnasium.make("medenv/Research-v0")
    _, info = env.reset(seed=seed)
    return str(info["question_id"])


def test_the_public_names_are_sorted_complete_and_importable() -> None:
    assert medenv.__all__ == sorted(medenv.__all__)
    for name in medenv.__all__:
        assert getattr(medenv, name) is not None
        assert name in dir(medenv)
    with pytest.raises(AttributeError, match="module 'medenv' has no attribute 'nothing'"):
        _ = medenv.nothing  # type: ignore[attr-defined]  # that is the point
