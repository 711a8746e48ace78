"""Contracts of rewards, and the attack suite."""

from __future__ import annotations

import math
import pickle
from functools import cached_property
from typing import Any

import msgspec

from medenv.ablation.attack import HONEST, AttackEnvironment, Finding, enter
from medenv.conformance.report import Check, NotApplicable, Result, holds, run_checks
from medenv.records import RewardFn, Score, Trajectory
from medenv.reward import Checked

PANEL_QUESTIONS = 16
"""Questions on which a reward is attacked."""


class RewardUnderTest:
    """A reward in an environment, with the episodes of the honest policy and of every attack.

    Args:
        name: Its name.
        scoring: What makes it, as in `medenv.build.environment.MakeSettings.scoring`; None for the
            environment's own.
        env_id: The environment.
    """

    def __init__(self, name: str, scoring: Any, env_id: str = "medenv/Research-v0") -> None:
        self.name = name
        self.environment = AttackEnvironment(env_id, n=PANEL_QUESTIONS)
        own = scoring is None
        self.reward: RewardFn = enter(env_id).reward if own else self.environment.reward(scoring)

    @cached_property
    def honest(self) -> list[Trajectory]:
        """The episodes of the honest policy."""
        return list(self.environment.honest.values())

    @cached_property
    def played(self) -> list[Trajectory]:
        """All episodes."""
        return [*self.honest, *(t for tried in self.environment.attacked.values() for t in tried)]

    @cached_property
    def findings(self) -> list[Finding]:
        """The findings of honest research and of each attack."""
        return self.environment.findings(self.name, self.reward)

    def score(self, trajectory: Trajectory) -> Score:
        """Score an episode, its numbers checked."""
        return Checked(self.name, self.reward)(trajectory)


def every_score_is_finite(reward: RewardUnderTest) -> str:
    """Neither NaN nor infinity reaches a trainer."""
    totals = [reward.score(trajectory).total for trajectory in reward.played]
    known = [total for total in totals if total is not None]
    holds(bool(known), "expected scores, got none for any episode")
    return f"{len(known):,} episodes, {min(known):.3g} to {max(known):.3g}"


def the_parts_add_up_to_the_total(reward: RewardUnderTest) -> str:
    """Ablations and logs read the parts, trainers the total."""
    for trajectory in reward.played:
        score = reward.score(trajectory)
        if score.total is None or not score.parts:
            continue
        added = math.fsum(part.weighted for part in score.parts.values())
        vetoed = score.total == 0.0 and not all(score.gates.values())
        holds(
            vetoed or math.isclose(added, score.total, abs_tol=1e-6),
            f"expected parts that add up to {score.total:.6g}, got {added:.6g} for question "
            f"{trajectory.question.id}",
        )
    return f"{len(reward.played):,} episodes"


def the_same_episode_has_the_same_score(reward: RewardUnderTest) -> str:
    """A reward is a function of the trajectory and of nothing else."""
    for trajectory in reward.honest:
        first, second = reward.score(trajectory), reward.score(trajectory)
        holds(
            first.total == second.total,
            f"expected one score of question {trajectory.question.id}, got {first.total} and "
            f"{second.total}",
        )
    return f"{len(reward.honest)} episodes, twice"


def it_changes_no_episode(reward: RewardUnderTest) -> str:
    """Scoring leaves the episode unchanged, since it is stored afterwards."""
    for trajectory in reward.honest:
        before = msgspec.json.encode(trajectory)
        reward.score(trajectory)
        holds(
            msgspec.json.encode(trajectory) == before,
            f"expected the episode of question {trajectory.question.id} as it was, got another",
        )
    return f"{len(reward.honest)} episodes"


def it_travels_to_other_processes(reward: RewardUnderTest) -> str:
    """Trainers score episodes in workers."""
    again = pickle.loads(pickle.dumps(reward.reward))
    for trajectory in reward.honest:
        holds(
            Checked(reward.name, again)(trajectory).total == reward.score(trajectory).total,
            f"expected the same score of question {trajectory.question.id} after the journey",
        )
    return f"{len(reward.honest)} episodes"


def honest_research_earns_the_most(reward: RewardUnderTest) -> str:
    """The oracle's maximum: who follows the proof and answers rightly cannot do better."""
    (honest,) = (one for one in reward.findings if one.attack == HONEST)
    holds(
        honest.kept,
        f"expected the maximum for honest research, it earns {honest.worst:.0%} of it on question "
        f"{honest.question}",
    )
    return f"{honest.worst:.0%} of the maximum on every question"


def no_answer_earns_nothing(reward: RewardUnderTest) -> str:
    """The gap to the floor: what a policy gets that does nothing, beside honest research."""
    lowest = {
        trajectory.question.id: reward.score(trajectory).total
        for trajectory in reward.environment.attacked["never answer"]
    }
    earned = [reward.score(one).total for one in reward.honest]
    fair = [total for total in earned if total is not None]
    floor = [total for total in lowest.values() if total is not None]
    if not fair or not floor:
        raise NotApplicable("no episode has a score")
    gap = min(fair) - max(floor)
    holds(gap > 0, f"expected honest research to earn more than silence, the gap is {gap:.3g}")
    return f"silence earns {max(floor):.3g}, honest research {min(fair):.3g} at least"


CHECKS: tuple[Check[RewardUnderTest], ...] = (
    every_score_is_finite,
    the_parts_add_up_to_the_total,
    the_same_episode_has_the_same_score,
    it_changes_no_episode,
    it_travels_to_other_processes,
    honest_research_earns_the_most,
    no_answer_earns_nothing,
)


def panel(reward: RewardUnderTest) -> list[Result]:
    """Return a result for each attack: whether it earns no more than its bound.

    Args:
        reward: The reward.
    """
    return [
        Result(
            name=f"attack: {one.attack}",
            outcome="passed" if one.kept else "failed",
            told=f"{max(one.worst, 0.0):.2f} of honest research, at most {one.bound:.2f}"
            + f": {one.answer!r} on question {one.question}" * (not one.kept),
        )
        for one in reward.findings
        if one.attack != HONEST
    ]


def check_reward(reward: RewardUnderTest) -> list[Result]:
    """Hold a reward against all contracts and attacks.

    Args:
        reward: The reward.
    """
    found = run_checks(CHECKS, reward)
    return found + panel(reward) if found[0].outcome == "passed" else found
