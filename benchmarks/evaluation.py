"""How fast an evaluation is beside its policy, and whether its intervals cover what they say.

Run it with `python benchmarks/evaluation.py`. A local server that speaks OpenAI's API answers every
request at once, with three searches and an answer, in a process of its own: what is left is the
evaluation's own time. Intervals are checked by simulation: evaluations are drawn from policies
whose accuracy is known, and counted where the interval contains it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from rich.console import Console
from rich.progress import track
from rich.table import Table

from medenv.build.settings import (
    EnvSettings,
    GraphSettings,
    PolicySettings,
    QuestionsSettings,
    ScoringSettings,
)
from medenv.dialects import Hermes
from medenv.episodes.episode import Budget
from medenv.evaluation.compare import read_evaluation
from medenv.evaluation.run import EvaluateSettings, evaluate
from medenv.evaluation.statistics import cluster_bootstrap
from medenv.report.evaluation import EvaluationReport, write_evaluation

EPISODES, SEARCHES, PAGE = 1_000, 3, 5_000
SIZES = ((50, 1), (50, 4), (200, 1), (200, 4), (1_000, 1))
"""Questions and samples of the simulated evaluations."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


async def instant(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer a chat completion by the number of turns before it."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    turns = sum(one["role"] == "assistant" for one in json.loads(body)["messages"])
    write = Hermes()
    text = write.write_answer("nobody knows")
    if turns < SEARCHES:
        text = write.write_call("search", {"query": f"a disease, {turns}"})
    message = {"role": "assistant", "content": text}
    told = json.dumps(
        {
            "choices": [{"message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 300, "completion_tokens": 20},
        }
    ).encode()
    kind = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    await send({"type": "http.response.body", "body": told})


def _serve(ready: Connection) -> None:
    config = uvicorn.Config(instant, log_level="error", lifespan="off")
    listening = config.bind_socket()
    ready.send(listening.getsockname()[1])
    uvicorn.Server(config).run([listening])


@contextmanager
def server() -> Iterator[str]:
    """Run the instant server in a process; yields its URL."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def settings(root: str, url: str, episodes: int) -> EvaluateSettings:
    """Return an evaluation of about so many sampled episodes on the toy graph's questions."""
    questions = QuestionsSettings(
        name="toy", kinds={"disease>gene": 1, "phenotype>disease>gene": 1}, n=8, n_test=4,
        test_share=0.4, workers=1,
    )  # fmt: skip
    return EvaluateSettings(
        root=root,
        run="instant",
        graph=GraphSettings(source="toy"),
        questions=questions,
        env=EnvSettings(tools={"search": {"k": 3}, "read": {}}, budget=Budget(turns=8, calls=16)),
        scoring=ScoringSettings(preset="composite"),
        policy=PolicySettings(url=url, model="instant"),
        split="test",
        samples=max(1, episodes // 4),
        greedy=False,
    )


def coverage(questions: int, samples: int, simulations: int) -> float:
    """Return the share of simulated evaluations whose 95 % interval contains the true accuracy.

    Each question has a probability of a right answer of its own, drawn from Beta(2, 3), whose mean
    is the accuracy of the policy over all questions that there could be.
    """
    inside = 0
    for i in range(simulations):
        rng = np.random.default_rng([questions, samples, i])
        chances = rng.beta(2, 3, questions)
        right = rng.random((questions, samples)) < chances[:, None]
        clusters = np.repeat(np.arange(questions), samples).tolist()
        found = cluster_bootstrap(right.ravel().astype(float).tolist(), clusters, seed=i, draws=999)
        inside += found.low <= 2 / 5 <= found.high
    return inside / simulations


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2_000, help="of each size")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    given = parser.parse_args()
    console, table = Console(), Table("measure", "figure")
    with tempfile.TemporaryDirectory() as root, server() as url:
        wanted = settings(root, url, given.episodes)
        evaluate(settings(root, url, 4), lambda _: None)  # makes the questions
        begun, spent = time.perf_counter(), time.process_time()
        evaluate(wanted, lambda _: None)
        wall, spent = time.perf_counter() - begun, time.process_time() - spent
        sampled = read_evaluation(wanted.folder).sampled
        if {len(one.trajectory.turns) for one in sampled} != {SEARCHES + 1}:
            raise SystemExit("an episode did not have its four turns")
        table.add_row(f"{len(sampled):,} episodes of {SEARCHES + 1} turns", f"{wall:.1f} s")
        table.add_row("an episode, processor time", f"{1e3 * spent / len(sampled):.1f} ms")
        many = [sampled[i % len(sampled)] for i in range(PAGE)]
        begun = time.perf_counter()
        report = EvaluationReport(sampled=many, greedy=[], facts={})
        write_evaluation(Path(root) / "page.html", report)
        table.add_row(f"a page of {PAGE:,} episodes", f"{time.perf_counter() - begun:.1f} s")
    for size in track(SIZES, "simulating"):
        share = coverage(*size, given.simulations)
        name = f"{size[0]:,} questions, {size[1]} samples: intervals of 95 % contain the truth in"
        table.add_row(name, f"{share:.1%}")
    console.print(table)


if __name__ == "__main__":
    main()
