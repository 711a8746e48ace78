"""Score trajectories under many compositions while measuring each component once.

A component's raw value does not depend on its weight, so all compositions share one matrix of raw
values, and each total is a few products of its columns. The results equal those of `Reward`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medenv.errors import NoCertificateError, UnknownNameError, UsageError
from medenv.records import Trajectory
from medenv.reward.components.catalogue import COMPONENTS
from medenv.reward.components.contract import Component, Knowledge
from medenv.reward.composition import GATES, Composition, check_composition, measured

Floats = NDArray[np.float64]


class ComponentMatrix:
    """Collect the raw component values of trajectories, one row each.

    A component that calls an outside service is measured only for right answers; otherwise its
    value is nan. The value of a component that needs a certificate is nan for questions without
    one.

    Args:
        components: What is measured, by name.
        knowledge: Data that components may use besides a trajectory.

    Attributes:
        uncertified: Id of the first question without a certificate, or ``""``.
    """

    def __init__(
        self, knowledge: Knowledge, components: Mapping[str, Component] = COMPONENTS
    ) -> None:
        self.names = tuple(components)
        self._components, self._knowledge = tuple(components.values()), knowledge
        self._values = array("d")
        self.uncertified = ""

    def add(self, trajectory: Trajectory) -> None:
        """Measure a trajectory.

        Args:
            trajectory: A finished episode that no infrastructure failure ended.

        Raises:
            UsageError: The trajectory has not ended, or a component left its range.
        """
        if trajectory.ending is None or trajectory.ending == "unavailable":
            raise UsageError(
                f"the trajectory of question {trajectory.question.id!r} has"
                f" {'not ended' if trajectory.ending is None else 'failed'} and cannot be scored"
            )
        knowledge, known = self._knowledge, {}
        certified = trajectory.question.certificate is not None
        if not certified:
            self.uncertified = self.uncertified or trajectory.question.id
        for one in self._components:
            if one.needs_certificate and not certified:
                known[one.name] = math.nan
            elif not one.outside:
                known[one.name] = measured(one, trajectory, knowledge).raw
        for one in self._components:
            if one.name not in known:
                asked = known.get("accuracy", 1.0) >= GATES["correct"].at_least
                known[one.name] = measured(one, trajectory, knowledge).raw if asked else math.nan
        self._values.extend([known[name] for name in self.names])

    def __len__(self) -> int:
        return len(self._values) // max(1, len(self.names))

    def last(self, name: str) -> float:
        """Return a component's value for the most recently measured trajectory.

        Args:
            name: Component name.
        """
        return self._values[self.names.index(name) - len(self.names)]

    def column(self, name: str) -> Floats:
        """Return a component's raw values, shape (trajectories,).

        Args:
            name: Component name.

        Raises:
            UnknownNameError: It was not measured.
        """
        if name not in self.names:
            raise UnknownNameError("measured component", name, self.names)
        return self.matrix[:, self.names.index(name)]

    def needs_certificate(self, name: str) -> bool:
        """Return whether a component needs certificates.

        Args:
            name: Component name.
        """
        return self._components[self.names.index(name)].needs_certificate

    @property
    def matrix(self) -> Floats:
        """All raw values, shape (trajectories, components)."""
        return np.array(self._values, dtype=np.float64).reshape(-1, len(self.names))


class Rescored(NamedTuple):
    """Rewards of trajectories under one composition.

    Attributes:
        weighted: Component name to its contributions, shape (trajectories,).
        totals: The totals, shape (trajectories,).
    """

    weighted: dict[str, Floats]
    totals: Floats


def rescore(raws: ComponentMatrix, composition: Composition) -> Rescored:
    """Compute totals from raw values, as `Reward` does for single trajectories.

    Args:
        raws: The raw values.
        composition: Weights and gates.

    Raises:
        UnknownNameError: A weight or gate names a component that was not measured.
        NoCertificateError: A component that needs certificates would pay where there is none.
        UsageError: A weight is invalid, or a component that calls an outside service would pay
            where it was not measured.
    """
    check_composition(composition, raws.names)
    columns = dict(zip(raws.names, raws.matrix.T, strict=True))
    vetoed = np.zeros(len(raws), dtype=bool)
    for veto in composition.vetoes:
        vetoed |= ~_open(veto, columns, len(raws))
    weighted: dict[str, Floats] = {}
    totals = np.zeros(len(raws))
    for name, weight in composition.weights.items():
        paying = _open(composition.gate_of(name), columns, len(raws)) & ~vetoed
        weighted[name] = np.where(paying, columns[name] * weight, 0.0)
        if np.isnan(weighted[name]).any():
            if raws.needs_certificate(name):
                raise NoCertificateError(raws.uncertified, f"the reward component {name!r}")
            raise UsageError(
                f"{name!r} calls an outside service and was measured behind the gate 'correct'"
                " alone; score with medenv.reward.compose to pay wrong answers"
            )
        totals = totals + weighted[name]
    return Rescored(weighted, totals)


def _open(name: str, columns: Mapping[str, Floats], count: int) -> NDArray[np.bool_]:
    """Return whether a gate is open for each trajectory."""
    gate = GATES[name]
    if not gate.component:
        return np.ones(count, dtype=bool)
    if gate.component not in columns:
        raise UnknownNameError("measured component of a gate", gate.component, columns)
    is_open: NDArray[np.bool_] = columns[gate.component] >= gate.at_least
    return is_open


def measure(
    trajectories: Iterable[Trajectory],
    knowledge: Knowledge,
    components: Mapping[str, Component] = COMPONENTS,
) -> ComponentMatrix:
    """Measure trajectories by all components.

    Args:
        trajectories: Finished episodes that no infrastructure failure ended.
        knowledge: Data that components may use besides.
        components: What is measured, by name.

    Raises:
        UsageError: A trajectory has not ended, or a component left its range.
    """
    raws = ComponentMatrix(knowledge, components)
    for trajectory in trajectories:
        raws.add(trajectory)
    return raws
