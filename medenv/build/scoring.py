"""Scoring settings to a reward."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from medenv.build.settings import ScoringSettings
from medenv.errors import UnknownNameError, UsageError
from medenv.records import RewardFn
from medenv.reward import PRESETS, Composition, Knowledge, Ramp, Reward, Schedule, compose


class Scoring(NamedTuple):
    """A reward, and how it changes over training."""

    reward: RewardFn
    schedule: Schedule | None = None

    def reward_at(self, step: int) -> RewardFn:
        """Return the reward of a training step."""
        if self.schedule is None or not isinstance(self.reward, Reward):
            return self.reward
        return Reward(self.schedule.at(step), self.reward.knowledge)


def build_scoring(
    settings: ScoringSettings, knowledge: Knowledge | None = None, verdicts: Path | None = None
) -> Scoring:
    """Return the reward of some settings."""
    if settings.preset not in PRESETS:
        raise UnknownNameError("reward preset", settings.preset, PRESETS)
    composition = PRESETS[settings.preset]
    if settings.weights:
        composition = Composition(
            weights=settings.weights, gates=settings.gates, vetoes=settings.vetoes
        )
    schedule = None
    if settings.ramps:
        try:
            ramps = msgspec.convert(settings.ramps, dict[str, Ramp])
        except msgspec.ValidationError as error:
            raise UsageError(f"scoring.ramps: {error}") from error
        schedule = Schedule(composition=composition, ramps=ramps)
    return Scoring(compose(composition, knowledge), schedule)
