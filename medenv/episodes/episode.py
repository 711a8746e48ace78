"""The episode engine, a state machine without I/O.

    episode = Episode(question, rules, seed=0)
    messages = episode.prompt()
    while True:
        calls = episode.advance(policy_text)      # parse, enforce budgets, perhaps end
        if episode.ended:
            break
        observation = episode.observe(results)    # results of exactly these calls, in this order
    trajectory = episode.trajectory()

If a turn exhausts a budget, the episode ends before the turn's calls are made, since the policy
could not read their results. Calls beyond the call budget are rejected with a note, so that the
policy can still answer; a further turn with calls ends the episode. An answer beyond the token
budget is rejected: drivers must sample at most `Episode.tokens_left` tokens in the next turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from medenv.dialects.base import decode_arguments, neutralise
from medenv.episodes.rules import (
    CHARS_PER_TOKEN,
    FINAL_TURN_TOKENS,
    UNLIMITED,
    Budget,
    EpisodeRules,
)
from medenv.errors import UsageError
from medenv.records import (
    Ending,
    Message,
    Parsed,
    Question,
    Record,
    ToolCall,
    ToolResult,
    Trajectory,
    Turn,
)

__all__ = ["Budget", "Episode", "EpisodeRules", "Snapshot"]

MAX_CALLS = 64
"""Maximum number of calls per turn, whatever the budget."""

_OVER = "your turn went beyond the token budget: the answer was not taken"

Pending = tuple[str, Parsed, tuple[ToolCall, ...], tuple[str, ...], int]
"""A turn that awaits its results: text, parsed text, calls, problems, tokens."""


class Snapshot(Record, frozen=True, kw_only=True):
    """State of an episode without its rules; can be stored as JSON and restored repeatedly.

    Args:
        question: The question.
        seed: Seed of the episode.
        config_hash: Hash of the episode's rules.
        messages: The conversation so far.
        turns: The finished turns.
        pending: The turn that awaits its results, or None.
        calls: Number of tool calls made.
        tokens: Number of tokens that the policy wrote.
        seconds: Elapsed wall-clock time.
        ending: Reason for the end, or None while the episode runs.
        answer: The policy's answer, or None.
        failure: Description of the failure, or ``""``.
        final_turn: The exhausted budget after which a final turn was granted, or None.
    """

    question: Question
    seed: int
    config_hash: str
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    pending: Pending | None
    calls: int
    tokens: int
    seconds: float
    ending: Ending | None
    answer: str | None
    failure: str
    final_turn: Literal["tokens", "seconds"] | None = None


class Episode:
    """An episode: takes the policy's texts and tool results, returns tool calls and observations.

    Args:
        question: The question.
        rules: Dialect, tools and budget.
        seed: Seed to record with the trajectory.

    Attributes:
        ending: Reason for the end, or None while the episode runs.
        answer: The policy's answer, or None.
        failure: Description of the failure if the ending is ``"unavailable"``, else ``""``.
    """

    __slots__ = (
        "_calls",
        "_final_turn",
        "_messages",
        "_parse",
        "_pending",
        "_seconds",
        "_started",
        "_token_limit",
        "_tokens",
        "_turns",
        "answer",
        "ending",
        "failure",
        "question",
        "rules",
        "seed",
    )

    def __init__(self, question: Question, rules: EpisodeRules, seed: int = 0) -> None:
        self.question, self.rules, self.seed = question, rules, seed
        self.ending: Ending | None = None
        self.answer: str | None = None
        self._parse = rules.dialect.parse
        self._turns: list[Turn] = []
        self._pending: Pending | None = None
        self._final_turn: Literal["tokens", "seconds"] | None = None
        self.failure, self._calls, self._tokens, self._seconds = "", 0, 0, 0.0
        self._token_limit = rules.max_tokens
        self._started = rules.clock()
        self._messages: list[Message] = []
        if rules.system:
            self._messages.append({"role": "system", "content": rules.system})
        prompt = neutralise(question.text) + rules.reminder
        self._messages.append({"role": "user", "content": prompt})

    @property
    def ended(self) -> bool:
        """Whether the episode is over."""
        return self.ending is not None

    @property
    def terminated(self) -> bool:
        """Whether the policy answered."""
        return self.ending == "answered"

    @property
    def truncated(self) -> bool:
        """Whether a budget was exhausted before an answer."""
        return self.ending not in (None, "answered", "unavailable")

    @property
    def awaits_results(self) -> bool:
        """Whether `advance` returned calls whose results are not here yet."""
        return self._pending is not None

    @property
    def turns(self) -> int:
        """Number of finished turns."""
        return len(self._turns)

    @property
    def last_turn(self) -> Turn:
        """The last finished turn.

        Raises:
            UsageError: No turn is finished.
        """
        if not self._turns:
            raise UsageError("no turn is finished yet")
        return self._turns[-1]

    @property
    def messages(self) -> list[Message]:
        """The whole conversation so far."""
        return list(self._messages)

    @property
    def tokens_left(self) -> int | None:
        """Maximum number of tokens of the policy's next turn, or None without a limit.

        In a final turn after an exhausted token budget this is
        `medenv.episodes.rules.FINAL_TURN_TOKENS`.
        """
        limit = self._token_limit
        return None if limit == UNLIMITED else max(0, limit - self._tokens)

    def prompt(self) -> list[Message]:
        """Return the messages before the policy's first text."""
        return self._messages[: 2 if self.rules.system else 1]

    def advance(self, text: str, tokens: int = 0) -> tuple[ToolCall, ...]:
        """Process the policy's next text.

        Args:
            text: The text, verbatim.
            tokens: Number of tokens of the text; 0 if unknown.

        Returns:
            The calls to make, whose results must be passed to `observe`; empty if the episode
            ended.

        Raises:
            UsageError: The episode has ended, results are pending, or the text is not a string.
        """
        if self.ending is not None or self._pending is not None or not isinstance(text, str):
            raise UsageError(self._why_not_advance(text))
        if not text.isascii():  # lone surrogates cannot be stored or tokenised
            text = text.encode("utf-8", "replace").decode()
        parsed = self._parse(text)
        if self._token_limit != UNLIMITED:
            tokens = tokens or -(-len(text) // CHARS_PER_TOKEN)
            if parsed.answer is not None and self._tokens + tokens > self._token_limit:
                problems = (*parsed.problems, _OVER)
                parsed = msgspec.structs.replace(parsed, answer=None, problems=problems)
        self._tokens += tokens
        self._messages.append({"role": "assistant", "content": text})
        if parsed.answer is not None:
            self.answer = parsed.answer
            ending: Ending | None = "answered"
        else:
            ending = self._exhausted(parsed)
        if ending is not None:
            self._turns.append(Turn(text=text, parsed=parsed, tokens=tokens))
            self._end(ending)
            return ()
        left = 0 if self._final_turn else self.rules.max_calls - self._calls
        calls, problems = self._allowed_calls(parsed, left)
        self._pending = (text, parsed, calls, problems, tokens)
        return calls

    def observe(self, results: Sequence[ToolResult]) -> str:
        """Process the results of the calls that `advance` returned.

        Args:
            results: One result per call, in the order of the calls. A result of status
                ``"unavailable"`` ends the episode like `fail`.

        Returns:
            The next observation, or ``""`` if the episode ended.

        Raises:
            UsageError: No calls are pending, or the results do not match the calls.
        """
        if self._pending is None:
            raise UsageError("observe needs pending calls: call advance first")
        _, _, calls, problems, _ = self._pending
        expected = [call.id for call in calls]
        received = [result.call_id for result in results]
        if received != expected:
            raise UsageError(
                f"observe expects the results of calls {expected} in this order, got results of "
                f"{received}"
            )
        for result in results:
            if result.status == "unavailable":
                self.fail(f"tool {result.tool!r}: {result.text}")
                return ""
        made = self._calls + len(calls)
        if self._late() and not self._grant("seconds"):
            self._calls = made
            self._close(tuple(results), "")
            self._end("seconds")
            return ""
        notice = self.rules.notice(len(self._turns) + 1, made, self._final_turn)
        observation = self.rules.dialect.observation(results, problems, notice)
        self._calls = made  # the state is unchanged if the dialect raises
        self._messages.append({"role": "tool", "content": observation})
        self._close(tuple(results), observation)
        return observation

    def fail(self, reason: str) -> None:
        """End the episode because of an external failure; it will have no score.

        Args:
            reason: Description of the failure.

        Raises:
            UsageError: The episode has ended.
        """
        self._interrupt()
        self.failure = reason
        self._end("unavailable")

    def exhaust(self, budget: Literal["turns", "calls", "tokens", "seconds"]) -> None:
        """End the episode because of an exhausted budget that only the driver can measure.

        An example is a context window without room for the last observation, which the policy then
        did not see.

        Args:
            budget: The exhausted budget.

        Raises:
            UsageError: The episode has ended.
        """
        if not self._interrupt() and self._turns:
            self._messages.pop()
            self._turns[-1] = msgspec.structs.replace(self._turns[-1], observation="")
        self._end(budget)

    def retract(self) -> None:
        """Undo the last `advance`.

        For drivers that repeat a step after an infrastructure failure in its calls.

        Raises:
            UsageError: No results are pending.
        """
        if self._pending is None:
            raise UsageError("nothing to retract: no results are pending")
        self._messages.pop()
        self._tokens, self._pending = self._tokens - self._pending[4], None
        self._final_turn = None  # only the retracted text can have granted it
        self._token_limit = self.rules.max_tokens

    def trajectory(self) -> Trajectory:
        """Return the episode so far, without a turn that awaits its results."""
        return Trajectory(
            question=self.question,
            turns=tuple(self._turns),
            ending=self.ending,
            answer=self.answer,
            env_id=self.rules.env_id,
            dialect=self.rules.dialect.name,
            seed=self.seed,
            config_hash=self.rules.config_hash,
            seconds=self._elapsed(),
            failure=self.failure,
        )

    def snapshot(self) -> Snapshot:
        """Return the present state; recorded turns are shared, not copied."""
        return Snapshot(
            question=self.question,
            seed=self.seed,
            config_hash=self.rules.config_hash,
            messages=tuple(self._messages),
            turns=tuple(self._turns),
            pending=self._pending,
            calls=self._calls,
            tokens=self._tokens,
            seconds=self._elapsed(),
            ending=self.ending,
            answer=self.answer,
            failure=self.failure,
            final_turn=self._final_turn,
        )

    @classmethod
    def restore(cls, snapshot: Snapshot, rules: EpisodeRules) -> Episode:
        """Return an independent episode that continues from a snapshot.

        Args:
            snapshot: A snapshot of `snapshot`.
            rules: The rules of the original episode.

        Raises:
            UsageError: The snapshot has other rules.
        """
        if snapshot.config_hash != rules.config_hash:
            raise UsageError(
                f"the snapshot has the settings {snapshot.config_hash}, got "
                f"{rules.config_hash}: restore it with its own settings"
            )
        episode = cls(snapshot.question, rules, snapshot.seed)
        episode._messages, episode._turns = list(snapshot.messages), list(snapshot.turns)
        episode._pending, episode._calls = snapshot.pending, snapshot.calls
        episode._tokens, episode._seconds = snapshot.tokens, snapshot.seconds
        episode._started -= snapshot.seconds
        episode.ending, episode.answer = snapshot.ending, snapshot.answer
        episode.failure, episode._final_turn = snapshot.failure, snapshot.final_turn
        if snapshot.final_turn == "tokens":
            episode._token_limit = snapshot.tokens + FINAL_TURN_TOKENS
        return episode

    def __reduce__(self) -> Any:
        """Pickle as a snapshot, so that the time until unpickling does not count."""
        return Episode.restore, (self.snapshot(), self.rules)

    def _elapsed(self) -> float:
        return self._seconds if self.ended else self.rules.clock() - self._started

    def _allowed_calls(
        self, parsed: Parsed, left: int
    ) -> tuple[tuple[ToolCall, ...], tuple[str, ...]]:
        """Return the calls that the budget allows and all problems of the turn."""
        turn, schemas, requested = len(self._turns), self.rules.json_parameters, parsed.calls
        if len(requested) == 1 and left > 0:  # the most frequent case
            ((name, arguments),) = requested
            if name in schemas:
                arguments = decode_arguments(arguments, schemas[name])
            return (ToolCall(id=f"{turn}.0", name=name, arguments=arguments),), parsed.problems
        calls = tuple(
            [
                ToolCall(
                    id=f"{turn}.{number}",
                    name=name,
                    arguments=decode_arguments(arguments, schemas.get(name, {})),
                )
                for number, (name, arguments) in enumerate(requested)
            ]
        )
        limit = min(left, MAX_CALLS)
        if len(calls) <= limit:
            return calls, parsed.problems
        why = "the budget is used up" if limit == left else f"a turn makes at most {MAX_CALLS}"
        refused = f"the last {len(calls) - limit} of your calls were not made: {why}"
        return calls[:limit], (*parsed.problems, refused)

    def _exhausted(self, parsed: Parsed) -> Ending | None:
        """Return the budget that allows no further turn, or None."""
        if len(self._turns) + 1 >= self.rules.max_turns:
            return "turns"
        if self._final_turn:
            return self._final_turn
        if self._tokens >= self.rules.max_tokens:
            return None if self._grant("tokens") else "tokens"
        if self._calls >= self.rules.max_calls and parsed.calls:
            return "calls"
        return "seconds" if self._late() and not self._grant("seconds") else None

    def _grant(self, budget: Literal["tokens", "seconds"]) -> bool:
        """Grant a final turn after an exhausted budget if the rules allow one."""
        if self.rules.budget.final_turn and self._final_turn is None:
            self._final_turn = budget
            if budget == "tokens":
                self._token_limit = self._tokens + FINAL_TURN_TOKENS
        return self._final_turn is not None

    def _late(self) -> bool:
        seconds = self.rules.max_seconds
        return seconds is not None and self.rules.clock() - self._started >= seconds

    def _interrupt(self) -> bool:
        """Record the pending turn without results; return whether there was one."""
        if self.ending is not None:
            raise UsageError(self._why_not_advance())
        pending = self._pending is not None
        self._close((), "")
        return pending

    def _close(self, results: tuple[ToolResult, ...], observation: str) -> None:
        """Record the pending turn."""
        if self._pending is not None:
            (text, parsed, calls, _, tokens), self._pending = self._pending, None
            self._turns.append(
                Turn(
                    text=text,
                    parsed=parsed,
                    calls=calls,
                    results=results,
                    observation=observation,
                    tokens=tokens,
                )
            )

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        self._seconds = self.rules.clock() - self._started

    def _why_not_advance(self, text: object = "") -> str:
        if self._pending is not None:
            return "the last turn is not finished: give the results of its calls to observe"
        ended = f"the episode has ended ({self.ending}): start a new one"
        return ended if self.ending else f"an action is a string, got {type(text).__name__}"
