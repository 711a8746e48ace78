"""Many environments that step together in one process, with Gymnasium's autoreset modes.

Texts are cheap to make and dear to send between processes, so nothing here is parallel. Slow tools
overlap in `medenv.rollouts.driver` instead.
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
    """Environments of one setting, stepped one after the other.

    An exception in one of them, such as an infrastructure failure, does not stop the others: its
    episode is truncated with the reward NaN, which is no reward, and ``failure`` in its information
    says what failed.

    Args:
        make: Makes one environment; they may share tools and questions.
        num_envs: How many, at least 1.
        autoreset_mode: What happens after the end of an episode, as Gymnasium defines it:
            ``"NextStep"`` resets at the next step, whose action is not used; ``"SameStep"`` resets
            at once and puts the last information into ``final_info``; ``"Disabled"`` leaves it to
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
            raise UsageError(f"autoreset_mode is one of {known}, got {autoreset_mode!r}") from None
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
        """Begin an episode in each environment, or in those of ``options["reset_mask"]``.

        Args:
            seed: One for the first environment, counted up for the others, or one for each.
            options: Those of `MedResearchEnv.reset`, and ``reset_mask``, bool, shape [num_envs].

        Returns:
            Prompts, and the information of each environment.

        Raises:
            UsageError: Seeds or mask do not fit the environments.
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
            actions: What each agent wrote.

        Returns:
            Observations, rewards, terminations, truncations, and the information of each.

        Raises:
            UsageError: Actions of another number, one that is no string, or an ended episode that
                autoreset leaves alone.
        """
        if len(actions) != self.num_envs:
            raise UsageError(f"expected {self.num_envs} actions, got {len(actions)}")
        if not all(isinstance(action, str) for action in actions):
            kinds = sorted({type(action).__name__ for action in actions})
            raise UsageError(f"an action is a string, got {', '.join(kinds)}")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            ended = np.flatnonzero(self._ended).tolist()
            raise UsageError(f"episodes {ended} have ended: reset them by a reset_mask")
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
        """Show the conversation of each environment, as `MedResearchEnv.render` does."""
        return tuple(env.render() for env in self.envs)

    def _mask(self, mask: Any) -> Flags:
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        fits = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not fits or mask.shape != (self.num_envs,) or not mask.any():
            raise UsageError(
                f"reset_mask is a bool array of shape [{self.num_envs}] with a True in it, "
                f"got {mask!r}"
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
        """Return the information as Gymnasium has it: an array and a mask ``_name`` for each name.

        The mappings in ``final_info`` become such arrays in turn.
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
    """Take one step; an exception truncates without a reward."""
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
