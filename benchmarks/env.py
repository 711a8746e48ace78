"""The same three-turn episode everywhere: search, search, answer, over the same passages.

Run it with `python benchmarks/env.py`; `--peers FOLDER` adds the peers of `benchmarks/peers`, each
in a virtual environment of its own under FOLDER, made where it is missing (2 GB, some minutes).
Figures are medians of `--runs` runs in one process, by the wall clock, so let the machine be idle;
where it cannot be, `--cpu` counts processor time for what does not wait.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import selectors
import statistics
import subprocess
import sys
import time
import tracemalloc
import venv
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from medenv.corpus import BM25Retriever
from medenv.env import MedResearchEnv
from medenv.policies import Texts
from medenv.records import Passage, Question
from medenv.registry import Parts, make_parts
from medenv.rollout import Rollouts
from medenv.tools import Tool, ToolBox, ToolOutput

LATENCY = 0.02
EPISODES = 256
ROUNDS = 3  # of a peer between two of ours
PASSAGES = [
    Passage(id=f"P:{i}#0", title=f"Passage {i}", text=f"sentence {i} " * 100) for i in range(3)
]
FOUND = [(one, 1.0) for one in PASSAGES]
Clock = Callable[[], float]
Loop = Callable[[], asyncio.AbstractEventLoop]
PEERS = Path(__file__).parent / "peers"


class Canned:
    """A retriever that always finds the same passages."""

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return the passages."""
        return [FOUND[:k] for _ in queries]

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id."""
        return next((one for one in PASSAGES if one.id == passage_id), None)


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


def script(parts: Parts, question: Question) -> list[str]:
    """Return the three texts of the episode."""
    write = parts.rules.dialect
    first = write.write_call("search", {"query": question.topic.name})
    second = write.write_call("search", {"query": f"gene of {question.topic.name}"})
    return [first, second, write.write_answer(question.answers[0].name)]


def steps_per_second(
    env: MedResearchEnv, episodes: Sequence[Sequence[str]], clock: Clock = time.perf_counter
) -> float:
    """Play the texts of whole episodes, with full trajectories and component scores."""
    begun = clock()
    for texts in episodes:
        env.reset(options={"question": 0})
        for text in texts:
            _, _, over, _, info = env.step(text)
        if not over or not info["score"].parts:
            raise SystemExit("the episode did not end with a score of components")
    return sum(map(len, episodes)) / (clock() - begun)


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


def bytes_per_episode(parts: Parts, count: int = 1000) -> float:
    """Return the memory of a live episode that has been shown two results."""
    envs = [parts.env() for _ in range(count)]
    texts = script(parts, parts.questions[0])
    gc.collect()
    tracemalloc.start()
    for env in envs:
        env.reset(options={"question": 0})
        for text in texts[:2]:
            env.step(text)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / count


def drawn_words(size: int) -> NDArray[np.int64]:
    """Return 60 words for each passage, as often as English has them (Zipf and Mandelbrot)."""
    share = 1 / (np.arange(50_000) + 2.7)
    return np.random.default_rng(0).choice(50_000, (size, 60), p=share / share.sum())


def queries(words: NDArray[np.int64], count: int) -> list[str]:
    """Return queries of six words of one passage each, as one who looks for it would ask."""
    rng = np.random.default_rng(1)
    rows = words[rng.integers(len(words), size=count)]
    return [" ".join(f"w{word}" for word in rng.choice(row, 6, replace=False)) for row in rows]


def corpus(words: NDArray[np.int64]) -> BM25Retriever:
    """Return an index of these passages."""
    return BM25Retriever(
        Passage(id=f"Z:{i}#0", title=f"w{row[0]}", text=" ".join(f"w{word}" for word in row))
        for i, row in enumerate(words.tolist())
    )


def retrieval(size: int, runs: int, texts: Sequence[str], clock: Clock) -> list[tuple[str, str]]:
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
    return [
        (f"steps/s with BM25 over {size:,} passages", f"{steps:,.0f}"),
        (f"queries/s over {size:,} passages", f"{ours_rate:,.0f}"),
        ("  bm25s with numba, same index and queries", f"{their_rate:,.0f}"),
        ("  ratio", f"{ours_rate / their_rate:.1f}"),
    ]


def median(measure: Callable[[], float], runs: int) -> float:
    """Return the median of some runs."""
    return statistics.median(measure() for _ in range(runs))


def ours(runs: int, passages: int, clock: Clock) -> list[tuple[str, str]]:
    """Return what was measured of medenv, as name and figure."""
    rows = [("steps/s, one process", f"{alone(runs, clock):,.0f}")]
    roomy = {"turns": 40, "calls": 40}
    parts = make_parts(corpus=Canned(), env_id="medenv/Research-v0", budget=roomy)
    texts = script(parts, parts.questions[0])
    gc.collect()
    gc.freeze()  # as before training and evaluation, see `medenv.integrations.world`
    for turns, concurrency in ((2, 32), (8, 64), (8, EPISODES), (16, EPISODES), (32, EPISODES)):
        for called, loop in loops().items():
            shares = [overlap(parts, turns, concurrency, loop) for _ in range(runs)]
            nominal, bare = (statistics.median(column) for column in zip(*shares, strict=True))
            name = f"overlap, {EPISODES} episodes of {turns} calls, {concurrency} at once, {called}"
            rows.append((name, f"{bare:.1%} of bare waits, {nominal:.1%} of nominal ones"))
    rows.append(("kB per live episode", f"{bytes_per_episode(parts) / 1000:.1f}"))
    if passages:
        rows += retrieval(passages, runs, texts, clock)
    return rows


def loops() -> dict[str, Loop]:
    """Return the event loops to measure in, by name.

    asyncio's and uvloop's own timers are no finer than a millisecond (epoll), so that a call of
    20 ms takes up to 21; select(2) counts in microseconds, and there it takes 20.
    """
    found: dict[str, Loop] = {
        "asyncio": asyncio.new_event_loop,
        "asyncio on select": lambda: asyncio.SelectorEventLoop(selectors.SelectSelector()),
    }
    if importlib.util.find_spec("uvloop"):  # comes with vLLM
        found["uvloop"] = importlib.import_module("uvloop").new_event_loop
    return found


def beside(run: Callable[[], dict[str, Any]], runs: int) -> dict[str, tuple[str, str]]:
    """Run a peer, and our own episode just before and just after it: a machine's pace changes.

    Ours are played in processes of their own, as the peer's are. What decides between two that are
    close is the ratio within a round.

    Returns:
        Each figure of the peer, the median of `ROUNDS` rounds, and how often ours is that.
    """
    command = [sys.executable, __file__, "--alone", "--runs", str(runs)]

    def own() -> float:
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    rounds = [(own(), run(), own()) for _ in range(ROUNDS)]
    shown = {}
    for name in rounds[0][1]:
        rates = [figures.get(name) for _, figures, _ in rounds]
        if not name.startswith("steps/s") or not all(isinstance(rate, float) for rate in rates):
            shown[name] = (str(rates[0]), "")
            continue
        ratios = [(before + after) / 2 / figures[name] for before, figures, after in rounds]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        shown[name] = (f"{statistics.median(rates):,.0f}", spread)
    return shown


def alone(runs: int, clock: Clock) -> float:
    """Return our steps per second and nothing else."""
    env, texts = plain_env()
    return median(lambda: steps_per_second(env, [texts] * 3000, clock), runs)


def plain_env() -> tuple[MedResearchEnv, list[str]]:
    """Return an environment whose retriever costs nothing, and the texts of the episode."""
    parts = make_parts(corpus=Canned(), env_id="medenv/Research-v0", budget={"turns": 16})
    env = parts.env()
    env.reset(seed=0)
    return env, script(parts, parts.questions[0])


def interpreter(folder: Path, program: Path) -> Path:
    """Return the Python of a peer's environment, made as the script's first line asks."""
    python = folder / "bin" / "python"
    if not python.exists():
        wanted = program.read_text().splitlines()[0].removeprefix("# pip: ").split()
        print(f"installing {' '.join(wanted)} ...", file=sys.stderr)
        venv.create(folder, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
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
    clock = time.process_time if given.cpu else time.perf_counter
    if given.alone:
        print(alone(given.runs, clock))
        return
    columns = ("what", "measured", "figure", "medenv is so many times that, in the same round")
    table = Table(*columns, title=f"Python {sys.version.split()[0]}")
    for name, figure in ours(given.runs, given.passages, clock):
        table.add_row("medenv", name, figure)
    for program in sorted(PEERS.glob("*.py")):
        if given.peers is None:
            table.add_row(program.stem, "not measured: ask for it with --peers FOLDER", "")
            continue
        python = interpreter(given.peers / program.stem, program)
        figures = beside(lambda: peer(python, program), given.runs)  # noqa: B023 - called at once
        for name, (value, ratio) in figures.items():
            table.add_row(program.stem, name, value, ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
