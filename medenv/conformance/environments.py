"""Contracts of Gymnasium environments."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env

from medenv.conformance.report import Check, NotApplicable, holds
from medenv.conformance.tools import HOSTILE
from medenv.errors import UsageError

LONGEST = 10_000
"""Steps within which an episode of random actions has to end."""

EPISODES = 5
"""Episodes of random actions that are played."""

Env = gymnasium.Env[Any, Any]


class EnvironmentUnderTest:
    """An environment by its id, made anew for each check.

    Args:
        env_id: Its Gymnasium id, or ``"module:id"``.

    Raises:
        UsageError: There is none.
    """

    def __init__(self, env_id: str) -> None:
        self.env_id = env_id
        try:
            spec = self.make().spec
        except (gymnasium.error.Error, ImportError) as error:
            raise UsageError(f"{env_id!r}: {error}") from error
        self.threshold = None if spec is None else spec.reward_threshold

    def make(self) -> Env:
        """Make the environment as Gymnasium does, without its own checks and limits."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.make(self.env_id, disable_env_checker=True)


def gymnasiums_own_checks_pass(one: EnvironmentUnderTest) -> str:
    """`gymnasium.utils.env_checker.check_env`, its warnings counted."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        check_env(one.make().unwrapped, skip_render_check=True, skip_close_check=True)
    told = sorted({_plain(str(warning.message)) for warning in seen})
    return f"{len(told)} warnings: {told[0][:90]}" if told else "no warnings"


def _plain(warning: str) -> str:
    """Return what a warning of Gymnasium says, without colours."""
    return re.sub(r"\x1b\[\d+m", "", warning).removeprefix("WARN: ")


def _episode(env: Env, seed: int) -> tuple[list[str], list[float]]:
    """Play random actions; what was seen, as text, and the rewards."""
    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    seen, rewards = [_text(observation)], []
    for _ in range(LONGEST):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        holds(
            bool(np.isscalar(reward)) and math.isfinite(float(reward)),
            f"expected a finite reward, got {reward!r}",
        )
        holds(isinstance(info, dict), f"expected a dict of information, got {type(info).__name__}")
        seen.append(_text(observation))
        rewards.append(float(reward))
        if terminated or truncated:
            return seen, rewards
    raise _endless(env)


def _endless(env: Env) -> Exception:
    spec = env.spec
    limit = None if spec is None else spec.max_episode_steps
    return NotApplicable(f"no episode ended within {LONGEST:,} random steps (limit: {limit})")


def _text(observation: Any) -> str:
    return observation if isinstance(observation, str) else repr(observation)


def a_seed_decides_the_episode(one: EnvironmentUnderTest) -> str:
    """Two environments with the same seed and actions give the same observations and rewards."""
    for seed in range(EPISODES):
        first, second = (_episode(one.make(), seed) for _ in range(2))
        holds(first == second, f"expected one episode of seed {seed}, got two")
    return f"{EPISODES} episodes, twice"


def episodes_leave_nothing_behind(one: EnvironmentUnderTest) -> str:
    """The second episode of an environment is that of a fresh one."""
    used, fresh = one.make(), one.make()
    _episode(used, 0)
    holds(_episode(used, 1) == _episode(fresh, 1), "expected seed 1 to play as in a fresh one")
    return "seed 1 after seed 0"


def observations_lie_in_their_space(one: EnvironmentUnderTest) -> str:
    """Learners allocate their buffers by the space."""
    env = one.make()
    for seed in range(EPISODES):
        env.action_space.seed(seed)
        observation, _ = env.reset(seed=seed)
        terminated = truncated = False
        for _ in range(LONGEST):
            holds(
                env.observation_space.contains(observation),
                f"expected an observation in {env.observation_space}, got {observation!r:.80}",
            )
            if terminated or truncated:
                break
            observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
    return f"{EPISODES} episodes"


def hostile_text_is_answered_not_raised(one: EnvironmentUnderTest) -> str:
    """A language model may write any text."""
    env = one.make()
    if not isinstance(env.action_space.sample(), str):
        raise NotApplicable("actions are no texts")
    for text in HOSTILE:
        env.reset(seed=0)
        env.step(text)
    return f"{len(HOSTILE)} actions"


def random_actions_earn_less_than_the_most(one: EnvironmentUnderTest) -> str:
    """The floor: the return of random actions, below the threshold where there is one."""
    totals = [sum(_episode(one.make(), seed)[1]) for seed in range(EPISODES)]
    most = one.threshold
    known = "" if most is None else f"; solved from {most:g} on"
    if most is not None:
        holds(max(totals) < most, f"expected less than {most:g} for random actions")
    return f"{np.mean(totals):.3g} on average, {max(totals):.3g} at most{known}"


def steps_before_a_reset_are_refused(one: EnvironmentUnderTest) -> str:
    """A step before the first reset raises an error."""
    env = one.make()
    try:
        env.step(env.action_space.sample())
    except Exception as error:  # any will do
        return type(error).__name__
    holds(False, "expected an error for a step before reset, got an observation")
    return ""


CHECKS: tuple[Check[EnvironmentUnderTest], ...] = (
    gymnasiums_own_checks_pass,
    a_seed_decides_the_episode,
    episodes_leave_nothing_behind,
    observations_lie_in_their_space,
    hostile_text_is_answered_not_raised,
    random_actions_earn_less_than_the_most,
    steps_before_a_reset_are_refused,
)
