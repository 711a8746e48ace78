# pip: openenv==0.10.0
"""OpenEnv's own server with the scripted episode of the benchmarks.

Port, sessions and uvicorn's event loop as arguments.
"""

import sys

import uvicorn
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State

TEXT = "".join(f"[{i}] Passage {i}\n{f'sentence {i} ' * 100}\n" for i in range(3))


class Said(Action):
    """Text written by the policy."""

    text: str


class Seen(Observation):
    """Text shown to the policy."""

    text: str


class Research(Environment):
    """Finds the same text always, and ends at an answer."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self._state = State()

    def reset(self, seed=None, episode_id=None, **_):
        """Begin an episode."""
        self._state = State(episode_id=episode_id)
        return Seen(text="which gene?")

    def step(self, action, timeout_s=None, **_):
        """Answer with the text, or end."""
        self._state.step_count += 1
        if "<answer>" in action.text:
            return Seen(text="", done=True, reward=float("FBN1" in action.text))
        return Seen(text=TEXT, reward=0.0)

    @property
    def state(self):
        """The state."""
        return self._state


if __name__ == "__main__":
    port, sessions, loop = sys.argv[1:]
    app = create_fastapi_app(Research, Said, Seen, max_concurrent_envs=int(sessions))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="critical", loop=loop)
