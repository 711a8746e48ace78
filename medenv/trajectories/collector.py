"""Collect, log and filter episodes; resumable."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from medenv.build.environment import Parts
from medenv.errors import DataError, PolicyUnavailableError, UsageError
from medenv.io import Journal, digest
from medenv.records import Policy, Question, Record, Scored, Trajectory
from medenv.rollouts.driver import AsyncPolicy, RolloutRetryPolicy, Rollouts
from medenv.rollouts.policies import Teacher
from medenv.trajectories.faults import faulty_box
from medenv.trajectories.gate import ClosedError, Gate
from medenv.trajectories.records import Part, Rollout
from medenv.trajectories.selection import Selection

SAMPLES = 1_000
"""Maximum episodes per question."""

ROUNDS = 3
"""Attempts at an episode on infrastructure failures."""

AHEAD = 4
"""Questions started ahead of the one judged next, per concurrent episode."""


AnyTeacher = Teacher[Policy | AsyncPolicy]
"""A teacher with synchronous or asynchronous policies."""


class Plan(Record, frozen=True, kw_only=True):
    """Episode plan.

    Args:
        n: Target number of episodes.
        seed: Seed of the injected failures.
        exploration: Share of episodes that explore instead of following the gold path.
        failures: Share of tool calls that fail on purpose.
        negatives: Share of questions that also get a worse episode, for pairs.
        samples: Episodes per question; the accepted ones are kept.
        per_question: Maximum kept per question.
        concurrency: Number of concurrent episodes.

    Raises:
        UsageError: Value out of range.
    """

    n: int = 2_200
    seed: int = 0
    exploration: float = 0.3
    failures: float = 0.05
    negatives: float = 0.15
    samples: int = 1
    per_question: int = 1
    concurrency: int = 1

    def __post_init__(self) -> None:
        """Validate values."""
        for name in ("exploration", "failures", "negatives"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if min(self.n, self.samples, self.per_question, self.concurrency) < 1:
            raise UsageError(
                "n, samples, per_question and concurrency must be at least 1, got "
                f"{self.n}, {self.samples}, {self.per_question}, {self.concurrency}"
            )
        if self.samples >= SAMPLES:
            raise UsageError(f"samples must be below {SAMPLES}, got {self.samples}")

    def wanted(self) -> dict[Part, int]:
        """Return the target number of each part."""
        exploring = round(self.n * self.exploration)
        return {"guided": self.n - exploring, "exploration": exploring}

    def part(self, i: int) -> Part:
        """Return the part of question `i`."""
        share = self.exploration
        return "exploration" if int((i + 1) * share) > int(i * share) else "guided"

    def episodes(self, i: int) -> list[tuple[int, Part]]:
        """Return the episodes of question `i` as (sample, part).

        Args:
            i: Number of the question.
        """
        played: list[tuple[int, Part]] = [(sample, self.part(i)) for sample in range(self.samples)]
        if np.random.default_rng([self.seed, i, 1]).random() < self.negatives:
            played.append((self.samples, "foil"))
        return played


@dataclass(frozen=True)
class RolloutCollector:
    """Collect a plan's episodes.

    Args:
        parts: The environment.
        questions: Questions, in order.
        teachers: Part to the teacher's name and the teacher; a part without one is not played.
        plan: Episode plan.
        patience: Retry policy for failures outside the episode.
    """

    parts: Parts
    questions: Sequence[Question]
    teachers: Mapping[Part, tuple[str, AnyTeacher]]
    plan: Plan
    patience: RolloutRetryPolicy

    def identity(self, teachers: str) -> dict[str, str]:
        """Return the run's identity by name, without its size, its questions and concurrency.

        A set of questions may grow, see `check`.

        Args:
            teachers: Key of the teachers, such as their settings.
        """
        played = {part: name for part, (name, _) in self.teachers.items()}
        plan = msgspec.structs.replace(self.plan, n=1, concurrency=1)
        return {
            "plan": digest(plan, 16),
            "rules": self.parts.rules.config_hash,
            "teachers": digest([played, teachers], 16),
        }

    def check(self, journal: Journal[Rollout]) -> None:
        """Refuse a journal of other questions; more or fewer of the same are no others.

        Args:
            journal: The episodes that were played before.

        Raises:
            DataError: An episode's question is another than the one of that number now.
        """
        for rollout in journal.known:
            asked, now = rollout.scored.trajectory.question, self.questions[rollout.i :][:1]
            if now and (asked.id, asked.text) != (now[0].id, now[0].text):
                raise DataError(
                    journal.path,
                    f"belongs to another run (question {rollout.i} {asked.id!r}, now "
                    f"{now[0].id!r}, or its text differs); name another folder",
                )

    async def fill(
        self, selection: Selection, journal: Journal[Rollout], report: Callable[[int, int], None]
    ) -> None:
        """Play until the selection is full or no question is left.

        Args:
            selection: Judges the episodes, question by question.
            journal: Keeps them.
            report: Receives the numbers of accepted and judged episodes.

        Raises:
            PolicyUnavailableError: An episode could not be played; the run is resumable.
        """
        known: dict[int, dict[int, Rollout]] = {}
        for rollout in journal.known:
            known.setdefault(rollout.i, {})[rollout.sample] = rollout
        gate = Gate(self.plan.concurrency)
        waiting: deque[asyncio.Future[list[Rollout]]] = deque()
        numbers = iter(range(len(self.questions)))
        try:
            while not selection.full:
                while len(waiting) < AHEAD * self.plan.concurrency:
                    i = next(numbers, None)
                    if i is None:
                        break
                    if selection.wants(self.plan.part(i)):
                        job = self._question(i, known.get(i, {}), journal, gate)
                        waiting.append(asyncio.ensure_future(job))
                if not waiting:
                    return
                selection.take(await waiting.popleft())
                report(len(selection.accepted), selection.judged)
        except ClosedError:
            raise gate.why() from None
        except asyncio.CancelledError:
            for job_left in waiting:
                job_left.cancel()
            raise
        finally:
            gate.close()  # running episodes finish; no new ones start
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _question(
        self, i: int, known: Mapping[int, Rollout], journal: Journal[Rollout], gate: Gate
    ) -> list[Rollout]:
        """Play a question's missing episodes; journal each as it ends."""

        async def one(sample: int, part: Part) -> Rollout:
            async with gate:
                rollout = await self._episode(i, sample, part)
                journal.append(rollout)
                return rollout

        wanted = [(sample, part) for sample, part in self.plan.episodes(i) if part in self.teachers]
        new = [(sample, part) for sample, part in wanted if sample not in known]
        made = await gate.all_of([one(sample, part) for sample, part in new])
        played = {rollout.sample: rollout for rollout in made}
        return [known.get(sample) or played[sample] for sample, _ in wanted]

    async def _episode(self, i: int, sample: int, part: Part) -> Rollout:
        question, (name, teacher) = self.questions[i], self.teachers[part]
        seed = int(np.random.default_rng([self.plan.seed, i, sample, 2]).integers(1 << 31))
        why = ""
        for _ in range(ROUNDS):
            box, tools = faulty_box(self.parts.toolbox.tools.values(), self.plan.failures, seed)
            driver = Rollouts(
                self.parts.rules,
                box,
                self.parts.reward,
                self.patience,
                threads=self.parts.scoring.threads,
            )
            policy = teacher.begin(question, i * SAMPLES + sample)
            scored = await driver.arun(policy, question, seed)
            if scored.score.total is not None:
                events = tuple(event for tool in tools for event in tool.events)
                return Rollout(
                    i=i, sample=sample, part=part, teacher=name, scored=without_times(scored),
                    faults=events,
                )  # fmt: skip
            why = scored.trajectory.failure or "it could not be scored"
        raise PolicyUnavailableError(
            f"question {question.id!r} could not be played: {why}; what has been played is kept, "
            "the same command goes on"
        )


def without_times(scored: Scored) -> Scored:
    """Return an episode without durations, so that equal episodes are equal bytes.

    Args:
        scored: The episode.
    """
    trajectory: Trajectory = scored.trajectory
    turns = tuple(
        msgspec.structs.replace(
            turn,
            results=tuple(msgspec.structs.replace(one, seconds=0.0) for one in turn.results),
        )
        for turn in trajectory.turns
    )
    trajectory = msgspec.structs.replace(trajectory, turns=turns, seconds=0.0)
    return msgspec.structs.replace(scored, trajectory=trajectory)
