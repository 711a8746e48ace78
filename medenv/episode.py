"""The episode engine: the one state machine that every face of medenv drives. It does no I/O.

    episode = rules.start(question, seed=0)
    messages = episode.prompt()
    while True:
        calls = episode.advance(policy_text)      # parse, enforce budgets, perhaps end
        if episode.ended:
            break
        observation = episode.observe(results)    # results of exactly these calls, in this order
    trajectory = episode.trajectory()

Budgets are enforced where they bind. A turn that leaves no room for another one ends the episode
before its calls are made: nobody could read their results. Calls beyond the call budget are
refused with a note, so that the policy can still answer; a policy that goes on calling with no
calls left ends the episode. An answer always counts, since it was sampled within the budget.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from medenv.dialects.base import Dialect, PromptStyle, neutralise
from medenv.errors import UsageError
from medenv.records import (
    Ending,
    Message,
    Parsed,
    Question,
    Record,
    ToolCall,
    ToolResult,
    ToolSpec,
    Trajectory,
    Turn,
)

_UNLIMITED = sys.maxsize
_LAST_TURN = "This is your last turn: answer now."
_NO_CALLS = "No tool calls are left: answer now."


class Budget(Record, frozen=True, kw_only=True):
    """What one episode may use up; None is no limit.

    Args:
        turns: Texts that the policy may write, at least 1.
        calls: Tool calls that are made.
        tokens: Tokens that the policy may write in all turns together.
        seconds: Wall-clock time from start to the last result.

    Raises:
        UsageError: A limit below its least value.
    """

    turns: int = 8
    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Check the limits."""
        for name, least in (("turns", 1), ("calls", 0), ("tokens", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"budget {name} must be at least {least}, got {value}")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"budget seconds must be more than 0, got {self.seconds}")


class EpisodeRules:
    """What all episodes of one environment share; starts them.

    Args:
        dialect: How the policy writes.
        tools: What it may call.
        budget: What it may use up.
        prompt_style: How much the system message explains.
        env_id: Versioned id of the environment.
        options: Further settings that can change a score, for the settings' hash.
    """

    __slots__ = (
        "budget",
        "clock",
        "config_hash",
        "dialect",
        "env_id",
        "max_calls",
        "max_tokens",
        "system",
        "tools",
    )

    def __init__(
        self,
        dialect: Dialect,
        tools: Sequence[ToolSpec],
        budget: Budget | None = None,
        prompt_style: PromptStyle = "full",
        env_id: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.dialect = dialect
        self.tools = tuple(tools)
        self.budget = budget or Budget()
        self.env_id = env_id
        self.clock: Callable[[], float] = time.monotonic
        self.system = dialect.system_prompt(self.tools, prompt_style)
        self.max_calls = _UNLIMITED if self.budget.calls is None else self.budget.calls
        self.max_tokens = _UNLIMITED if self.budget.tokens is None else self.budget.tokens
        settings = {
            "budget": self.budget,
            "dialect": dialect.name,
            "env_id": env_id,
            "options": dict(options or {}),
            "prompt": self.system,
            "tools": self.tools,
        }
        encoded = msgspec.json.encode(settings, order="deterministic")
        self.config_hash = hashlib.sha256(encoded).hexdigest()[:16]

    def start(self, question: Question, seed: int = 0) -> Episode:
        """Return a new episode of the question."""
        return Episode(question, self, seed)


class _Pending(NamedTuple):
    """A turn whose results are awaited."""

    text: str
    parsed: Parsed
    calls: tuple[ToolCall, ...]
    problems: tuple[str, ...]
    tokens: int


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
        "_messages",
        "_parse",
        "_pending",
        "_seconds",
        "_started",
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
        self.failure = ""
        self._parse = rules.dialect.parse
        self._turns: list[Turn] = []
        self._pending: _Pending | None = None
        self._calls = self._tokens = 0
        self._seconds = 0.0
        self._started = rules.clock()
        self._messages: list[Message] = []
        if rules.system:
            self._messages.append({"role": "system", "content": rules.system})
        self._messages.append({"role": "user", "content": neutralise(question.text)})

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

    def prompt(self) -> list[Message]:
        """Return the messages that come before the policy's first text."""
        return self._messages[: 2 if self.rules.system else 1]

    def advance(self, text: str, tokens: int = 0) -> tuple[ToolCall, ...]:
        """Take the policy's next text.

        Args:
            text: What the policy wrote, verbatim.
            tokens: How many tokens it wrote, where known.

        Returns:
            The calls to make, results of which `observe` awaits; empty when the episode ended.

        Raises:
            UsageError: The episode has ended, or results of the last calls are awaited.
        """
        if self.ending is not None or self._pending is not None:
            raise UsageError(self._why_not_advance())
        if not text.isascii():  # a lone surrogate could neither be stored nor tokenised
            text = text.encode("utf-8", "replace").decode()
        parsed = self._parse(text)
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
        calls, problems = self._allowed(parsed)
        self._pending = _Pending(text, parsed, calls, problems, tokens)
        return calls

    def observe(self, results: Sequence[ToolResult]) -> str:
        """Take the results of the calls that `advance` returned.

        A result of status ``"unavailable"`` is no observation: it ends the episode as `fail` does.

        Args:
            results: One for each call, in the order of the calls.

        Returns:
            What the policy sees next, or ``""`` when the episode ended.

        Raises:
            UsageError: Nothing is awaited, or the results are not those of the calls.
        """
        pending = self._pending
        if pending is None:
            raise UsageError("observe needs the calls of an advance before it; none are awaited")
        self._check(pending.calls, results)
        for result in results:
            if result.status == "unavailable":
                self.fail(f"tool {result.tool!r}: {result.text}")
                return ""
        seconds = self.rules.budget.seconds
        late = seconds is not None and self.rules.clock() - self._started >= seconds
        observation = ""
        if not late:
            observation = self.rules.dialect.observation(
                results, pending.problems, self._notice(len(pending.calls))
            )
            self._messages.append({"role": "tool", "content": observation})
        self._calls += len(pending.calls)
        self._close(pending, tuple(results), observation)
        if late:
            self._end("seconds")
        return observation

    def fail(self, reason: str) -> None:
        """End the episode because something outside it failed; it will have no score.

        Args:
            reason: What failed.

        Raises:
            UsageError: The episode has ended.
        """
        if self.ending is not None:
            raise UsageError(self._why_not_advance())
        if self._pending is not None:
            self._close(self._pending, (), "")
        self.failure = reason
        self._end("unavailable")

    def retract(self) -> None:
        """Take back the last `advance`, as if its text had never been written.

        For drivers that met an infrastructure failure while making its calls and want to make the
        same step again.

        Raises:
            UsageError: No results are awaited.
        """
        if self._pending is None:
            raise UsageError("nothing to retract: no results are awaited")
        self._messages.pop()
        self._tokens -= self._pending.tokens
        self._pending = None

    def trajectory(self) -> Trajectory:
        """Return the episode so far; turns whose results are awaited are not in it."""
        rules = self.rules
        running = self.ending is None
        return Trajectory(
            question=self.question,
            turns=tuple(self._turns),
            ending=self.ending,
            answer=self.answer,
            env_id=rules.env_id,
            dialect=rules.dialect.name,
            seed=self.seed,
            config_hash=rules.config_hash,
            seconds=rules.clock() - self._started if running else self._seconds,
        )

    def _exhausted(self, parsed: Parsed) -> Ending | None:
        """Return the budget that leaves no room for another turn, if one does."""
        rules = self.rules
        if len(self._turns) + 1 >= rules.budget.turns:
            return "turns"
        if self._tokens >= rules.max_tokens:
            return "tokens"
        if parsed.calls and self._calls >= rules.max_calls:
            return "calls"
        seconds = rules.budget.seconds
        if seconds is not None and rules.clock() - self._started >= seconds:
            return "seconds"
        return None

    def _allowed(self, parsed: Parsed) -> tuple[tuple[ToolCall, ...], tuple[str, ...]]:
        """Number the calls that the budget allows, and note the ones that it does not."""
        turn = len(self._turns)
        calls = tuple(
            [
                ToolCall(id=f"{turn}.{number}", name=name, arguments=arguments)
                for number, (name, arguments) in enumerate(parsed.calls)
            ]
        )
        left = self.rules.max_calls - self._calls
        if len(calls) <= left:
            return calls, parsed.problems
        refused = f"the last {len(calls) - left} of your calls were not made: the budget is used up"
        return calls[:left], (*parsed.problems, refused)

    def _notice(self, made: int) -> str:
        """Return the line that warns of the budget's end, where it is near."""
        if len(self._turns) + 2 >= self.rules.budget.turns:
            return _LAST_TURN
        if self._calls + made >= self.rules.max_calls:
            return _NO_CALLS
        return ""

    def _close(self, pending: _Pending, results: tuple[ToolResult, ...], observation: str) -> None:
        self._turns.append(
            Turn(
                text=pending.text,
                parsed=pending.parsed,
                calls=pending.calls,
                results=results,
                observation=observation,
                tokens=pending.tokens,
            )
        )
        self._pending = None

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        self._seconds = self.rules.clock() - self._started

    @staticmethod
    def _check(calls: tuple[ToolCall, ...], results: Sequence[ToolResult]) -> None:
        if len(calls) == len(results):
            for call, result in zip(calls, results, strict=True):
                if call.id != result.call_id:
                    break
            else:
                return
        raise UsageError(
            f"observe expects the results of calls {[call.id for call in calls]} in this order, "
            f"got results of {[result.call_id for result in results]}"
        )

    def _why_not_advance(self) -> str:
        if self.ending is not None:
            return f"the episode has ended ({self.ending}): start a new one"
        return "the last turn is not finished: give the results of its calls to observe"
