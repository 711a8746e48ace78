"""Time limits of many short waits in one event loop, with one timer for all of them.

`asyncio.timeout` sets and cancels a timer for every wait. Where thousands of tool calls a second
wait for milliseconds and may wait for a minute, those timers are most of what a driver does.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Deadlines:
    """Time limits that are all equally long, for waits of one event loop.

    Args:
        seconds: How long each wait may take.

    Attributes:
        open: The limits within which a task waits now; those that began first end first.
        timer: The one timer, set while there may be any.
    """

    __slots__ = ("open", "seconds", "timer")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.open: dict[Deadline, None] = {}
        self.timer: asyncio.TimerHandle | None = None

    def deadline(self) -> Deadline:
        """Return a context within which the running task may wait so long, and no longer.

        The task can enter it again after it has left it.

        Raises:
            TimeoutError: On leaving it, where the time was up; the task's wait was cancelled.
            RuntimeError: No task is running.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline holds within a task; there is none")
        return Deadline(self, task)

    def close(self) -> None:
        """Stop the timer; for when nothing waits any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the waits whose time is up, and wake again for the next.

        Args:
            loop: The running loop.
        """
        self.timer = None
        now = loop.time()
        for deadline in tuple(self.open):
            if deadline.ends > now:
                self.timer = loop.call_at(deadline.ends, self.expire, loop)
                return
            deadline.expire()


class Deadline:
    """A time limit of one task, see `Deadlines.deadline`; behaves as `asyncio.timeout` does."""

    __slots__ = ("_before", "_expired", "_loop", "_of", "_task", "ends")

    def __init__(self, of: Deadlines, task: asyncio.Task[Any]) -> None:
        self._of, self._task, self._loop = of, task, task.get_loop()

    @property
    def seconds(self) -> float:
        """How long each wait may take."""
        return self._of.seconds

    def __enter__(self) -> None:
        of = self._of
        self._before, self._expired = self._task.cancelling(), False
        self.ends = self._loop.time() + of.seconds
        of.open[self] = None
        if of.timer is None:
            of.timer = self._loop.call_at(self.ends, of.expire, self._loop)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        del self._of.open[self]
        # A cancellation from outside that came first, or as well, is passed on.
        late = self._expired and self._task.uncancel() <= self._before
        if late and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the wait, once."""
        if not self._expired:
            self._expired = True
            self._task.cancel()
