"""Many jobs, a bounded number at a time, that end in good order when one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from medenv.errors import InfraError, MedEnvError, PolicyUnavailableError

T = TypeVar("T")


class ClosedError(MedEnvError):
    """The job was not begun: another one had failed, or no more were wanted."""


class Gate:
    """Lets jobs begin: ``async with gate: ...``.

    A job that fails for a reason outside closes it. What has begun then ends in its own time, so
    that nothing half done is thrown away; what has not begun is refused with `ClosedError`.

    Args:
        room: Most jobs at the same time.
    """

    def __init__(self, room: int) -> None:
        self._room, self._closed = asyncio.Semaphore(room), False
        self._error: InfraError | None = None

    def close(self) -> None:
        """Let no more jobs begin."""
        self._closed = True

    def why(self) -> InfraError:
        """Return what closed it."""
        return self._error or PolicyUnavailableError("no more was wanted")

    async def __aenter__(self) -> None:
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise ClosedError

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._room.release()
        if isinstance(error, InfraError):
            self._error = self._error or error
            self.close()

    async def all_of(self, jobs: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Wait for all jobs to end; raise what one of them raised, else return what they returned.

        Args:
            jobs: The jobs, each of which begins through the gate.
        """
        ended = await asyncio.gather(*jobs, return_exceptions=True)
        errors = [one for one in ended if isinstance(one, BaseException)]
        if errors:
            raise min(errors, key=lambda one: isinstance(one, ClosedError))
        return [one for one in ended if not isinstance(one, BaseException)]
