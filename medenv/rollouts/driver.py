"""Drivers that bring policy, tools, episode and reward together: one episode, or many at once."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import msgspec

from medenv.episodes.episode import Episode, EpisodeRules
from medenv.errors import (
    InfraError,
    PolicyUnavailableError,
    TokensExhaustedError,
    ToolUnavailableError,
    UsageError,
    describe,
)
from medenv.io import RetryPolicy, Waits, retrying
from medenv.records import (
    CountingPolicy,
    Message,
    Policy,
    Question,
    RewardFn,
    Score,
    Scored,
    ToolCall,
    ToolResult,
    Trajectory,
    Written,
)
from medenv.rollouts.deadlines import Deadline, Deadlines
from medenv.tools import ToolBox

_log = logging.getLogger(__name__)

CONCURRENCY = 64
"""Episodes that run at the same time where nobody says otherwise."""

_G = TypeVar("_G")
_T = TypeVar("_T")


class AsyncPolicy(Protocol):
    """Writes the next text of an episode without blocking."""

    async def act(self, messages: Sequence[Message]) -> str:
        """Return the policy's text for the conversation so far.

        Raises:
            TokensExhaustedError: The conversation leaves no room for a text; the episode ends for
                lack of tokens.
        """
        ...


Episodes = Iterable[tuple[Policy | AsyncPolicy, Question]]
"""What is to be played: policies and what each of them is asked."""


class RolloutRetryPolicy(RetryPolicy, frozen=True, kw_only=True):
    """How often tool calls, policy texts and scores are tried, and how long one may take.

    Args:
        timeout: Longest wait for one tool call or policy text in async drivers, seconds.
        policy_timeout: Longest wait for one policy text, where it differs from `timeout`, seconds.

    Raises:
        UsageError: A value out of range.
    """

    policy_timeout: float | None = None

    def __post_init__(self) -> None:
        """Validate the values."""
        super().__post_init__()
        if self.policy_timeout is not None and not self.policy_timeout > 0:
            raise UsageError(f"expected policy_timeout > 0, got {self.policy_timeout}")


class _Limits:
    """Time limits of all waits in one event loop.

    Args:
        patience: How long the waits may be.
    """

    __slots__ = ("calls", "texts")

    def __init__(self, patience: RolloutRetryPolicy) -> None:
        self.calls = self.texts = Deadlines(patience.timeout)
        if patience.policy_timeout is not None:
            self.texts = Deadlines(patience.policy_timeout)

    def close(self) -> None:
        """Stop the timers."""
        self.calls.close()
        self.texts.close()


@dataclass(frozen=True)
class Rollouts:
    """Runs episodes of one setting.

    A failure outside the episode is tried again with growing waits, where it may pass; when
    patience is at its end, the episode ends as ``"unavailable"`` and has no score. One that fails
    only in scoring, be it by a bug of the reward, keeps its ending and has no score either. In both
    cases `Trajectory.failure` says why. A policy whose model has no room left to write in ends its
    episode for tokens, and that is scored.

    Args:
        rules: Starts the episodes.
        toolbox: Makes the calls.
        reward: Scores the trajectories.
        patience: How often failures are tried again.
        sleep: Waits, in seconds; for tests.
        threads: Threads in which asynchronous drivers score, so that a reward that waits for an
            outside service stops no other episode; None scores in the event loop.
    """

    rules: EpisodeRules
    toolbox: ToolBox
    reward: RewardFn
    patience: RolloutRetryPolicy = field(default_factory=RolloutRetryPolicy)
    sleep: Callable[[float], None] = time.sleep
    threads: Executor | None = None

    def run(self, policy: Policy, question: Question, seed: int = 0) -> Scored:
        """Play one episode to its end.

        Args:
            policy: Writes the texts.
            question: What is asked.
            seed: Recorded with the trajectory.

        Returns:
            Trajectory and score.

        Raises:
            Exception: What the policy raised that is no `InfraError`.
        """
        episode = Episode(question, self.rules, seed)
        run, ask = self.toolbox.run, _asker(policy, episode)
        try:
            while not episode.ended:
                calls = _advance(episode, self._retry(lambda: ask(episode.messages)))
                if not episode.ended:
                    episode.observe([self._retry(partial(run, call)) for call in calls])
        except InfraError as error:
            end_episode(episode, error)
        return self._scored(episode)

    def run_all(self, episodes: Episodes, concurrency: int = CONCURRENCY) -> list[Scored]:
        """Play many episodes as `arun_all` does, in an event loop of its own.

        That is uvloop's where it is installed: its timers are finer than asyncio's.

        Args:
            episodes: Those of `arun_all`.
            concurrency: That of `arun_all`.

        Returns:
            What `arun_all` returns.

        Raises:
            UsageError: `concurrency` below 1, or an event loop runs already.
        """
        if _in_a_loop():
            raise UsageError("run_all begins an event loop, and one is running: await arun_all")
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(self.arun_all(episodes, concurrency))

    async def arun(self, policy: Policy | AsyncPolicy, question: Question, seed: int = 0) -> Scored:
        """Play one episode to its end, the calls of a turn at the same time.

        Args:
            policy: Writes the texts.
            question: What is asked.
            seed: Recorded with the trajectory.

        Returns:
            Trajectory and score.

        Raises:
            Exception: What the policy raised that is no `InfraError`.
        """
        return await self.play(policy, Episode(question, self.rules, seed))

    async def play(
        self, policy: Policy | AsyncPolicy, episode: Episode, *, contained: bool = False
    ) -> Scored:
        """Play an episode that the caller has started to its end, as `arun` does.

        Args:
            policy: Writes the texts.
            episode: An episode under these rules.
            contained: Whether the episode ends as ``"unavailable"`` where the policy raises.

        Returns:
            Trajectory and score.

        Raises:
            Exception: What the policy raised that is no `InfraError`, unless it is contained.
        """
        limits = _Limits(self.patience)
        try:
            return await self._play(policy, episode, limits, contained=contained)
        finally:
            limits.close()

    async def arun_all(self, episodes: Episodes, concurrency: int = CONCURRENCY) -> list[Scored]:
        """Play many episodes, a bounded number at the same time.

        No episode ends the others: one whose policy raises ends as ``"unavailable"``.

        Args:
            episodes: Policies and questions; the i-th episode has seed i.
            concurrency: Episodes that run at the same time, at least 1.

        Returns:
            Trajectories and scores, in the order given.

        Raises:
            UsageError: `concurrency` below 1.
        """
        if concurrency < 1:
            raise UsageError(f"concurrency must be at least 1, got {concurrency}")
        waiting, limits = list(episodes), _Limits(self.patience)
        played: dict[int, Scored] = {}
        numbered = enumerate(waiting)

        async def play_on() -> None:
            for i, (policy, question) in numbered:  # each takes the next that nobody has taken
                episode = Episode(question, self.rules, i)
                played[i] = await self._play(policy, episode, limits, contained=True)

        try:
            await _together([play_on() for _ in waiting[:concurrency]])
        finally:
            limits.close()
        return [played[i] for i in range(len(waiting))]

    async def _play(
        self,
        policy: Policy | AsyncPolicy,
        episode: Episode,
        limits: _Limits,
        *,
        contained: bool,
    ) -> Scored:
        """Play one episode; with `contained`, whatever the policy raises ends this one alone."""
        limit, text_limit = limits.calls.deadline(), limits.texts.deadline()
        ask = _asker(policy, episode)
        try:
            while episode.ending is None:
                messages = episode.messages
                written = await self._patiently(ask, messages, PolicyUnavailableError, text_limit)
                await self._turn(episode, written, limits.calls, limit)
        except InfraError as error:
            end_episode(episode, error)
        except Exception as error:
            if not contained:
                raise
            end_episode(episode, error)
        return await self.score(episode)

    async def turn(self, episode: Episode, text: str, deadlines: Deadlines, limit: Deadline) -> str:
        """Process one text of an episode's policy and make its calls, at the same time.

        For drivers that have the texts from elsewhere. Where the calls fail, the turn is undone and
        can be repeated.

        Args:
            episode: A running episode under these rules.
            text: What the policy wrote.
            deadlines: How long each attempt of a call may take.
            limit: One of these deadlines, of the running task.

        Returns:
            The observation, or ``""`` if the episode ended.

        Raises:
            InfraError: A call failed as often as patience allows.
        """
        try:
            return await self._turn(episode, text, deadlines, limit)
        except BaseException:  # also where the task is cancelled
            if episode.awaits_results:
                episode.retract()
            raise

    async def score(self, episode: Episode) -> Scored:
        """Score an ended episode, in a thread where the reward waits for a service.

        Args:
            episode: The episode.

        Returns:
            Trajectory and score, without a total where the episode could not be scored.
        """
        if self.threads is None:
            return self._scored(episode)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, self._scored, episode)

    async def _turn(
        self, episode: Episode, written: Any, deadlines: Deadlines, limit: Deadline
    ) -> str:
        calls = _advance(episode, written)
        if episode.ending is not None:
            return ""
        if len(calls) == 1:
            return episode.observe([await self._make(calls[0], limit)])

        async def in_a_task(call: ToolCall) -> ToolResult:
            return await self._make(call, deadlines.deadline())

        return episode.observe(await _together([in_a_task(call) for call in calls]))

    def _make(self, call: ToolCall, limit: Deadline) -> Coroutine[Any, Any, ToolResult]:
        return self._patiently(self.toolbox.start, call, ToolUnavailableError, limit)

    async def _patiently(
        self,
        attempt: Callable[[_G], _T | Awaitable[_T]],
        given: _G,
        late: type[InfraError],
        limit: Deadline,
    ) -> _T:
        """Make an attempt within the time limit, again as often as patience allows.

        What an attempt has at once is returned at once: only a wait needs a timer.
        """
        waits: Waits | None = None
        while True:
            try:
                made: Any = attempt(given)
                if hasattr(made, "__await__"):
                    with limit:
                        made = await made
                found: _T = made
                return found
            except TimeoutError:
                failed: InfraError = late(f"nothing came for {limit.seconds:g} s")
            except InfraError as error:
                failed = error
            waits = waits or Waits(self.patience)
            wait = waits.before_next(failed)
            if wait is None:
                raise failed
            await asyncio.sleep(wait)

    def _retry(self, attempt: Callable[[], _T]) -> _T:
        return retrying(attempt, Waits(self.patience), InfraError, self.sleep)

    def _scored(self, episode: Episode) -> Scored:
        trajectory = episode.trajectory()
        if trajectory.ending == "unavailable":
            return Scored(trajectory=trajectory, score=Score(total=None, parts={}))
        return score_episode(lambda given: self._retry(partial(self.reward, given)), trajectory)


def end_episode(episode: Episode, error: Exception) -> None:
    """End a running episode because of an exception that its policy or its calls raised.

    Args:
        episode: The episode.
        error: The exception; by a `TokensExhaustedError` the episode ends for tokens, by any other
            one as ``"unavailable"``.
    """
    if isinstance(error, TokensExhaustedError):
        episode.exhaust("tokens")
        return
    if not isinstance(error, InfraError):
        _log.warning("an episode of %r raised", episode.question.id, exc_info=error)
    episode.fail(str(error) if isinstance(error, InfraError) else describe(error))


def score_episode(
    reward: RewardFn, trajectory: Trajectory, *, sample: int = 0, step: int = 0
) -> Scored:
    """Score an episode; where the reward raises there is no score, and the failure is noted.

    Args:
        reward: Scores the trajectory.
        trajectory: A finished episode.
        sample: Number of the sample.
        step: Training step of the policy.
    """
    try:
        score = reward(trajectory)
    except Exception as error:
        if not isinstance(error, InfraError):
            _log.warning("the reward of %r raised", trajectory.question.id, exc_info=error)
        score = Score(total=None, parts={})
        trajectory = msgspec.structs.replace(trajectory, failure=describe(error))
    return Scored(trajectory=trajectory, score=score, sample=sample, step=step)


def _asker(policy: Policy | AsyncPolicy, episode: Episode) -> Callable[[Sequence[Message]], Any]:
    """Return the function that asks a policy, within the tokens left where it counts them."""
    if not hasattr(policy, "act_within"):
        return policy.act
    counting = cast(CountingPolicy, policy)
    return lambda messages: counting.act_within(messages, episode.tokens_left)


def _advance(episode: Episode, written: Any) -> tuple[ToolCall, ...]:
    """Advance an episode by what its policy wrote, a text or a `Written`."""
    if isinstance(written, Written):
        return episode.advance(written.text, written.tokens)
    return episode.advance(written)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        uvloop = importlib.import_module("uvloop")
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return made


async def _together(jobs: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Await all jobs at once, in order; where one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
