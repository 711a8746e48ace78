"""Asynchronous tools for synchronous callers: one event loop per process, in its own thread."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import threading
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


def wait_for(job: Awaitable[_T]) -> _T:
    """Run a coroutine to its end and return its result, from any thread, running loop or none.

    All jobs of a process share one loop, so that clients with open connections can be used again.

    Args:
        job: What to await.
    """
    return asyncio.run_coroutine_threadsafe(_awaited(job), _loop(os.getpid())).result()


async def _awaited(job: Awaitable[_T]) -> _T:
    return await job


@functools.cache
def _loop(process: int) -> asyncio.AbstractEventLoop:
    """Start the loop of a process; a forked child does not inherit the thread and starts anew."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="medenv-tools", daemon=True)
    thread.start()

    def stop() -> None:
        if os.getpid() != process:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    atexit.register(stop)
    return loop
