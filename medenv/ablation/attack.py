"""Attack suite: plays scripted reward hacks in environments and compares them with their bounds.

Each attack is played once per environment, in a copy whose corpus also contains a planted passage
for each question, and then scored under every reward. The honest policy plays in the original
environment and must reach the maximum if there is an answer. Rewards are expressed as shares of the
honest policy's reward on the same question, so that the same bounds apply to rewards of any scale.
Questions without an answer are attacked too: the honest policy then answers "unknown", and the
attack first guesses the withheld answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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
"""Numerical tolerance of the bounds."""

HONEST = "honest research"
"""Name of the honest policy in the findings."""

_NEEDS_TOOLS = frozenset(("evidence_recall", "citation_precision", "process"))
_UNKNOWN_NAME = "Nowhere syndrome"


class Finding(Record, frozen=True, kw_only=True):
    """Result of one attack in one environment under one reward.

    Args:
        env_id: The environment.
        scoring: Name of the reward.
        attack: Name of the attack, or `HONEST`.
        bound: Maximum allowed share; for `HONEST` the minimum share of the maximum reward.
        worst: Greatest share of all episodes, or the bound plus the excess of a component over its
            limit (`Attack.limits`); for `HONEST` the least share of the maximum reward.
        question: Id of the question with that share.
        answer: The answer in that episode, or None.
        episodes: Number of episodes.
        unscored: Number of episodes without a score because of an external failure.
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
        """Whether the result is within the bound."""
        if self.unscored or math.isnan(self.worst):
            return False
        if self.attack == HONEST:
            return self.worst >= self.bound - TOLERANCE
        return self.worst <= self.bound + TOLERANCE


class PlantedCorpus:
    """A corpus with planted passages, which rank before all other hits.

    Args:
        passages: The planted passages.
        below: The original corpus, or None.
    """

    def __init__(self, passages: Iterable[Passage], below: Retriever | None) -> None:
        from medenv.retrieval import BM25Retriever

        self._planted, self._below = BM25Retriever(passages), below

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query the best planted passage, then the hits of the original corpus."""
        found = self._planted.search(queries, 1)
        if self._below is not None and k > 1:
            rest = self._below.search(queries, k - 1)
            found = [[*first, *others] for first, others in zip(found, rest, strict=True)]
        return found

    def get(self, passage_id: str) -> Passage | None:
        """Return a planted or original passage by its id, or None."""
        known = self._planted.get(passage_id)
        return known if known is not None or self._below is None else self._below.get(passage_id)


class AttackEnvironment:
    """An environment with the episodes of the honest policy and of every attack.

    Args:
        env_id: Id of a registered environment, or ``"module:id"`` to import a module first.
        n: Maximum number of questions to attack, evenly spaced.
        attacks: The attacks.
        dialect: Name of the dialect, or None for the environment's own.
        questions: Other questions than the environment's own, as in
            `medenv.build.environment.MakeSettings`; a folder brings its graph and corpus.

    Raises:
        UnknownNameError: Unknown dialect.
        UsageError: Unknown environment, one that is not a `MedResearchEnv`, or no question.
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
                f"expected at least one question to attack, got {n} of the {len(asked)} "
                f"questions of {env_id!r}"
            )
        self.questions = tuple(asked[:: max(1, math.ceil(len(asked) / n))])
        self._withheld = _withheld(env_id, asked, self._settings)
        self._names = _names(asked, self._withheld.values())

    def reward(self, scoring: Any) -> RewardFn:
        """Return the environment's reward function for a setting.

        Args:
            scoring: A value of `medenv.build.environment.MakeSettings.scoring`.
        """
        return enter(self.env_id, **self._settings, scoring=scoring).reward

    @cached_property
    def honest(self) -> dict[str, Trajectory]:
        """Question id to the episode of the honest policy."""
        rollouts = _rollouts(self._env)
        return {
            question.id: _play(rollouts, question, honest(self._target(question, self._env)))
            for question in self.questions
        }

    @cached_property
    def attacked(self) -> dict[str, list[Trajectory]]:
        """Attack name to its episodes, with all variants on all questions."""
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
        """Compare every attack with its bound.

        Args:
            scoring: Name of the reward.
            reward: The reward.

        Returns:
            The finding of the honest policy, then one finding per attack.
        """
        checked = Checked(scoring, reward)
        earned = {name: _score(checked, played).total for name, played in self.honest.items()}
        found = [self._honest_finding(checked, earned)]
        for name, attack in self.attacks.items():
            found.append(self._attack_finding(checked, attack, self.attacked[name], earned))
        return found

    def _honest_finding(self, reward: Checked, earned: Mapping[str, float | None]) -> Finding:
        answered = {question.id for question in self.questions if question.answers} or set(earned)
        totals = {
            name: total for name, total in earned.items() if total is not None and name in answered
        }
        if isinstance(reward.reward, Reward):
            top = reward.reward.highest(() if self._env.toolbox.tools else _NEEDS_TOOLS)
        else:  # the maximum of a reward of another package is unknown
            top = max(totals.values(), default=math.nan)
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

    def _attack_finding(
        self,
        reward: Checked,
        attack: Attack,
        played: Sequence[Trajectory],
        earned: Mapping[str, float | None],
    ) -> Finding:
        worst, worst_episode, unscored = -math.inf, None, 0
        for trajectory in played:
            score, fair = _score(reward, trajectory), earned[trajectory.question.id]
            if score.total is None:
                unscored += 1
                continue
            undue = sum(_excess(score, name, limit) for name, limit in attack.limits.items())
            share = math.inf
            if fair is not None and fair > 0:
                share = max(score.total, undue and attack.bound * fair + undue) / fair
            if share > worst:
                worst, worst_episode = share, trajectory
        return Finding(
            env_id=self.env_id,
            scoring=reward.name,
            attack=attack.name,
            bound=attack.bound,
            worst=worst if worst_episode else math.nan,
            question=worst_episode.question.id if worst_episode else "",
            answer=worst_episode.answer if worst_episode else None,
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
            others=tuple(entity.name for entity in others) or (_UNKNOWN_NAME,),
        )

    def _planted(self) -> MedResearchEnv:
        env = self._env
        if not env.toolbox.tools:
            return env
        passages = [planted(question) for question in self.questions]
        spec = env.spec
        built_in = spec is not None and spec.entry_point == "medenv.build.environment:make_env"
        below = make_parts(**spec.kwargs).retriever if spec is not None and built_in else None
        return enter(self.env_id, **self._settings, corpus=PlantedCorpus(passages, below))


def enter(env_id: str, **settings: Any) -> MedResearchEnv:
    """Create a registered environment with other settings.

    Args:
        env_id: Id of the environment, or ``"module:id"`` to import a module first.
        settings: Fields of `medenv.build.environment.MakeSettings`, which its factory must accept.

    Raises:
        UsageError: Unknown environment, unsupported settings, or not a `MedResearchEnv`.
    """
    try:
        env = gymnasium.make(env_id, disable_env_checker=True, **settings).unwrapped
    except (gymnasium.error.Error, ImportError) as error:
        raise UsageError(f"{env_id!r}: {error}") from error
    except TypeError as error:
        raise UsageError(
            f"cannot create {env_id!r} with {', '.join(settings) or 'no settings'}: {error}; its"
            " factory must accept the fields of medenv.build.environment.MakeSettings"
        ) from error
    if not isinstance(env, MedResearchEnv):
        raise UsageError(f"expected a MedResearchEnv, got {env_id!r}, a {type(env).__name__}")
    return env


def exploitability(findings: Iterable[Finding]) -> float:
    """Return the greatest share of the attacks whose bound is 0; the ideal value is 0.

    Args:
        findings: Findings of `AttackEnvironment.findings`.
    """
    return max((finding.worst for finding in findings if finding.bound == 0.0), default=0.0)


def _score(reward: Checked, trajectory: Trajectory) -> Score:
    """Return the score of a trajectory, without a total after an external failure."""
    try:
        return reward(trajectory)
    except InfraError:
        return Score(total=None, parts={})


def _excess(score: Score, name: str, limit: float) -> float:
    """Return the weighted excess of a component over a limit."""
    part = score.parts.get(name)
    return 0.0 if part is None or part.gated else max(0.0, part.raw - limit) * part.weight


def _withheld(
    env_id: str, asked: Sequence[Question], settings: Mapping[str, Any]
) -> dict[str, tuple[Entity, ...]]:
    """Return the withheld answers by question id."""
    lost = {question.id for question in asked if not question.answers}
    whole = enter(env_id, **settings, withhold=0.0).questions if lost else ()
    return {question.id: question.answers for question in whole if question.id in lost}


def _names(
    questions: Iterable[Question], withheld: Iterable[Sequence[Entity]]
) -> dict[str, Entity]:
    """Return all named entities of the questions and the withheld answers by id."""
    found = {one.id: one for question in questions for one in question.named}
    return found | {one.id: one for answers in withheld for one in answers}


def _rollouts(env: MedResearchEnv) -> Rollouts:
    return Rollouts(env.rules, env.toolbox, lambda _: Score(total=None, parts={}))


def _play(rollouts: Rollouts, question: Question, script: Script) -> Trajectory:
    return rollouts.run(ScriptedPolicy(script), question).trajectory
