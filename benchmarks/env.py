"""Pace beside peers, the same three-turn episode everywhere, and how far slow tools' waits overlap.

Run it with `python benchmarks/env.py`; `--peers FOLDER` adds the peers of `benchmarks/peers`, each
in a virtual environment of its own under FOLDER, made where it is missing (2 GB, some minutes).
Figures are medians of `--runs` runs in one process, by the wall clock, so let the machine be idle;
where it cannot be, `--cpu` counts processor time for what does not wait.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from overlapping import EPISODES, LATENCY, Loop, loops, overlap
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scripted import Canned, Clock, bytes_per_episode, plain_env, script, steps_per_second
from zipf_corpus import corpus, drawn_words, queries

from medenv.build.environment import make_parts
from medenv.rollouts.driver import CONCURRENCY

ROUNDS = 3  # of a peer between two of ours
SIZES = (
    *((2, 32), (2, CONCURRENCY), (8, CONCURRENCY)),
    *((2, EPISODES), (8, EPISODES), (16, EPISODES), (32, EPISODES)),
)
"""Calls of an episode, and episodes at once, for which overlap is measured."""

Row = tuple[str, ...]
PEERS = Path(__file__).parent / "peers"


def retrieval(size: int, runs: int, texts: Sequence[str], clock: Clock) -> list[Row]:
    """Return steps and queries a second over a real index, and bm25s's own on the same queries."""
    words = drawn_words(size)
    index, asked = corpus(words), queries(words, 2000)
    env = make_parts(corpus=index, env_id="medenv/Research-v0").env()
    write = env.rules.dialect.write_call
    calls = [write("search", {"query": query}) for query in asked]
    episodes = [[*pair, texts[-1]] for pair in zip(calls[::2], calls[1::2], strict=True)]
    env.reset(seed=0)
    steps = median(lambda: steps_per_second(env, episodes, clock), runs)

    def rate(search: Callable[[], object]) -> float:
        begun = clock()
        search()
        return len(asked) / (clock() - begun)

    theirs, cut = index._index, [query.split() for query in asked]
    theirs.activate_numba_scorer()
    settings = {"k": 3, "show_progress": False, "backend_selection": "numba", "n_threads": 1}
    theirs.retrieve(cut[:1], **settings)  # compiles
    ours_rate = median(lambda: rate(lambda: index.search(asked, 3)), runs)
    their_rate = median(lambda: rate(lambda: theirs.retrieve(cut, **settings)), runs)
    ratio = f"{ours_rate / their_rate:.1f}"
    return [
        ("medenv", f"steps/s with BM25, {size:,} passages", f"{steps:,.0f}"),
        ("medenv", f"queries/s, {size:,} passages", f"{ours_rate:,.0f}"),
        ("bm25s with numba", "queries/s, the same", f"{their_rate:,.0f}", ratio),
    ]


def median(measure: Callable[[], float], runs: int) -> float:
    """Return the median of some runs."""
    return statistics.median(measure() for _ in range(runs))


class FilterContext:
    """What there is to measure, and what was measured so far.

    Args:
        given: The command line.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.clock = clock_of(given)
        self.rates: list[float] = []
        self.rows: list[Row] = []
        self.waiting = Table("calls", "at once", "event loop", "of nominal waits", "of bare waits")
        self.waiting.title = (
            f"Overlap: {EPISODES} episodes whose calls take {LATENCY * 1000:.0f} ms"
        )
        roomy = {"turns": 40, "calls": 40}
        self.parts = make_parts(corpus=Canned(), env_id="medenv/Research-v0", budget=roomy)

    def jobs(self) -> list[Callable[[], None]]:
        """Return what there is to measure; each adds its rows when it is called."""
        pairs = [(size, loop) for size in SIZES for loop in loops().items()]
        programs = sorted(PEERS.glob("*.py"))
        return [
            self.steps,
            *(partial(self.overlaps, *size, *loop) for size, loop in pairs),
            self.memory,
            self.index,
            *(partial(self.beside, program) for program in programs),
        ]

    def paces(self) -> Table:
        """Return all figures but those of waiting."""
        shown = Table("what", "measured", "figure", "medenv: times that")
        shown.title = f"Pace: Python {sys.version.split()[0]}; a peer between two rounds of medenv"
        middle = f"{statistics.median(self.rates):,.0f}"
        shown.add_row("medenv", f"steps/s, {len(self.rates)} processes", middle)
        shown.add_row("", "slowest, fastest", f"{min(self.rates):,.0f}, {max(self.rates):,.0f}")
        for row in self.rows:
            shown.add_row(*row)
        return shown

    def own(self) -> float:
        """Return our steps per second in a process of its own, as the peers have."""
        command = [sys.executable, __file__, "--alone", "--runs", str(self.given.runs)]
        if self.given.cpu:
            command.append("--cpu")
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        self.rates.append(float(done.stdout))
        return self.rates[-1]

    def steps(self) -> None:
        """Measure our steps per second, without a peer beside them."""
        for _ in range(ROUNDS):
            self.own()

    def overlaps(self, turns: int, concurrency: int, called: str, loop: Loop) -> None:
        """Measure how much of the waiting overlaps."""
        shares = [overlap(self.parts, turns, concurrency, loop) for _ in range(self.given.runs)]
        medians = [f"{statistics.median(column):.1%}" for column in zip(*shares, strict=True)]
        self.waiting.add_row(str(turns), str(concurrency), called, *medians)

    def memory(self) -> None:
        """Measure the memory of a live episode."""
        size = bytes_per_episode(self.parts) / 1000
        self.rows.append(("medenv", "kB per live episode", f"{size:.1f}"))

    def index(self) -> None:
        """Measure a real index."""
        if self.given.passages:
            texts = script(self.parts, self.parts.questions[0])
            self.rows += retrieval(self.given.passages, self.given.runs, texts, self.clock)

    def beside(self, program: Path) -> None:
        """Run a peer, and our own episode just before and just after: a machine's pace changes.

        What decides between two that are close is the ratio within a round.
        """
        if self.given.peers is None:
            self.rows.append((program.stem, "only with --peers FOLDER", "not measured"))
            return
        python = interpreter(self.given.peers / program.stem, program)
        rounds = [(self.own(), peer(python, program), self.own()) for _ in range(ROUNDS)]
        for name in rounds[0][1]:
            rates = [figures.get(name) for _, figures, _ in rounds]
            if not name.startswith("steps/s") or None in rates:
                self.rows.append((program.stem, name, str(rates[0])))
                continue
            ratios = [(before + after) / 2 / figures[name] for before, figures, after in rounds]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            middle = statistics.median(figures[name] for _, figures, _ in rounds)
            self.rows.append((program.stem, name, f"{middle:,.0f}", spread))


def clock_of(given: argparse.Namespace) -> Clock:
    """Return the clock of what does not wait."""
    return time.process_time if given.cpu else time.perf_counter


def alone(runs: int, clock: Clock) -> float:
    """Return our steps per second and nothing else."""
    env, texts = plain_env()
    return median(lambda: steps_per_second(env, [texts] * 3000, clock), runs)


def interpreter(folder: Path, program: Path) -> Path:
    """Return the Python of a peer's environment, made as the script's first line asks."""
    python = folder / "bin" / "python"
    if not python.exists():
        wanted = program.read_text().splitlines()[0].removeprefix("# pip: ").split()
        print(f"installing {' '.join(wanted)} ...", file=sys.stderr)
        venv.create(folder, with_pip=True)
        install = ["-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([str(python), *install, *wanted], check=True)
    return python


def peer(python: Path, program: Path) -> dict[str, Any]:
    """Run a peer's script in its own virtual environment; return what it printed last as JSON.

    A script bears the name of its package, so its folder stays off the path (`-P`).
    """
    done = subprocess.run(
        [str(python), "-P", str(program)], capture_output=True, text=True, check=False, timeout=600
    )
    try:
        figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return {"failed": (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]}
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="folder of the peers' virtual environments")
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median is shown")
    parser.add_argument("--passages", type=int, default=100_000, help="0 leaves BM25 out")
    parser.add_argument("--cpu", action="store_true", help="count processor time")
    parser.add_argument("--alone", action="store_true", help="print our steps per second alone")
    given = parser.parse_args()
    if given.alone:
        print(alone(given.runs, clock_of(given)))
        return
    bench = FilterContext(given)
    gc.collect()
    gc.freeze()  # as before training and evaluation, see `medenv.integrations.verl.training_env`
    told = Console(stderr=True)
    for job in track(bench.jobs(), "measuring", console=told, transient=True, auto_refresh=False):
        job()  # while nothing else runs in this process, not even the bar
    Console().print(bench.paces(), bench.waiting)


if __name__ == "__main__":
    main()
