"""How much of the waiting for slow tools many episodes do at the same time."""

from __future__ import annotations

import asyncio
import importlib.util
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any

from scripted import script

from medenv.build.environment import Parts
from medenv.rollouts.driver import Rollouts
from medenv.rollouts.policies import Texts
from medenv.tools import Tool, ToolBox, ToolOutput

LATENCY = 0.02
EPISODES = 256
Loop = Callable[[], asyncio.AbstractEventLoop]


class Slow(Tool):
    """A search that takes `LATENCY`."""

    name = "search"

    async def call(self, query: str) -> ToolOutput:
        """Search slowly.

        Args:
            query: Anything.
        """
        await asyncio.sleep(LATENCY)
        return ToolOutput(text=f"nothing about {query}")


async def waits(turns: int, concurrency: int) -> None:
    """Wait as often as the tools do, with nothing around it."""

    async def worker() -> None:
        for _ in range(turns * EPISODES // concurrency):
            await asyncio.sleep(LATENCY)

    await asyncio.gather(*(worker() for _ in range(concurrency)))


def overlap(parts: Parts, turns: int, concurrency: int, loop: Loop) -> tuple[float, float]:
    """Return the time of the waits over that of `EPISODES` episodes with slow tools.

    First by the waits' nominal length, then by what they take in a bare event loop.
    """
    box = ToolBox([Slow()])
    rollouts = Rollouts(parts.rules, box, parts.reward)
    question = parts.questions[0]
    texts = script(parts, question)
    policies = [
        (Texts([texts[0]] * turns + [texts[-1]]).begin(question), question) for _ in range(EPISODES)
    ]

    def timed(job: Coroutine[Any, Any, object]) -> float:
        begun = time.perf_counter()
        with asyncio.Runner(loop_factory=loop) as runner:
            made = runner.run(job)
        taken = time.perf_counter() - begun
        del made  # to throw away what the episodes gave is no part of playing them
        return taken

    taken = timed(rollouts.arun_all(policies, concurrency))
    bare = timed(waits(turns, concurrency))
    return turns * LATENCY * EPISODES / concurrency / taken, bare / taken


def loops() -> dict[str, Loop]:
    """Return the event loops to measure in, by name.

    asyncio's and uvloop's own timers are no finer than a millisecond (epoll), so that a call of
    20 ms takes up to 21; select(2) counts in microseconds, and there it takes 20.
    """
    found: dict[str, Loop] = {
        "asyncio": asyncio.new_event_loop,
        "asyncio on select": lambda: asyncio.SelectorEventLoop(selectors.SelectSelector()),
    }
    if importlib.util.find_spec("uvloop"):  # comes with vLLM; `Rollouts.run_all` uses it
        found["uvloop"] = importlib.import_module("uvloop").new_event_loop
    return found
