"""Run jobs with bounded concurrency; stop cleanly when one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from medenv.errors import InfraError, MedEnvError, PolicyUnavailableError

T = TypeVar("T")


class ClosedError(MedEnvError):
    """The job did not start: another one failed, or the gate was closed."""


class Gate:
    """Limit jobs: ``async with gate: ...``.

    An infrastructure failure in a job closes the gate. Running jobs then finish, so that no work
    is lost; later jobs raise `ClosedError`.

    Args:
        room: Maximum concurrent jobs.
    """

    def __init__(self, room: int) -> None:
        self._room, self._closed = asyncio.Semaphore(room), False
        self._error: InfraError | None = None

    def close(self) -> None:
        """Start no more jobs."""
        self._closed = True

    def why(self) -> InfraError:
        """Return the cause."""
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
        """Wait for all jobs; raise the error of one, or return their results.

        Args:
            jobs: The jobs; each enters the gate.
        """
        ended = await asyncio.gather(*jobs, return_exceptions=True)
        errors = [one for one in ended if isinstance(one, BaseException)]
        if errors:
            raise min(errors, key=lambda one: isinstance(one, ClosedError))
        return [one for one in ended if not isinstance(one, BaseException)]
