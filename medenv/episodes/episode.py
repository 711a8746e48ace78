"""The episode engine: the one state machine that every face of medenv drives. It does no I/O.

    episode = Episode(question, rules, seed=0)
    messages = episode.prompt()
    while True:
        calls = episode.advance(policy_text)      # parse, enforce budgets, perhaps end
        if episode.ended:
            break
        observation = episode.observe(results)    # results of exactly these calls, in this order
    trajectory = episode.trajectory()

Budgets are enforced where they bind. A turn that leaves no room for another one ends the episode
before its calls are made: nobody could read their results. Calls beyond the call budget are
refused with a note, so that the policy can still answer; one that goes on calling with none left
ends the episode. An answer counts within the budget of tokens: `Episode.tokens_left` is what the
next turn may have, for drivers to sample no more, and a longer text answers no more than it calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from medenv.dialects.base import neutralise
from medenv.episodes.calls import allowed_calls, answered, mismatch
from medenv.episodes.rules import (
    CHARS_PER_TOKEN,
    FINAL_TURN_TOKENS,
    UNLIMITED,
    Budget,
    EpisodeRules,
)
from medenv.episodes.snapshot import LastWord, Pending, Snapshot
from medenv.errors import UsageError
from medenv.records import (
    Ending,
    Message,
    Parsed,
    Question,
    ToolCall,
    ToolResult,
    Trajectory,
    Turn,
)

__all__ = ["Budget", "Episode", "EpisodeRules"]

_OVER = "your turn went beyond the token budget: the answer was not taken"


class Episode:
    """One question being researched: policy texts in, tool calls out; results in, observation out.

    Args:
        question: What is asked.
        rules: Dialect, tools and budget.
        seed: Recorded with the trajectory.

    Attributes:
        ending: Why the episode ended, or None while it runs.
        answer: The policy's answer, or None.
        failure: What failed where the ending is ``"unavailable"``, else ``""``.
    """

    __slots__ = (
        "_calls",
        "_last_word",
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
        self._last_word: LastWord = None
        self.failure, self._calls, self._tokens, self._seconds = "", 0, 0, 0.0
        self._token_limit = rules.max_tokens
        self._started = rules.clock()
        self._messages: list[Message] = []
        if rules.system:
            self._messages.append({"role": "system", "content": rules.system})
        asked = neutralise(question.text) + rules.reminder
        self._messages.append({"role": "user", "content": asked})

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
        """Whether a budget ran out before an answer."""
        return self.ending not in (None, "answered", "unavailable")

    @property
    def last_turn(self) -> Turn:
        """The turn finished last.

        Raises:
            UsageError: None is finished yet.
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
        """Most tokens that the policy may write in its next turn, or None where there is no limit.

        A driver samples no more. Of a last word after the budget ran out they are
        `medenv.episodes.rules.FINAL_TURN_TOKENS`.
        """
        limit = self._token_limit
        return None if limit == UNLIMITED else max(0, limit - self._tokens)

    def prompt(self) -> list[Message]:
        """Return the messages that come before the policy's first text."""
        return self._messages[: 2 if self.rules.system else 1]

    def advance(self, text: str, tokens: int = 0) -> tuple[ToolCall, ...]:
        """Take the policy's next text.

        Args:
            text: What the policy wrote, verbatim.
            tokens: How many tokens it wrote; 0 where nobody counted them.

        Returns:
            The calls to make, results of which `observe` awaits; empty when the episode ended.

        Raises:
            UsageError: The episode has ended, results are awaited, or the text is no string.
        """
        if self.ending is not None or self._pending is not None or not isinstance(text, str):
            raise UsageError(self._why_not_advance(text))
        if not text.isascii():  # a lone surrogate could neither be stored nor tokenised
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
        left = 0 if self._last_word else self.rules.max_calls - self._calls
        calls, problems = allowed_calls(parsed, len(self._turns), left, self.rules.json_parameters)
        self._pending = (text, parsed, calls, problems, tokens)
        return calls

    def observe(self, results: Sequence[ToolResult]) -> str:
        """Take the results of the calls that `advance` returned.

        Args:
            results: One for each call, in the order of the calls; one of status ``"unavailable"``
                is no observation: it ends the episode as `fail` does.

        Returns:
            What the policy sees next, or ``""`` when the episode ended.

        Raises:
            UsageError: Nothing is awaited, or the results are not those of the calls.
        """
        if self._pending is None:
            raise UsageError("observe needs the calls of an advance before it; none are awaited")
        _, _, calls, problems, _ = self._pending
        if not answered(calls, results):
            raise UsageError(mismatch(calls, results))
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
        notice = self.rules.notice(len(self._turns) + 1, made, self._last_word)
        observation = self.rules.dialect.observation(results, problems, notice)
        self._calls = made  # nothing is changed before here, should the dialect raise
        self._messages.append({"role": "tool", "content": observation})
        self._close(tuple(results), observation)
        return observation

    def fail(self, reason: str) -> None:
        """End the episode because something outside it failed; it will have no score.

        Args:
            reason: What failed.

        Raises:
            UsageError: The episode has ended.
        """
        self._interrupt()
        self.failure = reason
        self._end("unavailable")

    def exhaust(self, budget: Literal["turns", "calls", "tokens", "seconds"]) -> None:
        """End the episode because a budget ran out that only the driver can see.

        Such is a context window without room for the last observation, which was then not shown.

        Args:
            budget: What ran out.

        Raises:
            UsageError: The episode has ended.
        """
        if not self._interrupt() and self._turns:
            self._messages.pop()
            self._turns[-1] = msgspec.structs.replace(self._turns[-1], observation="")
        self._end(budget)

    def retract(self) -> None:
        """Take back the last `advance`, as if its text had never been written.

        For drivers that met an infrastructure failure in its calls and will make the step again.

        Raises:
            UsageError: No results are awaited.
        """
        if self._pending is None:
            raise UsageError("nothing to retract: no results are awaited")
        self._messages.pop()
        self._tokens, self._pending = self._tokens - self._pending[4], None
        self._last_word = None  # granted by this very text, if it was
        self._token_limit = self.rules.max_tokens

    def trajectory(self) -> Trajectory:
        """Return the episode so far; turns whose results are awaited are not in it."""
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
        """Return the episode as it is now; what has been recorded is shared, not copied."""
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
            final_turn=self._last_word,
        )

    @classmethod
    def restore(cls, snapshot: Snapshot, rules: EpisodeRules) -> Episode:
        """Return an episode that goes on from a snapshot, independent of every other one.

        Args:
            snapshot: What `snapshot` gave.
            rules: Those by which it was played.

        Raises:
            UsageError: It was played by other rules.
        """
        if snapshot.config_hash != rules.config_hash:
            raise UsageError(
                f"the snapshot was taken under the settings {snapshot.config_hash}, these are "
                f"{rules.config_hash}: restore it under its own"
            )
        episode = cls(snapshot.question, rules, snapshot.seed)
        episode._messages, episode._turns = list(snapshot.messages), list(snapshot.turns)
        episode._pending, episode._calls = snapshot.pending, snapshot.calls
        episode._tokens, episode._seconds = snapshot.tokens, snapshot.seconds
        episode._started -= snapshot.seconds
        episode.ending, episode.answer = snapshot.ending, snapshot.answer
        episode.failure, episode._last_word = snapshot.failure, snapshot.final_turn
        if snapshot.final_turn == "tokens":
            episode._token_limit = snapshot.tokens + FINAL_TURN_TOKENS
        return episode

    def __reduce__(self) -> Any:
        """Pickle as a snapshot, so that the time until it is unpickled does not count."""
        return Episode.restore, (self.snapshot(), self.rules)

    def _elapsed(self) -> float:
        return self._seconds if self.ended else self.rules.clock() - self._started

    def _exhausted(self, parsed: Parsed) -> Ending | None:
        """Return the budget that leaves no room for another turn, if one does."""
        if len(self._turns) + 1 >= self.rules.max_turns:
            return "turns"
        if self._last_word:
            return self._last_word
        if self._tokens >= self.rules.max_tokens:
            return None if self._grant("tokens") else "tokens"
        if self._calls >= self.rules.max_calls and parsed.calls:
            return "calls"
        return "seconds" if self._late() and not self._grant("seconds") else None

    def _grant(self, budget: Literal["tokens", "seconds"]) -> bool:
        """Return whether the policy has a last word although this budget ran out; note it."""
        if self.rules.budget.final_turn and self._last_word is None:
            self._last_word = budget
            if budget == "tokens":
                self._token_limit = self._tokens + FINAL_TURN_TOKENS
        return self._last_word is not None

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
