"""The one factory of rewards: `ScoringSettings` to what scores the episodes of a run."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from medenv.build.plugins import REWARD_COMPONENTS, REWARDS
from medenv.build.settings import JudgeTermSettings, ScoringSettings
from medenv.errors import UnknownNameError, UsageError
from medenv.records import RewardFn, Scored
from medenv.registry import load_object
from medenv.reward import (
    COMPONENTS,
    PRESETS,
    Checked,
    Component,
    Composition,
    Knowledge,
    Ramp,
    Reward,
    Schedule,
    turn_rewards,
)
from medenv.reward.components.judge import RUBRIC, Judge, JudgeSettings
from medenv.reward.custom import as_component, as_reward, is_component

EXPERT = "expert"
"""Name of the component that a judge measures."""

EXPERT_WEIGHT = 0.2
"""Weight of `EXPERT` in the preset `paper` where a judge is given."""

COMPONENT_WEIGHT = 0.2
"""Weight with which a component of one's own is attacked, accuracy having 1."""

_PAPER = {"alpha": "accuracy", "beta": EXPERT, "gamma": "efficiency"}


class Scoring(NamedTuple):
    """A reward over a training, and how it is paid.

    Attributes:
        reward: Scores trajectories, by the weights before any ramp.
        schedule: How the reward's weights change over training, where they do.
        by_turns: Whether what each turn brought is paid at the turn's end.
        threads: Threads for scoring off an event loop, where the reward calls outside services.
    """

    reward: RewardFn
    schedule: Schedule | None = None
    by_turns: bool = False
    threads: Executor | None = None

    @property
    def asks(self) -> tuple[str, ...]:
        """What the prompt has to ask of the policy's writing."""
        return tuple(getattr(self.reward, "asks", ()))

    def reward_at(self, step: int) -> RewardFn:
        """Return the reward of a training step.

        Args:
            step: Training step, from 1; 0 is the validation before them.
        """
        if self.schedule is None or not isinstance(self.reward, Reward):
            return self.reward
        return self.reward.reweighed(self.schedule.at(step))

    def turn_rewards(self, scored: Scored) -> list[float]:
        """Return what each turn of an episode is paid; the sum is the total of its score.

        Args:
            scored: An episode with a score.
        """
        if self.by_turns:
            return turn_rewards(scored.trajectory, scored.score)
        rewards = [0.0] * len(scored.trajectory.turns)
        rewards[-1:] = [scored.score.total or 0.0] if rewards else []
        return rewards


def build_scoring(
    settings: ScoringSettings, knowledge: Knowledge | None = None, verdicts: Path | None = None
) -> Scoring:
    """Make the reward that settings describe; no service is called.

    Args:
        settings: The config group `scoring`.
        knowledge: What components may use besides a trajectory.
        verdicts: Folder in which a judge's verdicts are kept, where the settings name none.

    Raises:
        UnknownNameError: A preset, component or gate that does not exist.
        UsageError: Settings that contradict each other, a weight or ramp out of range, or an object
            that cannot be imported.
    """
    known = knowledge or Knowledge()
    if settings.turn_rewards and settings.shuffle_seed is not None:
        raise UsageError(
            "scoring.shuffle_seed shuffles totals between episodes, and scoring.turn_rewards pays"
            " turns: set one of them"
        )
    presets = (*PRESETS, *REWARDS.names())
    chosen = bool(settings.reward or settings.weights)
    if settings.preset not in presets and (settings.preset or not chosen):
        raise UnknownNameError("reward", settings.preset, presets)
    if settings.reward or (not settings.weights and settings.preset not in PRESETS):
        return _scoring(_whole_reward(settings, known), settings)
    composition = _composition(settings)
    reward = Reward(composition, known, _components(settings, composition.weights, verdicts))
    if settings.turn_rewards and "process" not in composition.weights:
        raise UsageError(
            "scoring.turn_rewards pays each turn its part of the component 'process', which has no"
            f" weight in {_name(settings)}: set scoring.preset=process, or weigh it"
        )
    return _scoring(reward, settings, _schedule(settings, composition))


def make_scoring(
    given: Any, knowledge: Knowledge | None = None, verdicts: Path | None = None
) -> Scoring:
    """Make the reward that a Python caller gave in any form.

    Args:
        given: Settings, a `Composition`, weights by component, the name of a preset or of a
            registered reward, ``package.module:object``, a reward, or what this function returned.
        knowledge: What components may use besides a trajectory.
        verdicts: Folder in which a judge's verdicts are kept, where the settings name none.

    Raises:
        UsageError: What `build_scoring` raises, or an object that is no reward.
    """
    if isinstance(given, str):
        own = ":" in given
        given = ScoringSettings(reward=given) if own else ScoringSettings(preset=given)
    elif isinstance(given, Mapping):
        given = ScoringSettings(weights={name: float(weight) for name, weight in given.items()})
    elif isinstance(given, Composition):
        given = ScoringSettings(weights=given.weights, gates=given.gates, vetoes=given.vetoes)
    if isinstance(given, ScoringSettings):
        return build_scoring(given, knowledge, verdicts)
    if isinstance(given, Scoring):
        return given
    if isinstance(given, Reward | Checked):
        return _scoring(given, ScoringSettings())
    name = getattr(given, "__name__", type(given).__name__)
    return _scoring(_checked(name, given, knowledge or Knowledge()), ScoringSettings())


def title(settings: ScoringSettings) -> str:
    """Return the name of what settings reward, for reports.

    Args:
        settings: The config group `scoring`.
    """
    weights = ", ".join(f"{name} {weight:g}" for name, weight in settings.weights.items())
    paid = ", paid by turns" if settings.turn_rewards else ""
    control = " (shuffled: a control)" if settings.shuffle_seed is not None else ""
    return f"{settings.reward or weights or settings.preset}{paid}{control}"


def own_code(settings: ScoringSettings) -> dict[str, str]:
    """Return the file of each module of one's own that settings name, by the object's name.

    Args:
        settings: The config group `scoring`; its modules are imported.

    Raises:
        UsageError: A module cannot be imported.
    """
    found = {}
    for name in sorted({settings.reward, *settings.weights}):
        if ":" in name:
            load_object("reward", name)
            module = sys.modules[name.partition(":")[0]]
            found[name] = getattr(module, "__file__", None) or ""  # a built-in module has none
    return found


def _scoring(
    reward: Reward | Checked, settings: ScoringSettings, schedule: Schedule | None = None
) -> Scoring:
    threads = None
    if reward.outside:
        threads = ThreadPoolExecutor(settings.judge.concurrency, thread_name_prefix="scoring")
    return Scoring(reward, schedule, settings.turn_rewards, threads)


def _whole_reward(settings: ScoringSettings, knowledge: Knowledge) -> Checked:
    """Return the reward of one's own, or that of a package."""
    defaults = ScoringSettings(preset=settings.preset, reward=settings.reward)
    kept = {"preset", "reward", "shuffle_seed"}
    besides = [
        f"scoring.{name}"
        for name in ScoringSettings.__struct_fields__
        if name not in kept and getattr(settings, name) != getattr(defaults, name)
    ]
    if besides:
        raise UsageError(
            f"{_name(settings)} is a whole reward, for which {', '.join(besides)} has no meaning:"
            " remove it, or weigh components instead"
        )
    name = settings.reward or settings.preset
    if settings.reward:
        return _checked(name, load_object("reward", name), knowledge)
    return _checked(name, REWARDS.load(name), knowledge)


def _checked(name: str, given: Any, knowledge: Knowledge) -> Checked:
    return Checked(name, as_reward(name, given), knowledge)


def _composition(settings: ScoringSettings) -> Composition:
    """Return weights, gates and vetoes; those given come before the preset's."""
    own = settings.weights
    base = Composition(weights=own) if own else PRESETS[settings.preset]
    terms = {name: getattr(settings, name) for name in _PAPER}
    terms = {name: weight for name, weight in terms.items() if weight is not None}
    if terms and (settings.weights or settings.preset != "paper"):
        raise UsageError(
            f"scoring.{next(iter(terms))} is a weight of the preset 'paper', and the reward is"
            f" {_name(settings)}: use scoring.weights"
        )
    weights = {**base.weights}
    if settings.preset == "paper" and not settings.weights:
        if _judged(settings.judge):
            weights[EXPERT] = EXPERT_WEIGHT
        weights |= {_PAPER[name]: weight for name, weight in terms.items()}
    return msgspec.structs.replace(
        base,
        weights=weights,
        gates={**base.gates, **settings.gates},
        vetoes=settings.vetoes or base.vetoes,
    )


def _components(
    settings: ScoringSettings, weighed: Collection[str], verdicts: Path | None
) -> dict[str, Component]:
    """Return medenv's own components and those that are weighed besides."""
    components = {**COMPONENTS}
    registered = set(REWARD_COMPONENTS.names()) - {*COMPONENTS, EXPERT}
    for name in weighed:
        if ":" in name:
            components[name] = as_component(name, load_object("reward component", name))
        elif name in registered:
            components[name] = as_component(name, REWARD_COMPONENTS.load(name))
        elif name not in COMPONENTS and name != EXPERT:
            raise UnknownNameError("reward component", name, {*COMPONENTS, *registered, EXPERT})
    judge = settings.judge
    if _judged(judge):
        if EXPERT not in weighed:
            raise UsageError(
                f"scoring.judge measures the component {EXPERT!r}, which has no weight in"
                f" {_name(settings)}: set scoring.preset=paper, or weigh it"
            )
        components[EXPERT] = Judge(
            JudgeSettings(
                url=judge.url,
                model=judge.model,
                rubric=judge.rubric or RUBRIC,
                cache=judge.cache or str(verdicts or ""),
                key_variable=judge.key_variable,
                attempts=judge.attempts,
                timeout=judge.timeout,
                options=judge.options,
            )
        ).component(EXPERT)
    elif EXPERT in weighed:
        raise UsageError(
            f"the component {EXPERT!r} needs a judge: set scoring.judge.url and scoring.judge.model"
        )
    return components


def _judged(judge: JudgeTermSettings) -> bool:
    return bool(judge.url or judge.model)


def _schedule(settings: ScoringSettings, composition: Composition) -> Schedule | None:
    ramps = {}
    for name, given in settings.ramps.items():
        try:
            ramps[name] = msgspec.convert(given, Ramp)
        except (msgspec.ValidationError, UsageError) as error:
            raise UsageError(
                f"scoring.ramps.{name}: {error}; a ramp is written"
                " {begin: 0, end: 100, first: 0.0, last: 0.2}"
            ) from error
    return Schedule(composition=composition, ramps=ramps) if ramps else None


def _name(settings: ScoringSettings) -> str:
    """Return what the settings weigh, for messages."""
    if settings.reward:
        return f"scoring.reward={settings.reward}"
    return "scoring.weights" if settings.weights else f"scoring.preset={settings.preset}"


def scoring_of(name: str) -> ScoringSettings:
    """Return the scoring that a name on the command line stands for.

    Args:
        name: A preset, a registered reward, or ``package.module:object``; a component is attacked
            with a weight of `COMPONENT_WEIGHT` beside accuracy.

    Raises:
        UnknownNameError: No preset or registered reward has that name.
        UsageError: The object cannot be imported.
    """
    if ":" not in name:
        if name not in (known := (*PRESETS, *REWARDS.names())):
            raise UnknownNameError("reward", name, known)
        return ScoringSettings(preset=name)
    if is_component(load_object("reward", name)):
        return ScoringSettings(weights={"accuracy": 1.0, name: COMPONENT_WEIGHT})
    return ScoringSettings(reward=name)
