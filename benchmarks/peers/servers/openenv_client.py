"""OpenEnv's own client: URL SESSIONS EPISODES RESET TEXT... as arguments, RESET in JSON."""

import asyncio
import json
import sys
import time

import uvloop
from openenv.core.generic_client import GenericEnvClient

url, sessions, episodes, reset, *texts = sys.argv[1:]
waits = []


async def session(numbers):
    """Play episodes until there are no more."""
    async with GenericEnvClient(base_url=url, connect_timeout_s=60) as env:
        for _ in numbers:
            await env.reset(**json.loads(reset))
            for text in texts:
                begun = time.perf_counter()
                result = await env.step({"text": text})
                waits.append(1000 * (time.perf_counter() - begun))
            if not result.done or result.reward < 1:
                raise SystemExit(f"an episode was not scored: {result}")


async def play():
    """Play all episodes; return the seconds."""
    begun, numbers = time.perf_counter(), iter(range(int(episodes)))
    await asyncio.gather(*(session(numbers) for _ in range(int(sessions))))
    return time.perf_counter() - begun


seconds = uvloop.run(play())
print(json.dumps({"seconds": seconds, "waits": waits}))
