"""Run asynchronous tools from synchronous code: one event loop per process, in its own thread."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_T = TypeVar("_T")
_starting = threading.Lock()


def _forked() -> None:
    """Replace the lock in a forked child, since another thread of the parent may hold it."""
    global _starting
    _starting = threading.Lock()


os.register_at_fork(after_in_child=_forked)

MAX_THREADS = 256
"""Maximum number of concurrent calls of synchronous, blocking tools."""


def wait_for(job: Awaitable[_T]) -> _T:
    """Run an awaitable and return its result, from any thread, with or without a running loop.

    All jobs of a process share one loop, so that clients can reuse open connections.

    Args:
        job: The awaitable.
    """
    return asyncio.run_coroutine_threadsafe(_awaited(job), _loop(os.getpid())).result()


async def on_tool_loop(job: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the loop of `wait_for`, and await its result from any loop.

    For clients whose open connections belong to one loop.

    Args:
        job: The coroutine.
    """
    loop = _loop(os.getpid())
    if asyncio.get_running_loop() is loop:
        return await job
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(job, loop))


async def in_thread(function: Callable[..., _T], *arguments: Any) -> _T:
    """Run a blocking function in a thread and await its result.

    Uses its own thread pool, since asyncio's default pool has few threads.

    Args:
        function: The function.
        arguments: Its arguments.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(
        _threads(os.getpid()), functools.partial(_run, function, arguments)
    )


def _run(function: Callable[..., _T], arguments: tuple[Any, ...]) -> _T:
    """Run a function and convert `StopIteration`, which a future cannot hold."""
    try:
        return function(*arguments)
    except StopIteration as error:
        raise RuntimeError("StopIteration was raised in a thread") from error


@functools.cache
def _threads(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - one pool for each process
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="medenv-tool")


async def _awaited(job: Awaitable[_T]) -> _T:
    return await job


def _loop(process: int) -> asyncio.AbstractEventLoop:
    """Return the loop of a process, shared by all of its threads."""
    with _starting:
        return _started(process)


@functools.cache
def _started(process: int) -> asyncio.AbstractEventLoop:
    """Start the loop of a process; a forked child starts its own, since threads are not copied."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="medenv-tools", daemon=True)
    thread.start()

    def stop() -> None:
        if os.getpid() != process:
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    atexit.register(stop)
    return loop


async def _cancel_others() -> None:
    """Cancel all running tasks, so that connections are closed and local servers stopped."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
