"""Count the episodes that are lost when a server is killed while clients play, and restarted.

python benchmarks/killed_env.py            # as fast as they can
python benchmarks/killed_env.py --slow     # turns of half a second, to be resumed
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from serve_env import HERE, RESET, connected, frame, received, served, texts

from medenv.serving.store import JOURNAL


class Clients:
    """Sessions that play until the server is gone.

    Args:
        slow: Whether turns take half a second on average, and episodes twelve turns.
        seed: Seed of the waits.

    Attributes:
        ended: Ids of the episodes whose end was received.
        running: Ids of the others, and the turns that were answered.
    """

    def __init__(self, slow: bool, seed: int) -> None:
        first, *last = texts()
        self._texts = [first] * (10 if slow else 1) + last
        self._slow, self._draw = slow, np.random.default_rng(seed)
        self.ended: list[str] = []
        self.running: dict[str, int] = {}

    async def play(self, port: int, name: str) -> None:
        """Play episodes over one connection until it breaks."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, SystemExit):
            reader, writer = await connected(port)
            number = 0
            while True:
                episode, number = f"{name}-{number}", number + 1
                begin = RESET | {"episode_id": episode}
                writer.write(frame({"type": "reset", "data": begin}))
                await received(reader)
                self.running[episode] = 0
                for text in self._texts:
                    if self._slow:
                        await asyncio.sleep(float(self._draw.random()))
                    writer.write(frame({"type": "step", "data": {"text": text}}))
                    await received(reader)
                    self.running[episode] += 1
                self.ended.append(episode)
                del self.running[episode]

    async def resume(self, port: int) -> list[int]:
        """Return of each running episode that can be resumed how many turns it has lost."""
        reader, writer = await connected(port)
        lost = []
        for episode, turns in self.running.items():
            resume = {"episode_id": episode, "resume": True}
            writer.write(frame({"type": "reset", "data": resume}))
            answer: dict[str, Any] = json.loads(await received(reader))
            if answer["type"] == "observation":
                lost.append(turns - answer["data"]["metadata"]["step_count"])
        writer.close()
        self.running.clear()
        return lost


def main(
    kills: Annotated[int, typer.Option(help="How often the server is killed.")] = 3,
    sessions: Annotated[int, typer.Option(help="Sessions at once.")] = 100,
    seconds: Annotated[float, typer.Option(help="Seconds between two kills.")] = 4.0,
    slow: Annotated[bool, typer.Option(help="Turns of half a second.")] = False,
) -> None:
    """Play, kill, resume and count."""
    clients = Clients(slow, seed=0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "state"
        command = [sys.executable, HERE / "serve_env.py", "ours", "PORT", "999", "auto", folder]

        async def until_killed(port: int, kill: Any, name: str) -> None:
            playing = [clients.play(port, f"{name}-{number}") for number in range(sessions)]
            asyncio.get_running_loop().call_later(seconds, kill)
            await asyncio.gather(*playing)

        for number in range(kills + 1):
            with served(command) as (port, process):
                broken = len(clients.running)
                lost = asyncio.run(clients.resume(port))
                if number:
                    worst = max(lost, default=0)
                    print(f"resumed {len(lost)} of {broken}, turns lost at most {worst}")
                if number < kills:
                    asyncio.run(until_killed(port, process.kill, str(number)))
        lines = (folder / JOURNAL).read_bytes().splitlines()[1:]
        journal = [msgspec.json.decode(line)["episode_id"] for line in lines]
    missing, twice = set(clients.ended) - set(journal), len(journal) - len(set(journal))
    ends = f"{len(clients.ended):,} ends received"
    print(f"{kills} kills, {ends}, {len(missing)} missing in the journal, {twice} in it twice")


if __name__ == "__main__":
    typer.run(main)
