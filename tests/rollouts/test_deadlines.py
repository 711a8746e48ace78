"""Many waits under one timer end as each would under a timer of its own."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from medenv.rollouts.deadlines import Deadlines

LIMIT = 0.05
Bounded = Callable[[], AbstractAsyncContextManager[object]]


class Unhurried(asyncio.SelectorEventLoop):
    """Has a clock that goes on only where everybody waits: a busy machine changes nothing."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]  # of BaseEventLoop
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]  # likewise
        super()._run_once()  # type: ignore[misc]  # likewise


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        with asyncio.Runner(loop_factory=Unhurried) as runner:
            runner.run(test())

    return run


class Counting(asyncio.SelectorEventLoop):
    """Counts the timers that are set."""

    timers = 0

    def call_at(self, *args: Any, **settings: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*args, **settings)


def ours(limits: Deadlines) -> Bounded:
    @asynccontextmanager
    async def bounded() -> AsyncIterator[None]:
        with limits.deadline():
            yield

    return bounded


def theirs() -> AbstractAsyncContextManager[object]:
    return asyncio.timeout(LIMIT)


async def outcome(bounded: Bounded, wait: float, cancel_after: float | None) -> str:
    """What becomes of a wait within a limit, perhaps cancelled from outside."""

    async def waiting() -> str:
        try:
            async with bounded():
                await asyncio.sleep(wait)
        except TimeoutError:
            return "late"
        return "done"

    task = asyncio.create_task(waiting())
    if cancel_after is not None:
        await asyncio.sleep(cancel_after)
        task.cancel()
    try:
        said = await task
    except asyncio.CancelledError:
        said = "cancelled"
    return f"{said}, {task.cancelling()} cancellations open"


@in_a_loop
async def test_waits_end_as_under_timers_of_their_own() -> None:
    cases = [(wait, after) for wait in (0.0, 0.01, 0.2, 0.3) for after in (None, 0.0, 0.03, 0.1)]
    limits = Deadlines(LIMIT)
    under_one = await asyncio.gather(*(outcome(ours(limits), *case) for case in cases))
    under_own = await asyncio.gather(*(outcome(theirs, *case) for case in cases))
    assert under_one == under_own
    assert {said.split(",")[0] for said in under_one} == {"done", "late", "cancelled"}


@in_a_loop
async def test_a_wait_begun_later_has_its_whole_time() -> None:
    loop, limits = asyncio.get_running_loop(), Deadlines(LIMIT)

    async def late_after(pause: float) -> float:
        await asyncio.sleep(pause)
        begun = loop.time()
        with pytest.raises(TimeoutError):
            async with ours(limits)():
                await asyncio.sleep(10)
        return loop.time() - begun

    taken = await asyncio.gather(*(late_after(pause) for pause in (0.0, 0.02, 0.04, 0.12)))
    assert min(taken) >= LIMIT - 0.001  # the clock of the loop is no finer


@in_a_loop
async def test_a_limit_within_a_limit_ends_alone() -> None:
    limits, went_on = Deadlines(LIMIT), []

    async def waits_within_waits() -> None:
        with limits.deadline():
            with pytest.raises(TimeoutError), Deadlines(LIMIT / 5).deadline():
                await asyncio.sleep(10)
            with limits.deadline():
                went_on.append(True)
                await asyncio.sleep(10)

    task = asyncio.create_task(waits_within_waits())
    with pytest.raises(TimeoutError):
        await task
    assert went_on == [True]


@in_a_loop
async def test_a_deadline_that_is_entered_again_begins_anew() -> None:
    limit, task = Deadlines(LIMIT).deadline(), asyncio.current_task()
    for _ in range(3):
        with pytest.raises(TimeoutError), limit:
            await asyncio.sleep(10)
        with limit:
            await asyncio.sleep(LIMIT / 5)
    assert task is not None
    assert task.cancelling() == 0


@in_a_loop
async def test_an_error_of_what_is_awaited_is_not_hidden() -> None:
    limits = Deadlines(LIMIT)
    with pytest.raises(ZeroDivisionError), limits.deadline():
        raise ZeroDivisionError
    limits.close()


def test_thousands_of_short_waits_need_one_timer() -> None:
    limits = Deadlines(60.0)

    async def wait() -> None:
        with limits.deadline():
            await asyncio.sleep(0)

    async def many() -> int:
        await asyncio.gather(*(wait() for _ in range(2_000)))
        limits.close()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Counting)
        return loop.timers

    with asyncio.Runner(loop_factory=Counting) as runner:
        assert runner.run(many()) == 1


@in_a_loop
async def test_after_close_the_next_wait_sets_a_timer_again() -> None:
    limits = Deadlines(LIMIT)
    limits.close()
    with limits.deadline():
        await asyncio.sleep(0)
    limits.close()
    with pytest.raises(TimeoutError), limits.deadline():
        await asyncio.sleep(10)


def test_a_deadline_outside_of_a_task_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"), Deadlines(1.0).deadline():
        raise AssertionError
