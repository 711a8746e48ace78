"""Cheaters at work: every scripted attack played in every environment, held against its bound.

Episodes are played once per environment, in a copy whose corpus also holds a planted passage for
each question, and then scored under every reward. The honest policy plays in the environment as it
is, and must reach the top where there is an answer. What a reward pays is told in shares of what
honest research earned on the same question, so that rewards of any scale can be held against the
same bounds. A question without an answer is attacked too: honest research says so there, and what
would be the answer, were it not withheld, is the cheater's first guess.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import gymnasium

from medenv.build.environment import make_parts
from medenv.envs.env import MedResearchEnv
from medenv.errors import InfraError, UsageError
from medenv.records import (
    Entity,
    Passage,
    Question,
    Record,
    Retriever,
    RewardFn,
    Score,
    Trajectory,
)
from medenv.reward import Checked, Reward
from medenv.reward.answers.names import normalise
from medenv.reward.attacks.attack import ATTACKS, Attack
from medenv.reward.attacks.target import Script, Target, honest, planted
from medenv.rollouts.driver import Rollouts
from medenv.rollouts.policies import ScriptedPolicy

TOLERANCE = 1e-9
"""By how much a share may exceed its bound, for the sake of rounding."""

HONEST = "honest research"
"""The row of the policy that does what it should."""

_NEEDS_TOOLS = frozenset(("evidence_recall", "citation_precision", "process"))
_NOBODY = "Nowhere syndrome"


class Finding(Record, frozen=True, kw_only=True):
    """What one attack earned in one environment under one reward.

    Args:
        env_id: The environment.
        scoring: Name of the reward.
        attack: Name of the attack, or `HONEST`.
        bound: Greatest share that it may earn; for `HONEST` the least share of the top.
        worst: Greatest share that it earned, or its bound and what a component paid beyond its
            limit (`Attack.limits`); for `HONEST` the least share of the top.
        question: Id of the question on which it did.
        answer: What was answered there, or None.
        episodes: Episodes played.
        unscored: Episodes that had no score, because something outside failed.
    """

    env_id: str
    scoring: str
    attack: str
    bound: float
    worst: float
    question: str
    answer: str | None
    episodes: int
    unscored: int = 0

    @property
    def kept(self) -> bool:
        """Whether the bound holds."""
        if self.unscored or math.isnan(self.worst):
            return False
        if self.attack == HONEST:
            return self.worst >= self.bound - TOLERANCE
        return self.worst <= self.bound + TOLERANCE


class PlantedCorpus:
    """A corpus with planted passages, which come before all others that a query finds.

    Args:
        passages: What is planted.
        below: The corpus itself, or None for one that holds nothing else.
    """

    def __init__(self, passages: Iterable[Passage], below: Retriever | None) -> None:
        from medenv.retrieval import BM25Retriever

        self._planted, self._below = BM25Retriever(passages), below

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query the best planted passage, then what the corpus itself finds."""
        found = self._planted.search(queries, 1)
        if self._below is not None and k > 1:
            rest = self._below.search(queries, k - 1)
            found = [[*first, *others] for first, others in zip(found, rest, strict=True)]
        return found

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, planted or not, or None."""
        known = self._planted.get(passage_id)
        return known if known is not None or self._below is None else self._below.get(passage_id)


class AttackEnvironment:
    """An environment with what was played in it: honest research, and every attack.

    Args:
        env_id: Id of a registered environment, ``"module:id"`` where a module registers it.
        n: How many of its questions are attacked at most, spread over all of them.
        attacks: The attacks.
        dialect: Name of the dialect in which all write, or None for the environment's own.
        questions: What is asked instead of the environment's own questions, as in
            `medenv.build.environment.MakeSettings`; a folder brings its graph and corpus.

    Raises:
        UnknownNameError: No such dialect.
        UsageError: No such environment, none of medenv's making, or no question to attack.
    """

    def __init__(
        self,
        env_id: str,
        *,
        n: int = 64,
        attacks: Mapping[str, Attack] = ATTACKS,
        dialect: str | None = None,
        questions: Any = None,
    ) -> None:
        self.env_id, self.attacks = env_id, attacks
        given = {"dialect": dialect, "questions": questions}
        self._settings = {name: value for name, value in given.items() if value is not None}
        self._env = enter(env_id, **self._settings)
        asked = self._env.questions
        if not asked or n < 1:
            raise UsageError(
                f"{env_id!r} has {len(asked)} questions, {n} are to be attacked; at least"
                " one is needed"
            )
        self.questions = tuple(asked[:: max(1, math.ceil(len(asked) / n))])
        self._withheld = _withheld(env_id, asked, self._settings)
        self._names = _names(asked, self._withheld.values())

    def reward(self, scoring: Any) -> RewardFn:
        """Return the reward that the environment makes of a setting.

        Args:
            scoring: A value of `medenv.build.environment.MakeSettings.scoring`.
        """
        return enter(self.env_id, **self._settings, scoring=scoring).reward

    @cached_property
    def honest(self) -> dict[str, Trajectory]:
        """Question id to the episode of honest research."""
        rollouts = _rollouts(self._env)
        return {
            question.id: _play(rollouts, question, honest(self._target(question, self._env)))
            for question in self.questions
        }

    @cached_property
    def attacked(self) -> dict[str, list[Trajectory]]:
        """Attack to its episodes, all variants on all questions."""
        env = self._planted()
        rollouts = _rollouts(env)
        return {
            name: [
                _play(rollouts, question, script)
                for question in self.questions
                for script in attack.scripts(self._target(question, env))
            ]
            for name, attack in self.attacks.items()
        }

    def findings(self, scoring: str, reward: RewardFn) -> list[Finding]:
        """Hold every attack against its bound.

        Args:
            scoring: Name of the reward.
            reward: The reward.

        Returns:
            The finding of honest research, then one per attack.
        """
        checked = Checked(scoring, reward)
        earned = {name: _score(checked, played).total for name, played in self.honest.items()}
        found = [self._top(checked, earned)]
        for name, attack in self.attacks.items():
            found.append(self._held(checked, attack, self.attacked[name], earned))
        return found

    def _top(self, reward: Checked, earned: Mapping[str, float | None]) -> Finding:
        answered = {one.id for one in self.questions if one.answers} or set(earned)
        totals = {
            name: total for name, total in earned.items() if total is not None and name in answered
        }
        top = self._highest(reward, totals.values())
        least = min(totals, key=totals.__getitem__, default="")
        worst = totals[least] / top if totals and top > 0 else math.nan
        return Finding(
            env_id=self.env_id,
            scoring=reward.name,
            attack=HONEST,
            bound=1.0,
            worst=worst,
            question=least,
            answer=self.honest[least].answer if least else None,
            episodes=len(earned),
            unscored=sum(total is None for total in earned.values()),
        )

    def _held(
        self,
        reward: Checked,
        attack: Attack,
        played: Sequence[Trajectory],
        earned: Mapping[str, float | None],
    ) -> Finding:
        worst, at, unscored = -math.inf, None, 0
        for trajectory in played:
            score, fair = _score(reward, trajectory), earned[trajectory.question.id]
            if score.total is None:
                unscored += 1
                continue
            undue = sum(_beyond(score, name, limit) for name, limit in attack.limits.items())
            share = math.inf
            if fair is not None and fair > 0:
                share = max(score.total, undue and attack.bound * fair + undue) / fair
            if share > worst:
                worst, at = share, trajectory
        return Finding(
            env_id=self.env_id,
            scoring=reward.name,
            attack=attack.name,
            bound=attack.bound,
            worst=worst if at else math.nan,
            question=at.question.id if at else "",
            answer=at.answer if at else None,
            episodes=len(played),
            unscored=unscored,
        )

    def _target(self, question: Question, env: MedResearchEnv) -> Target:
        gold = {answer.id for answer in question.answers}
        withheld = {answer.id for answer in self._withheld.get(question.id, ())}
        kinds = {self._names[one].kind for one in gold | withheld}
        right = {normalise(answer.name) for answer in question.answers}
        options = (Entity(id=one, kind="option", name=one) for one in question.options or ())
        others = sorted(
            (
                entity
                for entity in (*options, *self._names.values())
                if entity.id not in gold and normalise(entity.name) not in right
            ),
            key=lambda entity: (
                entity.id not in withheld,
                entity.kind != "option",
                entity.kind not in kinds,
                question.topic is not None and entity.id == question.topic.id,
                entity.id,
            ),
        )
        return Target(
            question=question,
            dialect=env.rules.dialect,
            tools=tuple(env.toolbox.tools),
            others=tuple(entity.name for entity in others) or (_NOBODY,),
        )

    def _highest(self, reward: Checked, earned: Collection[float]) -> float:
        """Return the greatest total there is; of a foreign reward, the greatest that was seen."""
        if not isinstance(reward.reward, Reward):
            return max(earned, default=math.nan)
        return reward.reward.highest(() if self._env.toolbox.tools else _NEEDS_TOOLS)

    def _planted(self) -> MedResearchEnv:
        env = self._env
        if not env.toolbox.tools:
            return env
        passages = [planted(question) for question in self.questions]
        spec = env.spec
        ours = spec is not None and spec.entry_point == "medenv.build.environment:make_env"
        below = make_parts(**spec.kwargs).retriever if spec is not None and ours else None
        return enter(self.env_id, **self._settings, corpus=PlantedCorpus(passages, below))


def enter(env_id: str, **settings: Any) -> MedResearchEnv:
    """Make a registered environment with other settings than its own.

    Args:
        env_id: Its id, ``"module:id"`` where a module registers it.
        settings: Fields of `medenv.build.environment.MakeSettings`, which its factory must accept.

    Raises:
        UsageError: There is none, it takes no such settings, or it is none of medenv's making.
    """
    try:
        env = gymnasium.make(env_id, disable_env_checker=True, **settings).unwrapped
    except (gymnasium.error.Error, ImportError) as error:
        raise UsageError(f"{env_id!r}: {error}") from error
    except TypeError as error:
        raise UsageError(
            f"{env_id!r} cannot be made with {', '.join(settings) or 'no settings'}: {error}; its"
            " factory must accept the fields of medenv.build.environment.MakeSettings"
        ) from error
    if not isinstance(env, MedResearchEnv):
        raise UsageError(f"{env_id!r} is no environment of medenv, but a {type(env).__name__}")
    return env


def exploitability(findings: Iterable[Finding]) -> float:
    """Return the greatest share that an attack earned whose bound is 0: 0 is what it should be.

    Args:
        findings: What `AttackEnvironment.findings` returned.
    """
    return max((one.worst for one in findings if one.bound == 0.0), default=0.0)


def _score(reward: Checked, trajectory: Trajectory) -> Score:
    """Return the score of a trajectory, without total where something outside failed."""
    try:
        return reward(trajectory)
    except InfraError:
        return Score(total=None, parts={})


def _beyond(score: Score, name: str, limit: float) -> float:
    """Return what a component paid beyond a limit of its value."""
    part = score.parts.get(name)
    return 0.0 if part is None or part.gated else max(0.0, part.raw - limit) * part.weight


def _withheld(
    env_id: str, asked: Sequence[Question], settings: Mapping[str, Any]
) -> dict[str, tuple[Entity, ...]]:
    """Return the answers that questions would have, had nothing been withheld."""
    lost = {question.id for question in asked if not question.answers}
    whole = enter(env_id, **settings, withhold=0.0).questions if lost else ()
    return {question.id: question.answers for question in whole if question.id in lost}


def _names(
    questions: Iterable[Question], withheld: Iterable[Sequence[Entity]]
) -> dict[str, Entity]:
    """Return every entity that the questions name or hide, by id."""
    found = {one.id: one for question in questions for one in question.named}
    return found | {one.id: one for answers in withheld for one in answers}


def _rollouts(env: MedResearchEnv) -> Rollouts:
    return Rollouts(env.rules, env.toolbox, lambda _: Score(total=None, parts={}))


def _play(rollouts: Rollouts, question: Question, script: Script) -> Trajectory:
    return rollouts.run(ScriptedPolicy(script), question).trajectory
