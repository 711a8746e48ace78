# pip: openenv-core==0.3.0
"""OpenEnv: an environment behind its WebSocket server, as it is used."""

import asyncio
import json
import multiprocessing
import socket
import statistics
import time

import uvicorn
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from openenv.core.generic_client import GenericEnvClient

TURNS = ["<search>marfan</search>", "<search>gene</search>", "<answer>FBN1</answer>"]
EPISODES = 200


class Said(Action):
    text: str


class Seen(Observation):
    text: str


class Research(Environment):
    """Finds the same text always, and ends at an answer."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=None, episode_id=None, **_):
        self._state = State(episode_id=episode_id)
        return Seen(text="which gene?")

    def step(self, action, timeout_s=None, **_):
        self._state.step_count += 1
        over = "<answer>" in action.text
        return Seen(text="sentence " * 330, done=over, reward=float("FBN1" in action.text))

    @property
    def state(self):
        return self._state


def serve(port):
    app = create_fastapi_app(Research, Said, Seen, max_concurrent_envs=64)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not start")


async def session(url, episodes):
    async with GenericEnvClient(base_url=url) as env:
        for _ in range(episodes):
            await env.reset()
            for turn in TURNS:
                result = await env.step({"text": turn})
            if result.reward != 1.0:
                raise SystemExit("an episode was not scored 1")


async def play(url, sessions):
    begun = time.perf_counter()
    share = EPISODES // sessions
    await asyncio.gather(*(session(url, share) for _ in range(sessions)))
    return 3 * share * sessions / (time.perf_counter() - begun)


def median(url, sessions):
    return statistics.median(asyncio.run(play(url, sessions)) for _ in range(5))


if __name__ == "__main__":
    port = free_port()
    server = multiprocessing.Process(target=serve, args=(port,))
    server.start()
    try:
        wait_for(port)
        url = f"http://127.0.0.1:{port}"
        figures = {
            "steps/s, client and server": median(url, 1),
            "steps/s, 32 at once": median(url, 32),
        }
    finally:
        server.terminate()
        server.join()
    print(json.dumps(figures))
