"""Weights that change over training: a composition for every step."""

from __future__ import annotations

import math

import msgspec

from medenv.errors import UnknownNameError, UsageError
from medenv.records import Record
from medenv.reward.composition import Composition


class Ramp(Record, frozen=True, kw_only=True):
    """A weight that goes in a straight line from one value to another.

    Args:
        begin: Last step with the first weight, not negative.
        end: First step with the last weight, after `begin`.
        first: Weight up to `begin`, finite and not negative.
        last: Weight from `end` on, likewise.

    Raises:
        UsageError: A value out of range.
    """

    begin: int
    end: int
    first: float
    last: float

    def __post_init__(self) -> None:
        """Validate the ramp."""
        if not 0 <= self.begin < self.end:
            raise UsageError(
                f"a ramp goes from step {self.begin} to {self.end}; expected 0 <= begin < end"
            )
        if not all(math.isfinite(one) and one >= 0 for one in (self.first, self.last)):
            raise UsageError(
                f"a ramp goes from weight {self.first!r} to {self.last!r}; expected finite numbers"
                " >= 0"
            )

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
        for name in self.ramps:
            if name not in self.composition.weights:
                raise UnknownNameError("weighted component", name, self.composition.weights)

    def at(self, step: int) -> Composition:
        """Return the composition at a training step.

        Args:
            step: Training step.
        """
        ramped = {name: ramp.at(step) for name, ramp in self.ramps.items()}
        return msgspec.structs.replace(
            self.composition, weights={**self.composition.weights, **ramped}
        )
