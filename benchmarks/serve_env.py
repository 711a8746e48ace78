"""How many steps a served environment answers in a second, beside OpenEnv's own server.

    python benchmarks/serve_env.py --peers outputs/peers
    python benchmarks/serve_env.py --memory 1000000      # memory over a million steps

The same scripted episode on both, over WebSockets that are all open at once: reset, search, search,
answer; the observations have the same length. medenv's server parses the calls, searches, scores
components and journals every episode; OpenEnv's environment returns a constant. Each server runs in
a process of its own and is asked by the same client, which sends the next message of a session as
soon as the last one is answered. The client is written for this and cheap, so that the server is
what is measured; rows named after OpenEnv's client use that one instead, and both share the time.
A server of OpenEnv runs between two rounds of medenv's; ratios are medians over the rounds.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from env import interpreter
from rich.console import Console
from rich.table import Table
from scripted import Canned, script

from medenv.build.environment import make_parts
from medenv.serving import EnvironmentServer, Limits

HERE = Path(__file__).parent
PEER = HERE / "peers" / "servers" / "openenv.py"
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
GOAL_RATIO, GOAL_P99 = 3.0, 60.0
THEIRS = ["<search>marfan</search>", "<search>gene</search>", "<answer>FBN1</answer>"]


class Measured(NamedTuple):
    """What came out of one run."""

    steps: int
    seconds: float
    busy: float
    waits: list[float]
    megabytes: float

    @property
    def rate(self) -> float:
        """Steps per second."""
        return self.steps / self.seconds


def ours() -> None:
    """Serve medenv's side in this process: PORT SESSIONS FOLDER as arguments."""
    port, sessions, folder = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    parts = make_parts(corpus=Canned(), env_id="medenv/Research-v0", budget={"turns": 16})
    EnvironmentServer(parts, limits=Limits(sessions=sessions), folder=folder).run(port=port)


def texts() -> list[str]:
    """Return the texts of medenv's episode."""
    parts = make_parts(corpus=Canned(), env_id="medenv/Research-v0", budget={"turns": 16})
    return script(parts, parts.questions[0])


@contextlib.contextmanager
def served(command: Sequence[str | Path]) -> Iterator[tuple[int, int]]:
    """Run a server until the block ends; yield port and process id.

    Args:
        command: Starts it; ``"PORT"`` is replaced by a free port.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    words = [str(port) if word == "PORT" else str(word) for word in command]
    with subprocess.Popen(words) as process:
        try:
            while True:
                if process.poll() is not None:
                    raise SystemExit(f"the server {words[:2]} did not start")
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield port, process.pid
        finally:
            process.terminate()


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def frame(message: object) -> bytes:
    """Return a masked WebSocket text frame; the mask is zero, which leaves the text as it is."""
    body = json.dumps(message).encode()
    size = len(body)
    short = size < 126
    head = bytes([0x81, 0x80 | size]) if short else struct.pack("!BBH", 0x81, 0xFE, size)
    return head + bytes(4) + body


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket without extensions."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head[:16]:
        raise SystemExit(f"no WebSocket: {head[:60]!r}")
    return reader, writer


async def received(reader: asyncio.StreamReader) -> bytes:
    """Return the next message."""
    while True:
        kind, size = await reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await reader.readexactly(8))
        body = await reader.readexactly(size)
        if kind == 0x81:
            return body
        if kind == 0x88:
            raise SystemExit(f"the server closed the connection: {body!r}")


async def session(
    port: int, episodes: Iterator[int], frames: list[bytes], waits: list[float]
) -> None:
    """Play episodes over one connection until there are no more."""
    reader, writer = await connected(port)
    reset, *steps = frames
    for _ in episodes:
        writer.write(reset)
        begin = await received(reader)
        if b'"observation"' not in begin[:40]:
            raise SystemExit(f"no episode: {begin[:200]!r}")
        for step in steps:
            begun = time.perf_counter()
            writer.write(step)
            found = await received(reader)
            waits.append(1000 * (time.perf_counter() - begun))
        if b'"done":true' not in found.replace(b" ", b"") or b'"reward":1' not in found:
            raise SystemExit(f"an episode was not scored: {found[:300]!r}")
    writer.close()
    await writer.wait_closed()


async def play(port: int, sessions: int, count: int, frames: list[bytes]) -> list[float]:
    """Return how long each step of some episodes waited, in milliseconds."""
    waits: list[float] = []
    episodes = iter(range(count))
    await asyncio.gather(*(session(port, episodes, frames, waits) for _ in range(sessions)))
    return waits


def measure(command: Sequence[str | Path], sessions: int, count: int, said: list[str]) -> Measured:
    """Run a server and play episodes on it."""
    frames = [frame({"type": "reset", "data": {"split": "train", "index": 0}})]
    frames += [frame({"type": "step", "data": {"text": text}}) for text in said]
    with served(command) as (port, pid):
        asyncio.run(play(port, sessions, count // 10, frames))
        busy, begun = processor_seconds(pid), time.perf_counter()
        waits = asyncio.run(play(port, sessions, count, frames))
        seconds = time.perf_counter() - begun
        return Measured(len(waits), seconds, processor_seconds(pid) - busy, waits, megabytes(pid))


def main(
    peers: Annotated[Path, typer.Option(help="Folder of the peer's environment.")] = Path(
        "outputs/peers"
    ),
    sessions: Annotated[int, typer.Option(help="Sessions at once.")] = 128,
    count: Annotated[int, typer.Option(help="Episodes of a run.")] = 4000,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 3,
) -> None:
    """Measure and print."""
    python = interpreter(peers / "openenv-0.10", PEER)
    said = texts()
    table = Table("server", "steps/s", "per processor second", "p50, ms", "p99, ms", "MB")
    with tempfile.TemporaryDirectory() as scratch:
        mine = [sys.executable, __file__, "ours", "PORT", str(sessions)]
        found: dict[str, list[Measured]] = {"medenv": [], "openenv 0.10": []}
        for number in range(rounds):
            command = [*mine, f"{scratch}/{number}"]
            found["medenv"].append(measure(command, sessions, count, said))
            theirs = [python, "-P", PEER, "PORT", str(sessions)]
            found["openenv 0.10"].append(measure(theirs, sessions, count // 2, THEIRS))
    for name, runs in found.items():
        waits = [wait for run in runs for wait in run.waits]
        p50, p99 = np.percentile(waits, [50, 99]).tolist()
        rate = statistics.median(run.rate for run in runs)
        busy = statistics.median(run.steps / run.busy for run in runs)
        table.add_row(
            name, f"{rate:,.0f}", f"{busy:,.0f}", f"{p50:.1f}", f"{p99:.1f}",
            f"{max(run.megabytes for run in runs):.0f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        ours()
    else:
        typer.run(main)
