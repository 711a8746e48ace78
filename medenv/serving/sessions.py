"""Sessions and their episodes: who plays what, within which limits, and for how long.

A session is a WebSocket connection, or an episode over HTTP. It has at most one episode. An episode
whose connection breaks off stays *parked*, so that its client can resume it by its id; with a
folder it survives a restart of the server. Gold answers and scores leave this module only in the
reply to the step that ends an episode.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import numpy as np
from gymnasium.utils.seeding import np_random

from medenv.build.environment import Parts
from medenv.episodes.episode import Episode
from medenv.errors import DataError, InfraError, UsageError
from medenv.records import Question, Record, Scored
from medenv.rollouts.deadlines import Deadline, Deadlines
from medenv.rollouts.driver import RolloutRetryPolicy
from medenv.serving.metrics import Metrics
from medenv.serving.protocol import (
    Observation,
    PartShown,
    RefusedError,
    Reply,
    ResetData,
    State,
)
from medenv.serving.store import Finished, Kept, Store

_log = logging.getLogger(__name__)

SAVE_EVERY = 1.0
"""Interval between two snapshots of the running episodes, seconds."""

_WINDOW = 10.0
"""Time over which the rate of steps is averaged, seconds."""

_BUSY = "a step of this episode is in progress: wait for its answer"

_NO_EPISODE = (
    "no episode is running in this session: send reset; with its episode_id and resume=true it "
    "continues an interrupted one"
)


class Limits(Record, frozen=True, kw_only=True):
    """Limits on the use of a server.

    Args:
        sessions: Sessions at the same time.
        sessions_per_client: Sessions of one token at the same time, or None.
        idle_seconds: Time without a request after which a session ends; its episode is parked.
        parked_seconds: Time for which a parked episode can be resumed.
        message_bytes: Maximum length of a request.
        text_chars: Maximum length of an action's text, characters.
        steps_per_second: Steps and resets of one session, on average over ten seconds; or None.
        episodes_per_session: Episodes that one connection may begin, or None.
        parallel_calls: Turns that wait for tools at the same time; further ones wait their turn.
        drain_seconds: Time for turns in progress to end when the server stops.

    Raises:
        UsageError: A limit is not positive.
    """

    sessions: int = 256
    sessions_per_client: int | None = None
    idle_seconds: float = 1800.0
    parked_seconds: float = 3600.0
    message_bytes: int = 1 << 20
    text_chars: int = 131_072
    steps_per_second: float | None = None
    episodes_per_session: int | None = None
    parallel_calls: int = 256
    drain_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Validate the settings."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"expected {name} > 0, got {value}")


class Play:
    """An episode that is served.

    Args:
        client: Name of the client that plays it.
        episode_id: Its id.
        split: Split of the question.
        index: Number of the question within the split.
        episode: The state machine.
        reply: What was last sent to the client.

    Attributes:
        delivered: Whether the client has received the end.
        dropped: Whether it is not kept any more.
        saved: Whether the store has a snapshot of it.
        scoring: Scores the ended episode, while that is in progress.
        since: Monotonic time since which it is parked, seconds.
    """

    __slots__ = (
        "client",
        "delivered",
        "dropped",
        "episode",
        "episode_id",
        "index",
        "reply",
        "saved",
        "scoring",
        "since",
        "split",
    )

    def __init__(
        self, client: str, episode_id: str, split: str, index: int, episode: Episode, reply: Reply
    ) -> None:
        self.client, self.episode_id = client, episode_id
        self.split, self.index = split, index
        self.episode, self.reply = episode, reply
        self.delivered = self.dropped = self.saved = False
        self.scoring: asyncio.Task[Reply] | None = None
        self.since = time.monotonic()

    @property
    def key(self) -> tuple[str, str]:
        """Client and episode id."""
        return self.client, self.episode_id

    def kept(self) -> Kept:
        """Return the present state as a record."""
        return Kept(
            client=self.client,
            episode_id=self.episode_id,
            split=self.split,
            index=self.index,
            snapshot=self.episode.snapshot(),
            reply=self.reply,
        )


class Session:
    """A connection, or an episode over HTTP.

    Args:
        client: Name of the client, or ``""``.
        end: Ends the connection with an error, or None over HTTP.

    Attributes:
        play: The episode, running or ended, or None before the first.
        limit: Time limit of its tool calls, where all requests come in one task.
        busy: Whether a request is in progress.
        touched: Monotonic time of the last request, seconds.
        episodes: Number of episodes begun.
        spent: Steps used up of the last ten seconds, and the monotonic time of that count.
    """

    __slots__ = ("busy", "client", "end", "episodes", "limit", "play", "spent", "touched")

    def __init__(self, client: str, end: Callable[[RefusedError], None] | None = None) -> None:
        self.client, self.end = client, end
        self.play: Play | None = None
        self.limit: Deadline | None = None
        self.busy, self.episodes = False, 0
        self.touched = time.monotonic()
        self.spent = (0.0, self.touched)

    def touch(self) -> None:
        """Note a request."""
        self.touched = time.monotonic()


class Sessions:
    """All sessions of a server over one environment.

    Args:
        parts: The environment; shared by all sessions.
        limits: What clients may use.
        store: Keeps episodes on disk, or None.
        seed: Seed of the questions of resets without a seed.
        patience: How often failing tool calls and scores are tried again.
        metrics: Counts what happens.

    Raises:
        DataError: The store is damaged or belongs to another environment.
    """

    def __init__(
        self,
        parts: Parts,
        limits: Limits,
        store: Store | None = None,
        seed: int = 0,
        patience: RolloutRetryPolicy | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.parts, self.limits, self.store = parts, limits, store
        self.metrics = metrics or Metrics()
        self.draining, self.keeping = False, True
        self.splits: dict[str, list[Question]] = {}
        for question in parts.questions:
            self.splits.setdefault(question.split, []).append(question)
        self._numbers = {
            question.id: (split, index)
            for split, questions in self.splits.items()
            for index, question in enumerate(questions)
        }
        patience = patience or RolloutRetryPolicy()
        self._rollouts = parts.rollouts(patience)
        self._deadlines = Deadlines(patience.timeout)
        self._waits = any(tool.is_async or not tool.local for tool in parts.toolbox.tools.values())
        self._turns = asyncio.Semaphore(limits.parallel_calls)
        self._saving = asyncio.Lock()
        self._seed, self._begun = seed, 0
        self._open: dict[Session, None] = {}
        self._playing: dict[tuple[str, str], Session] = {}
        self._parked: dict[tuple[str, str], Play] = {}
        self._dirty: dict[tuple[str, str], Play] = {}
        self._gone: list[tuple[str, str]] = []
        self._journalled = False
        if store is not None:
            for kept in store.load():
                self._park(self._restored(kept))

    @property
    def count(self) -> int:
        """Number of open sessions."""
        return len(self._open)

    @property
    def parked(self) -> int:
        """Number of episodes that wait to be resumed."""
        return len(self._parked)

    def open(self, client: str, end: Callable[[RefusedError], None] | None = None) -> Session:
        """Open a session.

        Args:
            client: Name of the client, or ``""``.
            end: Ends its connection with an error.

        Raises:
            RefusedError: No session is free, or the server is stopping.
        """
        self._check_draining()
        limit = self.limits.sessions_per_client
        if len(self._open) >= self.limits.sessions:
            taken = f"all {self.limits.sessions} sessions are in use: try again later"
            raise RefusedError("CAPACITY_REACHED", taken, 503, 1.0)
        if limit is not None and sum(one.client == client for one in self._open) >= limit:
            taken = f"a client has at most {limit} sessions: close one"
            raise RefusedError("CAPACITY_REACHED", taken, 429, 1.0)
        session = Session(client, end)
        if end is not None:  # all its requests are answered in one task
            session.limit = self._deadlines.deadline()
        self._open[session] = None
        return session

    def close(self, session: Session, *, park: bool) -> None:
        """Close a session.

        Args:
            session: The session; closing it again does nothing.
            park: Whether its running episode can be resumed; else it is discarded.
        """
        if self._open.pop(session, session) is session:
            return
        play, session.play = session.play, None
        if play is not None and not play.delivered:
            del self._playing[play.key]
            if park:
                self._park(play)
            else:
                self._drop(play)

    def find(self, client: str, episode_id: str) -> Session:
        """Return the session of a running episode.

        Args:
            client: Name of the client.
            episode_id: Id of the episode.

        Raises:
            RefusedError: The client plays no such episode now.
        """
        session = self._playing.get((client, episode_id))
        if session is None:
            shown = f"{episode_id!r:.80}"
            problem = f"no episode {shown} is running: it has ended, expired or never begun"
            raise RefusedError("SESSION_ERROR", problem, 404)
        return session

    def reach(self, client: str, episode_id: str) -> Session:
        """Return the session of a running episode; one that is parked goes on in a new session.

        Args:
            client: Name of the client.
            episode_id: Id of the episode.

        Raises:
            RefusedError: The client plays no such episode, or no session is free.
        """
        if (client, episode_id) not in self._parked:
            return self.find(client, episode_id)
        session = self.open(client)
        try:
            self.begin(session, ResetData(episode_id=episode_id, resume=True))
        except BaseException:
            self.close(session, park=False)
            raise
        return session

    def begin(self, session: Session, data: ResetData) -> Reply:
        """Begin or resume an episode.

        Args:
            session: The session; its running episode is discarded.
            data: What to play.

        Raises:
            RefusedError: The request cannot be carried out.
        """
        self._check_draining()
        if session.busy:
            raise RefusedError("SESSION_ERROR", _BUSY, 409, 1.0)
        self._spend(session)
        if data.resume:
            return self._resume(session, data)
        limit = self.limits.episodes_per_session
        if limit is not None and session.episodes >= limit:
            problem = f"a session has at most {limit} episodes: open another one"
            raise RefusedError("CAPACITY_REACHED", problem, 429)
        split, index = self._choose(data)
        key = (session.client, data.episode_id or secrets.token_hex(16))
        owner = self._playing.get(key)
        if owner is not None and owner is not session:
            problem = "another session plays the episode of this id: resume=true takes it over"
            raise RefusedError("SESSION_ERROR", problem, 409)
        self._leave(session)
        if (old := self._parked.pop(key, None)) is not None:
            self._drop(old)
        episode = Episode(self.splits[split][index], self.parts.rules, data.seed or 0)
        messages = tuple(episode.prompt())
        text = "\n\n".join(message["content"] for message in messages)
        metadata = {"episode_id": key[1], "split": split, "index": index, "step_count": 0}
        reply = self._reply(episode, text, metadata=metadata, messages=messages)
        self._attach(session, Play(*key, split, index, episode, reply))
        session.episodes += 1
        self.metrics.begun += 1
        return reply

    def _resume(self, session: Session, data: ResetData) -> Reply:
        """Attach an interrupted episode, or one of another connection of the same client."""
        if data.episode_id is None:
            raise RefusedError("VALIDATION_ERROR", "resume needs an episode_id", 422)
        key = (session.client, data.episode_id)
        owner = self._playing.get(key)
        if owner is not None and owner.busy:
            raise RefusedError("SESSION_ERROR", _BUSY, 409, 1.0)
        if owner is not None:
            play, owner.play = owner.play, None
            del self._playing[key]
            if owner is not session:
                self._end(owner, "another connection of this client has taken the episode over")
        else:
            play = self._parked.pop(key, None)
        if play is None:
            problem = f"no interrupted episode {data.episode_id!r:.80}: it has ended, or expired"
            raise RefusedError("SESSION_ERROR", problem, 404)
        self._leave(session)
        self._attach(session, play)
        self.metrics.resumed += 1
        known = {
            "episode_id": play.episode_id,
            "split": play.split,
            "index": play.index,
            "step_count": play.episode.turns,
        }
        last = play.reply
        metadata = last.observation.metadata | known
        messages = tuple(play.episode.messages)
        seen = msgspec.structs.replace(last.observation, messages=messages, metadata=metadata)
        return msgspec.structs.replace(last, observation=seen, metadata=metadata)

    async def step(
        self,
        session: Session,
        text: str,
        *,
        seconds: float | None = None,
        limit: Deadline | None = None,
    ) -> Reply:
        """Take a turn.

        Args:
            session: A session with a running episode.
            text: The policy's text.
            seconds: Longest wait for the whole turn, or None.
            limit: The session's own limit, if this is the task that opened it.

        Raises:
            RefusedError: The request cannot be carried out; where a tool or the journal failed, it
                can be repeated.
        """
        play = session.play
        if play is None:
            raise RefusedError("EXECUTION_ERROR", _NO_EPISODE, 409)
        if play.delivered:
            raise RefusedError("EXECUTION_ERROR", "the episode has ended: send reset", 409)
        if session.busy:
            raise RefusedError("SESSION_ERROR", _BUSY, 409, 1.0)
        if play.reply.done:
            return play.reply
        self._check_draining()
        if len(text) > self.limits.text_chars:
            problem = f"a text has at most {self.limits.text_chars} characters, got {len(text)}"
            raise RefusedError("VALIDATION_ERROR", problem, 422)
        now = self._spend(session)
        session.busy = True
        try:
            if seconds is None and not self._waits:  # the most frequent case
                return await self._step(play, text, limit)
            async with asyncio.timeout(seconds), self._turns:
                return await self._step(play, text, limit)
        except TimeoutError:
            if seconds is None:
                raise
            problem = f"the step was not finished within {seconds:g} s: repeat it"
            raise RefusedError("EXECUTION_ERROR", problem, 504, 1.0) from None
        finally:
            session.busy, session.touched = False, time.monotonic()
            self.metrics.step(session.touched - now)
            if self.store is not None and not play.dropped:
                self._dirty[play.key] = play

    async def _step(self, play: Play, text: str, limit: Deadline | None) -> Reply:
        episode, observation = play.episode, ""
        if episode.ending is None:
            try:
                limit = limit or self._deadlines.deadline()
                observation = await self._rollouts.turn(episode, text, self._deadlines, limit)
            except InfraError as error:
                self.metrics.failed += 1
                _log.warning("episode %r: %s", play.episode_id, error)
                problem = "a tool of the environment did not answer: repeat the step"
                raise RefusedError("EXECUTION_ERROR", problem, 503, 1.0) from error
        if episode.ending is None:
            play.reply = self._reply(
                episode, observation, reward=0.0, problems=episode.last_turn.parsed.problems
            )
            return play.reply
        if self._rollouts.threads is None:
            return self._finish(play, await self._rollouts.score(episode))
        if play.scoring is None:  # goes on if the client is gone
            play.scoring = asyncio.ensure_future(self._scored(play))
        return await asyncio.shield(play.scoring)

    async def _scored(self, play: Play) -> Reply:
        try:
            return self._finish(play, await self._rollouts.score(play.episode))
        finally:
            play.scoring = None

    def _finish(self, play: Play, scored: Scored) -> Reply:
        """Journal an ended episode and return its last reply."""
        if self.store is not None:
            finished = Finished(
                client=play.client,
                episode_id=play.episode_id,
                trajectory=scored.trajectory,
                score=scored.score,
            )
            try:
                self.store.finish(finished)
                self._journalled = True
            except DataError as error:
                _log.error("episode %r is not journalled: %s", play.episode_id, error)
                problem = "the server cannot write its journal: repeat the step"
                raise RefusedError("EXECUTION_ERROR", problem, 503, 5.0) from error
        self.metrics.ended(scored)
        score = scored.score
        metadata: dict[str, Any] = {
            "ending": scored.trajectory.ending,
            "score": {
                "total": score.total,
                "parts": {
                    name: PartShown(
                        raw=part.raw, weight=part.weight, weighted=part.weighted, gated=part.gated
                    )
                    for name, part in score.parts.items()
                },
                "gates": score.gates,
            },
        }
        if score.total is None:
            metadata["failure"] = "the episode could not be scored: leave it out"
        play.reply = self._reply(
            play.episode,
            "",
            reward=score.total,
            done=True,
            metadata=metadata,
            problems=play.episode.last_turn.parsed.problems if play.episode.turns else (),
        )
        return play.reply

    def delivered(self, session: Session) -> None:
        """Note that the client has received the end of its episode: it is not kept any more.

        Args:
            session: The session.
        """
        play = session.play
        if play is not None and play.reply.done and not play.delivered:
            play.delivered = True
            del self._playing[play.key]
            self._forget(play)

    def state(self, session: Session | None) -> State:
        """Return the state of a session.

        Args:
            session: The session, or None for the state before any episode.
        """
        rules, play = self.parts.rules, session.play if session is not None else None
        return State(
            episode_id=None if play is None else play.episode_id,
            step_count=0 if play is None else play.episode.turns,
            environment=rules.env_id,
            dialect=rules.dialect.name,
            max_turns=rules.max_turns,
            done=play is not None and play.episode.ending is not None,
        )

    def expire(self) -> None:
        """End idle sessions and drop parked episodes whose time is over."""
        now = time.monotonic()
        limits = self.limits
        for session in tuple(self._open):
            if not session.busy and now - session.touched > limits.idle_seconds:
                self._end(session, f"no request for {limits.idle_seconds:g} s")
        for play in tuple(self._parked.values()):
            if now - play.since > limits.parked_seconds:
                self._drop(self._parked.pop(play.key))

    def _end(self, session: Session, why: str) -> None:
        """End a session from this side."""
        if session.end is None:
            self.close(session, park=True)
        else:
            kept = "; reset with episode_id and resume=true continues" if session.play else ""
            session.end(RefusedError("SESSION_ERROR", f"the session ended: {why}{kept}", 408))

    async def save(self) -> None:
        """Write the episodes that have changed since the last time to the store.

        Raises:
            DataError: The store cannot be written.
        """
        if self.store is None or not (self._dirty or self._gone or self._journalled):
            return
        async with self._saving:
            dirty, gone = self._dirty, self._gone
            self._dirty, self._gone, self._journalled = {}, [], False
            kept, mark = [play.kept() for play in dirty.values()], self.store.mark()
            for play in dirty.values():
                play.saved = True
            try:
                await asyncio.to_thread(self.store.save, kept, gone, mark)
            except DataError:
                self._dirty, self._gone = dirty | self._dirty, gone + self._gone
                raise

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Save episodes and end idle sessions while the block runs; then keep all and close."""
        jobs = [asyncio.ensure_future(job) for job in (self._expire_often(), self._save_often())]
        try:
            yield
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await self.shut()

    async def _expire_often(self) -> None:
        wait = min(5.0, self.limits.idle_seconds / 4, self.limits.parked_seconds / 4)
        while True:
            await asyncio.sleep(wait)
            self.expire()

    async def _save_often(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY)
            try:
                await self.save()
                self.keeping = True
            except DataError as error:
                if self.keeping:  # once, not every second
                    _log.error("running episodes are not kept: %s", error)
                self.keeping = False

    async def drain(self) -> None:
        """Refuse new episodes and wait until the steps in progress are answered."""
        self.draining = True
        ends = time.monotonic() + self.limits.drain_seconds
        while any(one.busy for one in self._open) and time.monotonic() < ends:
            await asyncio.sleep(0.02)

    async def shut(self) -> None:
        """Keep all running episodes and close the store."""
        for session in tuple(self._open):
            self.close(session, park=True)
        self._deadlines.close()
        if self.store is not None:
            try:
                await self.save()
            finally:
                self.store.close()

    def _check_draining(self) -> None:
        if self.draining:
            raise RefusedError("SESSION_ERROR", "the server is stopping: try again later", 503, 5.0)

    def _choose(self, data: ResetData) -> tuple[str, int]:
        """Return split and number of the question that a reset asks for."""
        if data.split is not None and data.split not in self.splits:
            known = ", ".join(sorted(self.splits))
            problem = f"unknown split {data.split!r:.80} (known: {known})"
            raise RefusedError("VALIDATION_ERROR", problem, 422)
        if data.index is not None:
            split = data.split if data.split is not None else next(iter(self.splits))
            if data.split is None and len(self.splits) > 1:
                raise RefusedError("VALIDATION_ERROR", "index needs a split", 422)
            count = len(self.splits[split])
            if data.index >= count:
                problem = f"split {split!r} has the numbers 0 to {count - 1}, got {data.index}"
                raise RefusedError("VALIDATION_ERROR", problem, 422)
            return split, data.index
        among = self.parts.questions if data.split is None else self.splits[data.split]
        if data.seed is not None:
            draw = np_random(data.seed)[0].random()
        else:
            draw = np.random.default_rng([self._seed, self._begun]).random()
            self._begun += 1
        return self._numbers[among[int(draw * len(among))].id]

    def _spend(self, session: Session) -> float:
        """Count a request against the session's rate; return the monotonic time, seconds."""
        now = session.touched = time.monotonic()
        rate = self.limits.steps_per_second
        if rate is not None:
            before, then = session.spent
            used = max(0.0, before - rate * (now - then)) + 1
            over = used - max(1.0, _WINDOW * rate)
            if over > 0:
                wait = over / rate
                problem = f"a session takes at most {rate:g} steps a second: wait {wait:.1f} s"
                raise RefusedError("CAPACITY_REACHED", problem, 429, round(wait, 1))
            session.spent = (used, now)
        return now

    def _reply(  # noqa: PLR0913 - the fields of a reply
        self,
        episode: Episode,
        text: str,
        *,
        reward: float | None = None,
        done: bool = False,
        metadata: dict[str, Any] | None = None,
        messages: tuple[Any, ...] = (),
        problems: tuple[str, ...] = (),
    ) -> Reply:
        limit = self.parts.rules.max_turns
        seen = Observation(
            text=text,
            messages=messages,
            problems=problems,
            turns_left=0 if done else limit - episode.turns,
            tokens_left=episode.tokens_left,
            metadata=metadata or {},
        )
        return Reply(
            observation=seen,
            reward=reward,
            done=done,
            metadata=msgspec.UNSET if metadata is None else metadata,
        )

    def _attach(self, session: Session, play: Play) -> None:
        session.play = play
        self._playing[play.key] = session
        if self.store is not None:
            self._dirty[play.key] = play

    def _leave(self, session: Session) -> None:
        """Discard the episode of a session that goes on with another."""
        play, session.play = session.play, None
        if play is not None and not play.delivered:
            del self._playing[play.key]
            self._drop(play)

    def _park(self, play: Play) -> None:
        play.since = time.monotonic()
        self._parked[play.key] = play
        if self.store is not None:
            self._dirty[play.key] = play
        if len(self._parked) > 4 * self.limits.sessions:  # the one that waits longest
            self._drop(self._parked.pop(next(iter(self._parked))))

    def _drop(self, play: Play) -> None:
        """Forget an episode; one that has not ended is lost."""
        if not play.reply.done:
            self.metrics.abandoned += 1
        self._forget(play)

    def _forget(self, play: Play) -> None:
        play.dropped = True
        self._dirty.pop(play.key, None)
        if play.saved:
            self._gone.append(play.key)

    def _restored(self, kept: Kept) -> Play:
        episode = Episode.restore(kept.snapshot, self.parts.rules)
        play = Play(kept.client, kept.episode_id, kept.split, kept.index, episode, kept.reply)
        play.saved = True
        return play
