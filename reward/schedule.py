"""Weights that change over training: a composition for every step."""

from __future__ import annotations

import msgspec

from medenv.errors import UnknownNameError, UsageError
from medenv.records import Record
from medenv.reward.composition import Composition


class Ramp(Record, frozen=True, kw_only=True):
    """A weight that goes in a straight line from one value to another.

    Args:
        begin: Last step with the first weight, not negative.
        end: First step with the last weight, after `begin`.
        first: Weight up to `begin`.
        last: Weight from `end` on.
    """

    begin: int
    end: int
    first: float
    last: float

    def at(self, step: int) -> float:
        """Return the weight at a training step.

        Args:
            step: Training step.
        """
        done = min(1.0, max(0.0, (step - self.begin) / (self.end - self.begin)))
        return self.first + (self.last - self.first) * done


class Schedule(Record, frozen=True, kw_only=True):
    """A composition of which some weights change over training.

    Args:
        composition: The composition; a weight with a ramp is overridden by it.
        ramps: Component name to its ramp.
    """

    composition: Composition
    ramps: dict[str, Ramp]

    def __post_init__(self) -> None:
        for name, ramp in self.ramps.items():
            if name not in self.composition.weights:
                raise UnknownNameError("weighted component", name, self.composition.weights)
            if not 0 <= ramp.begin < ramp.end:
                raise UsageError(
                    f"the ramp of {name!r} goes from step {ramp.begin} to {ramp.end}; expected"
                    " 0 <= begin < end"
                )

    def at(self, step: int) -> Composition:
        """Return the composition at a training step.

        Args:
            step: Training step.
        """
        ramped = {name: ramp.at(step) for name, ramp in self.ramps.items()}
        return msgspec.structs.replace(
            self.composition, weights={**self.composition.weights, **ramped}
        )
