"""Rewards and components of other people's code, and the checks at their border."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import msgspec

from medenv.errors import UsageError, describe
from medenv.records import Part, RewardFn, Score, Trajectory
from medenv.reward.components.contract import Component, ComponentScore, Knowledge
from medenv.reward.components.outcome import accuracy

UNSTATED = "Not stated; `medenv attack` searches for one."
"""The exploit on the card of a component that is a bare function."""


class Checked:
    """A whole reward of other code: its numbers are checked, and accuracy is measured beside it.

    Args:
        name: Its name in messages.
        reward: The reward; a number that it returns becomes a score with the one part `reward`.
        knowledge: What `accuracy` is measured with.

    Attributes:
        asks: What the prompt asks of the policy's writing, the reward's own `asks`.
        outside: Whether it calls an outside service, the reward's own `outside`.
        needs_certificate: What of it is measured against certificates, the reward's own.
    """

    def __init__(
        self,
        name: str,
        reward: Callable[[Trajectory], Score | float],
        knowledge: Knowledge | None = None,
    ) -> None:
        self.name, self.reward, self.knowledge = name, reward, knowledge or Knowledge()
        self.asks: Sequence[str] = getattr(reward, "asks", ())
        self.outside = bool(getattr(reward, "outside", False))
        self.needs_certificate: Sequence[str] = getattr(reward, "needs_certificate", ())

    def __call__(self, trajectory: Trajectory) -> Score:
        """Score a finished trajectory.

        Args:
            trajectory: A finished episode.

        Raises:
            UsageError: The reward gave neither a score nor a number, or a total or part that is no
                finite number.
        """
        score: Any = self.reward(trajectory)
        asked = trajectory.question.id
        if isinstance(score, Real):
            total = float(score)
            part = Part(raw=total, weight=1.0, weighted=total)
            score = Score(total=total, parts={"reward": part})
        if not isinstance(score, Score):
            raise UsageError(
                f"reward {self.name!r} gave a {type(score).__name__} for question {asked!r};"
                " expected a number or a medenv.records.Score"
            )
        if score.total is None:
            return score
        if not math.isfinite(score.total):
            raise UsageError(
                f"reward {self.name!r} gave {score.total!r} for question {asked!r}; expected a"
                " finite number, or a Score with the total None where it cannot be scored"
            )
        for name, part in score.parts.items():
            if not (math.isfinite(part.raw) and math.isfinite(part.weighted)):
                raise UsageError(
                    f"reward {self.name!r} gave {part.raw!r}, weighted {part.weighted!r}, in part"
                    f" {name!r} for question {asked!r}; expected finite numbers"
                )
        if "accuracy" in score.parts:
            return score
        right = accuracy(trajectory, self.knowledge)
        part = Part(raw=right.raw, weight=0.0, weighted=0.0, reason=right.reason)
        return msgspec.structs.replace(score, parts={**score.parts, "accuracy": part})


class _Measure:
    """A function of other code as a component's measure; a number becomes a `ComponentScore`."""

    def __init__(
        self, name: str, function: Callable[[Trajectory, Knowledge], ComponentScore | float]
    ) -> None:
        self.name, self.function = name, function

    def __call__(self, trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
        value: Any = self.function(trajectory, knowledge)
        if isinstance(value, ComponentScore):
            return value
        if isinstance(value, Real):
            return ComponentScore(float(value), "")
        raise UsageError(
            f"reward component {self.name!r} gave a {type(value).__name__} for question"
            f" {trajectory.question.id!r}; expected a number or a medenv.reward.ComponentScore"
        )


def as_reward(name: str, given: Any) -> RewardFn:
    """Return other code's object as a reward, whatever form it has.

    Args:
        name: Its name in messages.
        given: A function or object that takes a trajectory, or a class or function without
            arguments that makes one.

    Raises:
        UsageError: It is neither.
    """
    made = _made(name, given, 1, "reward")
    if not _takes(made, 1):
        raise UsageError(
            f"reward {name!r} is a {type(made).__name__}; expected a callable that takes a"
            " trajectory, or a class or function without arguments that makes one"
        )
    reward: RewardFn = made
    return reward


def as_component(name: str, given: Any) -> Component:
    """Return other code's object as a component under that name, whatever form it has.

    Args:
        name: Name under which compositions weigh it.
        given: A `Component`, a function of trajectory and knowledge whose values lie between 0 and
            1, or a class or function without arguments that makes one of these.

    Raises:
        UsageError: It is neither.
    """
    made = given if isinstance(given, Component) else _made(name, given, 2, "reward component")
    if isinstance(made, Component):
        return msgspec.structs.replace(made, name=name)
    if not _takes(made, 2):
        raise UsageError(
            f"reward component {name!r} is a {type(made).__name__}; expected a"
            " medenv.reward.Component, or a function (trajectory, knowledge) that gives a number"
        )
    return Component(
        name=name,
        measure=_Measure(name, made),
        rationale=(inspect.getdoc(made) or f"What {name} measures.").partition("\n")[0],
        exploit=UNSTATED,
        asks=getattr(made, "asks", ""),
        outside=bool(getattr(made, "outside", False)),
    )


def is_component(given: Any) -> bool:
    """Return whether other code's object is a component rather than a whole reward.

    Args:
        given: The object.
    """
    return isinstance(given, Component) or (
        not isinstance(given, type) and not _takes(given, 1) and _takes(given, 2)
    )


def _made(name: str, given: Any, arguments: int, kind: str) -> Any:
    """Return what a class or factory makes, and anything else as it is."""
    if not isinstance(given, type) and (_takes(given, arguments) or not _takes(given, 0)):
        return given
    try:
        return given()
    except Exception as error:
        raise UsageError(
            f"{kind} {name!r} cannot be made without arguments: {describe(error)}"
        ) from error


def _takes(given: Any, arguments: int) -> bool:
    """Return whether something can be called with so many positional arguments."""
    try:
        inspect.signature(given).bind(*[None] * arguments)
    except (TypeError, ValueError):  # not callable, another number, or a signature that is hidden
        return False
    return True
