"""Retries: what may fail for reasons outside is tried again, with growing waits."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from medenv.errors import UsageError
from medenv.records import Record

T = TypeVar("T")
Failures = type[Exception] | tuple[type[Exception], ...]


class RetryPolicy(Record, frozen=True, kw_only=True):
    """How often something is tried, and how long it may take.

    Args:
        attempts: Tries in all, at least 1.
        backoff: Wait before the second try, seconds; doubled before each further one.
        longest_wait: No wait is longer, seconds.
        timeout: Longest time of one try, seconds.

    Raises:
        UsageError: A value out of range.
    """

    attempts: int = 3
    backoff: float = 0.5
    longest_wait: float = 30.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        """Validate the values."""
        if self.attempts < 1 or min(self.backoff, self.longest_wait) < 0 or not self.timeout > 0:
            raise UsageError(
                "retries need attempts >= 1, backoff >= 0, longest_wait >= 0 and timeout > 0, got "
                f"{self.attempts}, {self.backoff}, {self.longest_wait} and {self.timeout}"
            )


class Waits:
    """The waits between the tries of one call.

    Args:
        policy: How often it is tried.
        jitter: Share by which each wait is longer or shorter at random, so that clients do not
            come back together.
        seconds: No further try begins later than that after the first.
    """

    def __init__(self, policy: RetryPolicy, jitter: float = 0.0, seconds: float = math.inf) -> None:
        self._policy, self._jitter, self._tried = policy, jitter, 0
        self._end = time.monotonic() + seconds

    def before_next(self, error: Exception) -> float | None:
        """Return how long to wait before the next try, or None where there is none.

        Args:
            error: The error of the latest try. Its attributes `transient` and `after`, if present,
                say whether a retry may succeed, and how many seconds the server asks to wait.
        """
        policy = self._policy
        self._tried += 1
        if self._tried >= policy.attempts or not getattr(error, "transient", True):
            return None
        # Doubled 60 times at most, since a float has an end.
        wait = policy.backoff * 2.0 ** min(self._tried - 1, 60)
        if self._jitter:
            wait *= random.Random().uniform(1.0 - self._jitter, 1.0 + self._jitter)
        wait = min(max(wait, getattr(error, "after", 0.0)), policy.longest_wait)
        return None if time.monotonic() + wait > self._end else wait


def retrying(
    attempt: Callable[[], T],
    waits: Waits,
    failures: Failures,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Return what an attempt returns, made again after each failure until no try is left.

    Args:
        attempt: What is tried.
        waits: The waits between the tries.
        failures: The exceptions after which it is tried again.
        sleep: Waits, in seconds; for tests and counts.

    Raises:
        Exception: The failure of the last try, or what else an attempt raised.
    """
    while True:
        try:
            return attempt()
        except failures as error:
            wait = waits.before_next(error)
            if wait is None:
                raise
        sleep(wait)


async def aretrying(
    attempt: Callable[[], Awaitable[T]],
    waits: Waits,
    failures: Failures,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Do what `retrying` does, without blocking the event loop."""
    while True:
        try:
            return await attempt()
        except failures as error:
            wait = waits.before_next(error)
            if wait is None:
                raise
        await sleep(wait)
