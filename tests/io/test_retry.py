"""Retries: how often, after which waits, and what ends them."""

from __future__ import annotations

import asyncio

import pytest

from medenv.errors import ToolUnavailableError, UsageError
from medenv.io import RetryPolicy, Waits, aretrying, retrying


class RefusedError(ToolUnavailableError):
    transient = False


class BusyError(ToolUnavailableError):
    after = 7.0


class Failing:
    def __init__(self, *errors: Exception) -> None:
        self.errors, self.tries = list(errors), 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def later(self) -> str:
        return self()


def both_ways(
    failing: Failing, waits: Waits, asynchronous: bool
) -> tuple[str | Exception, list[float]]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    try:
        if asynchronous:
            return asyncio.run(aretrying(failing.later, waits, ToolUnavailableError, sleep)), slept
        return retrying(failing, waits, ToolUnavailableError, slept.append), slept
    except Exception as error:
        return error, slept


POLICY = RetryPolicy(attempts=6, backoff=0.5, longest_wait=3.0)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("errors", "ended", "slept"),
    [
        ([], str, []),
        ([ToolUnavailableError()] * 5, str, [0.5, 1.0, 2.0, 3.0, 3.0]),
        ([ToolUnavailableError()] * 6, ToolUnavailableError, [0.5, 1.0, 2.0, 3.0, 3.0]),
        ([BusyError()], str, [3.0]),
        ([ToolUnavailableError(), RefusedError()], RefusedError, [0.5]),
        ([KeyError()], KeyError, []),
    ],
)
def test_waits_grow_until_no_try_is_left(
    asynchronous: bool, errors: list[Exception], ended: type, slept: list[float]
) -> None:
    failing = Failing(*errors)
    outcome, waited = both_ways(failing, Waits(POLICY), asynchronous)
    assert type(outcome) is ended
    assert waited == slept
    assert failing.tries == len(slept) + 1


def test_jitter_stays_within_its_share_and_time_ends_the_tries() -> None:
    policy = RetryPolicy(attempts=2, backoff=1.0)
    waits = [Waits(policy, jitter=0.25).before_next(ToolUnavailableError()) for _ in range(50)]
    assert all(wait is not None and 0.75 <= wait <= 1.25 for wait in waits)
    assert len(set(waits)) > 1
    endless = RetryPolicy(attempts=10**9, backoff=0.0)
    assert Waits(endless, seconds=60.0).before_next(ToolUnavailableError()) == 0.0
    assert Waits(endless, seconds=-1.0).before_next(ToolUnavailableError()) is None


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"backoff": -1.0}, {"longest_wait": -1.0}, {"timeout": 0.0}]
)
def test_impossible_retries_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # from a table
