"""What the knowledge graph and the synthesis cost; every ratio is measured within one run.

    python benchmarks/kg.py                      # about three minutes on one core
    python benchmarks/kg.py load sampling        # some parts only

Memory is the growth of the process's resident set in a fresh process.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import networkx as nx
import numpy as np

from medenv.corpus import BM25Retriever
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo, load_hpo
from medenv.kg.chains import longest_chain
from medenv.kg.drafts import Rejected
from medenv.kg.production import Recipe, produce, workers
from medenv.kg.rarity import rare_nodes
from medenv.kg.schema import Relation
from medenv.kg.sources.hpo import NAMESPACES
from medenv.kg.topology import Topology
from medenv.kg.workshop import SynthesisConfig, Workshop


@contextmanager
def timed(name: str, target: str = "") -> Iterator[None]:
    """Print how long a block took."""
    start = time.perf_counter()
    yield
    report(name, f"{time.perf_counter() - start:.2f} s", target)


def report(name: str, value: str, target: str = "") -> None:
    """Print one figure beside what it is to reach."""
    print(f"{name:58} {value:>22}   {target}", flush=True)


def in_fresh_process(code: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


MEASURED = """
import resource, time
from pathlib import Path
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
import numpy
from medenv.kg import Graph, load_hpo
before, start = resident(), time.perf_counter()
graph = {call}
took = time.perf_counter() - start
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1e3
print(f"{{took:.2f}} s, peak {{peak:.0f}} MB, +{{resident() - before:.0f}} MB")
"""


def load() -> None:
    """Cold and cached loading of the HPO."""
    report("HPO, cold", in_fresh_process(MEASURED.format(call="load_hpo()")), "<= 3 s, 150 MB")
    with tempfile.TemporaryDirectory() as folder:
        load_hpo(cache=folder)
        code = MEASURED.format(call=f"load_hpo(cache={folder!r})")
        report("HPO, cached", in_fresh_process(code), "<= 0.3 s")


def seeds_of(graph: Graph, topology: Topology, number: int) -> list[int]:
    """Return rare seeds of all kinds, evenly."""
    rare = np.concatenate([rare_nodes(graph, kind) for kind in ("disease", "gene", "phenotype")])
    rare = rare[topology.path_nodes[rare]]
    return np.random.default_rng(0).choice(rare, number, replace=False).tolist()


def plain_around(graph: "nx.Graph[int]", seed: int, fan: int, hops: int) -> "nx.Graph[int]":
    """Do on networkx what `Topology.around` does."""
    found = {seed: None}
    frontier = [seed]
    for _ in range(hops):
        fresh = []
        for node in frontier:
            rarest = sorted(graph[node], key=lambda tail: (graph.nodes[tail]["degree"], tail))
            for tail in rarest[:fan]:
                if tail not in found and len(found) < 200:
                    found[tail] = None
                    fresh.append(tail)
        frontier = fresh
    return graph.subgraph(found).copy()


def plain_chain(graph: "nx.Graph[int]", seed: int, budget: int, seconds: float = 1e9) -> int:
    """Do on networkx what `longest_chain` does; return the hops."""
    rows = {n: sorted(graph[n], key=lambda t: (graph.degree[t], t)) for n in graph}
    path, places, on_path = [seed], [iter(rows[seed])], {seed}
    longest, steps, deadline = 0, 1, time.perf_counter() + seconds
    while path:
        tail = next((t for t in places[-1] if t not in on_path), None)
        if tail is None:
            on_path.discard(path.pop())
            places.pop()
            continue
        if steps >= budget or (steps % 256 == 0 and time.perf_counter() > deadline):
            break
        path.append(tail)
        places.append(iter(rows[tail]))
        on_path.add(tail)
        steps += 1
        longest = max(longest, len(path) - 1)
    return longest


def sampling() -> None:
    """Subgraphs and chains against the same algorithm on networkx, and against exhaustion."""
    graph = load_hpo(namespaces=NAMESPACES)
    topology = Topology(graph)
    seeds = seeds_of(graph, topology, 500)
    longest_chain(topology.around(seeds[0]))
    start = time.perf_counter()
    chains = [longest_chain(topology.around(s, hops=3, fan=8)) for s in seeds]
    ours = time.perf_counter() - start
    report("chains around 500 rare seeds", f"{500 / ours:,.0f} per s", ">= 100 per s")
    plain: nx.Graph[int] = nx.Graph()
    plain.add_nodes_from((n, {"degree": int(d)}) for n, d in enumerate(topology.degrees))
    for head in range(len(graph)):
        plain.add_edges_from((head, tail) for tail in topology.neighbours(head).tolist())
    start = time.perf_counter()
    for seed in seeds[:60]:
        plain_chain(plain_around(plain, seed, 8, 3), seed, 50_000)
    theirs = (time.perf_counter() - start) / 60
    start = time.perf_counter()
    for seed in seeds[:60]:
        longest_chain(topology.around(seed, hops=3, fan=8))
    ours = (time.perf_counter() - start) / 60
    report(
        "one chain, ours : networkx",
        f"{ours * 1e3:.2f} : {theirs * 1e3:.1f} ms",
        f"{theirs / ours:.0f} times faster (>= 10)",
    )
    open_ones = [(s, c) for s, c in zip(seeds, chains, strict=True) if not c.proved]
    shorter = 0
    for seed, chain in open_ones[:40]:
        around = plain_around(plain, seed, 8, 3)
        shorter += plain_chain(around, seed, 10**9, seconds=2) > chain.hops
    share = 1 - shorter / max(1, min(40, len(open_ones))) * len(open_ones) / 500
    report("as long as exhaustive search finds in 2 s", f"{share:.1%} of 500", ">= 95 %")


AS_NETWORKX = """
import networkx as nx
arrays = sum(r.starts.nbytes + r.tails.nbytes for r in graph.rows.values()) / 1e6
rows = {name: (rows.starts.tolist(), rows.tails.tolist()) for name, rows in graph.rows.items()}
before = resident()
plain = nx.Graph()
for name in graph.relations:
    starts, tails = rows[name]
    for head in range(len(graph)):
        plain.add_edges_from((head, t) for t in tails[starts[head]:starts[head + 1]])
print(f"{arrays:.1f} {resident() - before:.1f}")
"""


def memory() -> None:
    """All edges of the HPO in our arrays and in a networkx graph."""
    code = MEASURED.format(call="load_hpo(namespaces=('OMIM', 'ORPHA', 'DECIPHER'))") + AS_NETWORKX
    ours, theirs = map(float, in_fresh_process(code).splitlines()[-1].split())
    leaner = f"{theirs / ours:.1f} times leaner (>= 5)"
    report("memory of all edges, ours : networkx", f"{ours:.1f} : {theirs:.0f} MB", leaner)


def large() -> None:
    """A graph of two million random edges with the shape of a large one."""
    rng = np.random.default_rng(0)
    size, edges = 47_000, 2_000_000
    weights = rng.pareto(1.3, size) + 1
    builder = GraphBuilder(GraphInfo(source="random", version="0"))
    for node in range(size):
        builder.node(f"N:{node:05}", kind="entity", name=f"entity {node}")
    builder.relation(Relation(name="joined", inverse="joined_by", factual=True))
    ends = rng.choice(size, (edges, 2), p=weights / weights.sum())
    for head, tail in ends.tolist():
        builder.edge(f"N:{head:05}", "joined", f"N:{tail:05}")
    graph = builder.build()
    del builder, ends
    with tempfile.TemporaryDirectory() as folder:
        graph.save(Path(folder) / "graph")
        call = f"Graph.load({str(Path(folder) / 'graph')!r})"
        code = (
            "import medenv.kg.kernel\n"
            + MEASURED.format(call=call)
            + (
                "\nfrom medenv.kg.topology import Topology\n"
                "t = Topology(graph, 100_000)\nt.neighbours(0)\n"
                'print(f"with its topology +{resident() - before:.0f} MB")'
            )
        )
        told = in_fresh_process(code).replace("\n", "; ")
        report(f"{graph.edge_count:,} edges", told, "<= 100 MB")
    topology = Topology(graph, 100_000)
    topology.neighbours(0)
    took = []
    for seed in rng.choice(size, 200).tolist():
        start = time.perf_counter()
        topology.around(int(seed), hops=2)
        took.append((time.perf_counter() - start) * 1e3)
    report("subgraph of 200 nodes", f"{statistics.median(took):.1f} ms median", "<= 20 ms")


def synthesis() -> None:
    """Certified questions per second, and two processes against one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = load_hpo()
        documents = Documents(graph)
        graph.save(folder / "graph")
        with timed("documents and index"):
            BM25Retriever(documents.passages).save(folder / "index")
        config = SynthesisConfig()
        for graded in (False, True):
            retriever = BM25Retriever.load(folder / "index") if graded else None
            workshop = Workshop(documents, config, 1, retriever)
            rate = _rate(workshop, 1_500)
            report(
                f"certified questions{', graded' if graded else ''}",
                f"{rate:,.0f} per s",
                ">= 200 per s and core",
            )
        recipe = Recipe(folder / "graph", config, 1)
        rates = []
        for number in (1, 2):
            with workers(recipe, number) as attempts:
                list(islice(attempts("train", 0, 32), 8 * number))  # imports and first touches
                start = time.perf_counter()
                made = produce(recipe.workshop(), "train", 1_500, folder / f"j{number}", attempts)
                rates.append(len(made.questions) / (time.perf_counter() - start))
        report(
            "two processes : one",
            f"{rates[1]:,.0f} : {rates[0]:,.0f} per s",
            f"{rates[1] / rates[0]:.2f} times (near 2)",
        )


def _rate(workshop: Workshop, attempts: int) -> float:
    made = 0
    for i in range(attempts + 200):
        if i == 200:
            start, made = time.perf_counter(), 0
        try:
            workshop.attempt("train", i)
        except Rejected:
            continue
        made += 1
    return made / (time.perf_counter() - start)


PARTS: dict[str, Callable[[], None]] = {
    "load": load,
    "memory": memory,
    "sampling": sampling,
    "large": large,
    "synthesis": synthesis,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
