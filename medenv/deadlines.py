"""Time limits of many short waits in one event loop, with one timer for all of them.

`asyncio.timeout` sets and cancels a timer for every wait. Where thousands of tool calls a second
wait for milliseconds and may wait for a minute, those timers are most of what a driver does.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """Time limits that are all equally long, for waits of one event loop.

    Args:
        seconds: How long each wait may take.
    """

    __slots__ = ("_open", "_timer", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._open: dict[Deadline, None] = {}  # those that began first end first
        self._timer: asyncio.TimerHandle | None = None

    def deadline(self) -> Deadline:
        """Return a context within which the running task may wait so long, and no longer.

        Raises:
            TimeoutError: On leaving it, where the time was up; the task's wait was cancelled.
        """
        return Deadline(self)

    def close(self) -> None:
        """Stop the timer; for when nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begin(self, deadline: Deadline) -> float:
        """Note a deadline; return when it ends, on the clock of the running loop."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        self._open[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(end, self._expire, loop)
        return end

    def end(self, deadline: Deadline) -> None:
        """Forget a deadline."""
        del self._open[deadline]

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the waits whose time is up, and wake again for the next."""
        self._timer = None
        now = loop.time()
        for deadline in tuple(self._open):
            if deadline.ends > now:
                self._timer = loop.call_at(deadline.ends, self._expire, loop)
                return
            deadline.expire()


class Deadline:
    """One time limit, see `Deadlines.deadline`; behaves as `asyncio.timeout` does."""

    __slots__ = ("_before", "_expired", "_of", "_task", "ends")

    def __init__(self, of: Deadlines) -> None:
        self._of = of

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline holds within a task; there is none")
        self._task, self._before, self._expired = task, task.cancelling(), False
        self.ends = self._of.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._of.end(self)
        # A cancellation from outside that came first, or as well, is passed on.
        late = self._expired and self._task.uncancel() <= self._before
        if late and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the wait, once."""
        if not self._expired:
            self._expired = True
            self._task.cancel()
