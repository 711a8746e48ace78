"""A vector environment in one process, with Gymnasium's autoreset modes.

Sending texts between processes costs more than computing them, so environments step sequentially.
For concurrent tool calls see `medenv.rollouts.driver`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from medenv.envs.env import MedResearchEnv
from medenv.errors import InfraError, UsageError, describe

_log = logging.getLogger(__name__)

Observations = tuple[str, ...]
Flags = NDArray[np.bool_]
StepResult = tuple[Observations, NDArray[np.float64], Flags, Flags, dict[str, Any]]


class MedResearchVectorEnv(VectorEnv[Observations, Sequence[str], NDArray[Any]]):
    """Environments with the same settings, stepped sequentially.

    An exception in one environment, such as an infrastructure failure, does not affect the others:
    its episode is truncated with the reward NaN, which means no reward, and ``failure`` in its
    information describes the exception.

    Args:
        make: Function that creates one environment; environments may share tools and questions.
        num_envs: Number of environments, at least 1.
        autoreset_mode: Action after the end of an episode, as defined by Gymnasium: ``"NextStep"``
            resets at the next step and ignores its action; ``"SameStep"`` resets immediately and
            puts the last information into ``final_info``; ``"Disabled"`` requires
            ``reset(options={"reset_mask": ...})``.

    Raises:
        UsageError: `num_envs` below 1, or an unknown mode.
    """

    def __init__(
        self,
        make: Callable[[], MedResearchEnv],
        num_envs: int,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise UsageError(f"num_envs must be at least 1, got {num_envs}")
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            known = ", ".join(repr(mode.value) for mode in AutoresetMode)
            problem = f"autoreset_mode must be one of {known}, got {autoreset_mode!r}"
            raise UsageError(problem) from None
        self.num_envs = num_envs
        self.envs = [make() for _ in range(num_envs)]
        self.metadata = {**self.envs[0].metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = self.envs[0].render_mode
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._observations = [""] * num_envs
        self._ended = np.zeros(num_envs, np.bool_)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Start an episode in each environment, or in those of ``options["reset_mask"]``.

        Args:
            seed: Seed of the first environment, incremented for the others, or one per environment.
            options: Those of `MedResearchEnv.reset`, and ``reset_mask``, bool, shape [num_envs].

        Returns:
            Prompts, and the information of each environment.

        Raises:
            UsageError: Seeds or mask of the wrong shape.
        """
        options = dict(options or {})
        mask = self._mask(options.pop("reset_mask", None))
        seeds = self._seeds(seed)
        gathered: dict[str, list[tuple[int, Any]]] = {}
        for i in np.flatnonzero(mask).tolist():
            self._observations[i], info = self.envs[i].reset(seed=seeds[i], options=options)
            _gather(gathered, i, info)
        self._ended[mask] = False
        return tuple(self._observations), self._infos(gathered)

    def step(self, actions: Sequence[str]) -> StepResult:
        """Take one step in each environment.

        Args:
            actions: The text of each agent.

        Returns:
            Observations, rewards, terminations, truncations, and the information of each
            environment.

        Raises:
            UsageError: Wrong number of actions, an action that is not a string, or an ended episode
                without autoreset.
        """
        if len(actions) != self.num_envs:
            raise UsageError(f"expected {self.num_envs} actions, got {len(actions)}")
        if not all(isinstance(action, str) for action in actions):
            kinds = sorted({type(action).__name__ for action in actions})
            raise UsageError(f"an action must be a string, got {', '.join(kinds)}")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            ended = np.flatnonzero(self._ended).tolist()
            raise UsageError(f"episodes {ended} have ended: reset them with a reset_mask")
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), np.bool_)
        gathered: dict[str, list[tuple[int, Any]]] = {}
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        ended = self._ended.tolist()
        for i, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            if ended[i]:
                self._observations[i], info = env.reset()
            else:
                observation, reward, ends, cut, info = _step(env, action)
                self._observations[i], rewards[i] = observation, reward
                terminated[i], truncated[i] = ends, cut
                if same_step and (ends or cut):
                    final = {"final_obs": observation, "final_info": info}
                    self._observations[i], info = env.reset()
                    _gather(gathered, i, final)
            _gather(gathered, i, info)
        if not same_step:
            self._ended = terminated | truncated
        return tuple(self._observations), rewards, terminated, truncated, self._infos(gathered)

    def render(self) -> tuple[Any, ...]:
        """Render the conversation of each environment, see `MedResearchEnv.render`."""
        return tuple(env.render() for env in self.envs)

    def _mask(self, mask: Any) -> Flags:
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        fits = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not fits or mask.shape != (self.num_envs,) or not mask.any():
            raise UsageError(
                f"reset_mask must be a bool array of shape [{self.num_envs}] with at least one "
                f"True, got {mask!r}"
            )
        chosen: Flags = mask
        return chosen

    def _seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int):
            return range(seed, seed + self.num_envs)
        if len(seed) != self.num_envs:
            raise UsageError(f"expected {self.num_envs} seeds, got {len(seed)}")
        return seed

    def _infos(self, gathered: dict[str, list[tuple[int, Any]]]) -> dict[str, Any]:
        """Return the information in Gymnasium's format: an array and a mask ``_name`` per name.

        The mappings in ``final_info`` are converted in the same way.
        """
        infos: dict[str, Any] = {}
        for name, found in gathered.items():
            mask = np.zeros(self.num_envs, np.bool_)
            if name == "final_info":
                inner: dict[str, list[tuple[int, Any]]] = {}
                for i, info in found:
                    _gather(inner, i, info)
                    mask[i] = True
                infos[name] = self._infos(inner)
            else:
                values = np.full(self.num_envs, None, object)
                for i, value in found:
                    values[i], mask[i] = value, True
                infos[name] = values
            infos[f"_{name}"] = mask
        return infos


def _step(env: MedResearchEnv, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
    """Take one step; an exception truncates the episode without a reward."""
    try:
        observation, reward, terminated, truncated, info = env.step(action)
    except InfraError as error:
        return "", math.nan, False, True, {"failure": str(error)}
    except Exception as error:
        _log.warning("a step raised", exc_info=error)
        return "", math.nan, False, True, {"failure": describe(error)}
    return observation, float(reward), terminated, truncated, info


def _gather(gathered: dict[str, list[tuple[int, Any]]], i: int, info: dict[str, Any]) -> None:
    for name, value in info.items():
        gathered.setdefault(name, []).append((i, value))
