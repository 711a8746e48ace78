"""How many steps a served environment answers in a second, beside OpenEnv's own server.

    python benchmarks/serve_env.py --peers outputs/peers --write docs/results/serving.md

The same scripted episode on both, over WebSockets that are all open at once: reset, search,
search, answer, with observations of the same length. medenv parses the calls, makes them and
scores components; OpenEnv's environment returns a constant text. Each server runs in a process of
its own under uvicorn and is started anew for every round; a round of OpenEnv's stands between two
of medenv's. As installed, medenv brings uvloop along and OpenEnv does not. The client sends the
next message of a session as soon as the last one is answered. It is written for this and costs
little, so that the server is what is measured; in the rows of OpenEnv's client, that client takes
most of the time. With a state folder, every episode is appended to a journal before its client
has its end. Waits are those of steps, from sending to the whole answer. Rates are medians of the
rounds, waits are of all; a ratio is that of a round to the two around it, the median, the least
and the greatest.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
import uvloop
from env import interpreter
from rich.console import Console
from rich.table import Table
from scripted import Canned, script

from medenv.build.environment import make_parts
from medenv.serving import EnvironmentServer, Limits

HERE = Path(__file__).parent
SERVERS = HERE / "peers" / "servers"
PEER, CLIENT = SERVERS / "openenv.py", SERVERS / "openenv_client.py"
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
GOAL_RATIO, GOAL_P99 = 3.0, 60.0
RESET = {"split": "train", "index": 0}
THEIRS = ["<search>marfan</search>", "<search>gene</search>", "<answer>FBN1</answer>"]


class Measured(NamedTuple):
    """Results of one run."""

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
    """Serve medenv's side in this process: PORT SESSIONS LOOP FOLDER as arguments."""
    port, sessions, loop, folder = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    parts = make_parts(corpus=Canned(), env_id="medenv/Research-v0", budget={"turns": 16})
    EnvironmentServer(parts, limits=Limits(sessions=sessions), folder=folder or None).run(
        port=port, loop=loop
    )


def texts() -> list[str]:
    """Return the texts of medenv's episode."""
    parts = make_parts(corpus=Canned(), env_id="medenv/Research-v0", budget={"turns": 16})
    return script(parts, parts.questions[0])


@contextlib.contextmanager
def served(command: Sequence[str | Path]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server until the block ends; yield port and process.

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
            yield port, process
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


def messages(said: Sequence[str]) -> list[bytes]:
    """Return the frames of an episode."""
    sent = [{"type": "reset", "data": RESET}]
    sent += [{"type": "step", "data": {"text": text}} for text in said]
    return [frame(message) for message in sent]


def measure(command: Sequence[str | Path], sessions: int, count: int, said: list[str]) -> Measured:
    """Run a server and play episodes on it."""
    frames = messages(said)
    with served(command) as (port, process):
        pid = process.pid
        uvloop.run(play(port, sessions, count // 10, frames))
        busy, begun = processor_seconds(pid), time.perf_counter()
        waits = uvloop.run(play(port, sessions, count, frames))
        seconds = time.perf_counter() - begun
        return Measured(len(waits), seconds, processor_seconds(pid) - busy, waits, megabytes(pid))


def with_their_client(
    python: Path, command: Sequence[str | Path], sessions: int, count: int, said: list[str]
) -> Measured:
    """Run a server and play episodes on it with OpenEnv's client."""
    with served(command) as (port, process):
        pid = process.pid
        busy = processor_seconds(pid)
        url = f"http://127.0.0.1:{port}"
        done = subprocess.run(
            [str(python), "-P", str(CLIENT), url, str(sessions), str(count), json.dumps(RESET),
             *said],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        busy = processor_seconds(pid) - busy
        return Measured(len(found["waits"]), found["seconds"], busy, found["waits"], megabytes(pid))


def memory(
    command: Sequence[str | Path], sessions: int, steps: int, said: list[str]
) -> list[float]:
    """Return the resident memory of a server after each tenth of some steps, megabytes."""
    frames, found = messages(said), []
    with served(command) as (port, process):
        pid = process.pid
        for _ in range(10):
            uvloop.run(play(port, sessions, steps // (10 * len(said)), frames))
            found.append(megabytes(pid))
    return found


def cells(name: str, runs: Sequence[Measured]) -> list[str]:
    """Return the figures of some rounds as texts."""
    p50, p99 = np.percentile([wait for run in runs for wait in run.waits], [50, 99]).tolist()
    rate = statistics.median(run.rate for run in runs)
    busy = statistics.median(run.steps / run.busy for run in runs)
    size = max(run.megabytes for run in runs)
    return [name, f"{rate:,.0f}", f"{busy:,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{size:.0f}"]


def ratio(ours: Sequence[Measured], theirs: Sequence[Measured]) -> str:
    """Return how many times their rate ours is, each of theirs beside the two around it."""

    def told(rates: Callable[[Measured], float]) -> str:
        found = [
            (rates(before) + rates(after)) / 2 / rates(their)
            for before, their, after in zip(ours, theirs, ours[1:], strict=False)
        ]
        return f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})"

    by_clock, by_processor = told(lambda run: run.rate), told(lambda run: run.steps / run.busy)
    return f"{by_clock} by the clock, {by_processor} by the servers' processor time"


def page(rows: Sequence[Sequence[str]], ratios: dict[str, str], sizes: str, command: str) -> str:
    """Return the result as a page."""
    lines = [
        "# Steps per second of a served environment, beside OpenEnv's server\n",
        f"Python {platform.python_version()}, {os.cpu_count()} cores ({platform.machine()}), load "
        f"{os.getloadavg()[0]:.1f}, on {time.strftime('%Y-%m-%d')}. Repeat it with\n",
        f"    {command}\n",
        f"| {' | '.join(COLUMNS)} |\n|---|--:|--:|--:|--:|--:|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        *(
            f"- {name}: medenv answers so many times as many steps: {value}"
            for name, value in ratios.items()
        ),
        f"- goal: at least {GOAL_RATIO:g} times, p99 at most {GOAL_P99:g} ms",
        *([f"- {sizes}"] if sizes else []),
        "",
    ]
    notes = " ".join((__doc__ or "").split("\n\n")[2].split())
    return "\n".join([*lines, f"{notes}\n"])


OWN_NAME, PEER_NAME, KEEPING = "medenv", "OpenEnv 0.10", "medenv with a state folder"
COMPARED = (
    ("as installed", ("uvloop", "asyncio"), False),
    ("uvloop added to OpenEnv", ("uvloop", "uvloop"), False),
    ("as installed, OpenEnv's client", ("uvloop", "asyncio"), True),
)
"""Comparisons: title, event loop of medenv and of OpenEnv, and whether OpenEnv's client is used."""

COLUMNS = ("server", "steps/s", "steps per processor second", "p50, ms", "p99, ms", "MB")


def main(
    peers: Annotated[Path, typer.Option(help="Folder of the peer's environment.")] = Path(
        "outputs/peers"
    ),
    sessions: Annotated[int, typer.Option(help="Sessions at once.")] = 128,
    count: Annotated[int, typer.Option(help="Episodes of a round.")] = 12_000,
    rounds: Annotated[int, typer.Option(help="Rounds of OpenEnv's server.")] = 3,
    steps: Annotated[int, typer.Option(help="Steps over which memory is watched; 0: none.")] = 0,
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Measure and print."""
    python = interpreter(peers / "openenv-0.10", PEER)
    subprocess.run([str(python), "-m", "pip", "install", "-qq", "uvloop", "httptools"], check=True)
    ours_said, rows, ratios, sizes = texts(), [], {}, ""
    with tempfile.TemporaryDirectory() as scratch:
        folders = (f"{scratch}/{number}" for number in itertools.count())

        def run(name: str, loop: str, client: bool) -> Measured:
            command: list[str | Path] = [python, "-P", PEER, "PORT", str(sessions), loop]
            if name != PEER_NAME:
                folder = next(folders) if name == KEEPING else ""
                command = [sys.executable, __file__, "ours", *command[3:], folder]
            said = THEIRS if name == PEER_NAME else ours_said
            episodes = count // (3 if name == PEER_NAME else 1) // (4 if client else 1)
            if client:
                return with_their_client(python, command, sessions, episodes, said)
            return measure(command, sessions, episodes, said)

        for what, loops, client in COMPARED:
            mine, theirs = [run(OWN_NAME, loops[0], client)], []
            for _ in range(rounds):
                theirs.append(run(PEER_NAME, loops[1], client))
                mine.append(run(OWN_NAME, loops[0], client))
            rows += [cells(f"{OWN_NAME}, {what}", mine), cells(f"{PEER_NAME}, {what}", theirs)]
            ratios[what] = ratio(mine, theirs)
        rows.append(cells(KEEPING, [run(KEEPING, "uvloop", False) for _ in range(rounds)]))
        if steps:
            command = [sys.executable, __file__, "ours", "PORT", str(sessions), "auto"]
            found = memory([*command, next(folders)], sessions, steps, ours_said)
            shown = ", ".join(f"{size:.0f}" for size in found)
            sizes = f"memory of medenv's server after each tenth of {steps:,} steps: {shown} MB"
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table, *(f"{name}: {value}" for name, value in ratios.items()), sizes, sep="\n")
    if write:
        options = f" --steps {steps}" if steps else ""
        command = f"python benchmarks/serve_env.py --peers outputs/peers{options}"
        write.write_text(page(rows, ratios, sizes, command), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        ours()
    else:
        typer.run(main)
