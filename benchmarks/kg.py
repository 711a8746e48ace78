"""What the knowledge graph and the synthesis cost; every ratio is measured within one run.

    python benchmarks/kg.py                      # some minutes on two idle cores
    python benchmarks/kg.py load sampling        # some parts only
    python benchmarks/kg.py presets              # ten thousand questions of each choice
    python benchmarks/kg.py scaling              # two processes against one; on an idle machine

Memory is the growth of the process's resident set in a fresh process. Times are seconds of one
core, so a busy machine adds little to them; two processes against one are told by the clock, which
is right on an idle machine alone, and beside two that share nothing, since cores may share. With
MEDENV_DATA naming a folder that holds hetionet/SYNTHETIC_hetionet_shape.npz, that graph is measured
too.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import msgspec
import networkx as nx
import numpy as np
from large_graphs import entailed_ends, joined, random_ends
from omegaconf import OmegaConf
from plain_chains import plain_around, plain_chain, plain_longest

from medenv.data import is_here
from medenv.integrations.hydra.launching import CONF
from medenv.kg import Documents, Graph, load_hpo
from medenv.kg.graph.rarity import rare_nodes
from medenv.kg.graph.topology import Topology, longest_chain
from medenv.kg.questions.drafts import Rejected
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.kg.questions.production import GenerationSpec, produce, workers
from medenv.kg.sources import open_source
from medenv.kg.sources.hpo import NAMESPACES
from medenv.retrieval import BM25Retriever

SCALED = 2_000  # questions of each process
PRESET_SIZE = 10_000


@contextmanager
def timed(name: str, target: str = "") -> Iterator[None]:
    """Print how long a block took."""
    start = time.process_time()
    yield
    report(name, f"{time.process_time() - start:.2f} s", target)


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
before, start = resident(), time.process_time()
graph = {call}
took = time.process_time() - start
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


def sampling() -> None:
    """Subgraphs and chains against the same algorithm on networkx, and against exhaustion."""
    graph = load_hpo(namespaces=NAMESPACES)
    topology = Topology(graph)
    seeds = seeds_of(graph, topology, 500)
    longest_chain(topology.around(seeds[0]))
    start = time.process_time()
    for seed in seeds:
        longest_chain(topology.around(seed, hops=3, fan=8))
    ours = time.process_time() - start
    report("chains around 500 rare seeds", f"{500 / ours:,.0f} per s", ">= 100 per s")
    plain: nx.Graph[int] = nx.Graph()
    plain.add_nodes_from((n, {"degree": int(d)}) for n, d in enumerate(topology.degrees))
    for head in range(len(graph)):
        plain.add_edges_from((head, tail) for tail in topology.neighbours(head).tolist())
    start = time.process_time()
    for seed in seeds[:60]:
        plain_chain(plain_around(plain, seed, 8, 3), seed, 50_000)
    theirs = (time.process_time() - start) / 60
    start = time.process_time()
    for seed in seeds[:60]:
        longest_chain(topology.around(seed, hops=3, fan=8))
    ours = (time.process_time() - start) / 60
    report(
        "one chain, ours : networkx",
        f"{ours * 1e3:.2f} : {theirs * 1e3:.1f} ms",
        f"{theirs / ours:.0f} times faster (>= 10)",
    )


def exhaustive() -> None:
    """Chains against what exhaustive search finds in two seconds; minutes."""
    graph = load_hpo(namespaces=NAMESPACES)
    topology = Topology(graph)
    proved = as_long = 0
    for seed in seeds_of(graph, topology, 500):
        around = topology.around(seed, hops=3, fan=8)
        chain = longest_chain(around)
        proved += chain.proved
        # Where the search ran to its end, nothing longer can be found.
        as_long += chain.proved or chain.hops >= plain_longest(around, seconds=2)
    report("chains proved the longest", f"{proved} of 500")
    report("as long as exhaustive search finds in 2 s", f"{as_long / 500:.1%} of 500", ">= 95 %")


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
    with tempfile.TemporaryDirectory() as folder:
        # Read from a saved graph: what reading the files leaves free would hide the growth.
        load_hpo(namespaces=NAMESPACES).save(Path(folder) / "graph")
        code = MEASURED.format(call=f"Graph.load({str(Path(folder) / 'graph')!r})") + AS_NETWORKX
        ours, theirs = map(float, in_fresh_process(code).splitlines()[-1].split())
    leaner = f"{theirs / ours:.1f} times leaner (>= 5)"
    report("memory of all edges, ours : networkx", f"{ours:.1f} : {theirs:.0f} MB", leaner)


def large() -> None:
    """Graphs of two million edges: random, the HPO with all it entails, the shape of Hetionet."""
    for name, (size, heads, tails) in (
        ("random", random_ends()),
        ("HPO, entailed", entailed_ends()),
    ):
        measured_large(name, joined(name, size, heads, tails, np.zeros_like(heads)))
    shape = Path(os.environ.get("MEDENV_DATA", "none")) / "hetionet/SYNTHETIC_hetionet_shape.npz"
    if shape.is_file():
        found = np.load(shape)
        ends, kinds = (found["source"], found["target"]), found["metaedge"]
        size = int(max(map(np.max, ends))) + 1
        measured_large("Hetionet's shape", joined("shape", size, *ends, kinds))


def measured_large(name: str, graph: Graph) -> None:
    """Memory of a graph with its topology in a fresh process, and the time of its subgraphs."""
    with tempfile.TemporaryDirectory() as folder:
        graph.save(Path(folder) / "graph")
        call = f"Graph.load({str(Path(folder) / 'graph')!r})"
        code = "import medenv.kg.graph.kernel\n" + MEASURED.format(call=call) + WITH_TOPOLOGY
        *_, told = in_fresh_process(code).splitlines()
        report(f"{name}: {graph.edge_count:,} edges", told, "<= 100 MB")
    topology = Topology(graph, 100_000)
    topology.neighbours(0)
    nodes = np.flatnonzero(topology.path_nodes)
    took, sizes = [], []
    for seed in np.random.default_rng(1).choice(nodes, 500).tolist():
        start = time.process_time()
        sizes.append(topology.around(int(seed), hops=2).nodes.size)
        took.append((time.process_time() - start) * 1e3)
    told = f"{statistics.median(took):.1f} ms, p99 {np.percentile(took, 99):.1f}"
    report(f"{name}: subgraph of {statistics.median(sizes):.0f} nodes", told, "<= 20 ms median")


WITH_TOPOLOGY = """
for rows in graph.rows.values():
    rows.tails.sum(), rows.starts.sum()
from medenv.kg.graph.topology import Topology
topology = Topology(graph, 100_000)
topology.neighbours(0)
print(f"with topology +{resident() - before:.0f} MB")
"""


def synthesis() -> None:
    """Certified questions per second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = load_hpo()
        documents = Documents(graph)
        graph.save(folder / "graph")
        with timed("documents and index"):
            BM25Retriever(documents.passages).save(folder / "index")
        config = QuestionSpec()
        for graded in (False, True):
            retriever = BM25Retriever.load(folder / "index") if graded else None
            workshop = QuestionGenerator(documents, config, 1, retriever)
            rate = _rate(workshop, 1_500)
            report(
                f"certified questions{', graded' if graded else ''}",
                f"{rate:,.0f} per s",
                ">= 200 per s and core",
            )


def presets() -> None:
    """Ten thousand certified and graded questions of one process, by preset; minutes."""
    for source, name, seed in (
        ("atlas", "mixed", 19),
        ("hpo", "mixed", 19),
        ("hpo", "rare_chains", 7),
    ):
        if source == "atlas" and not is_here("atlas"):
            report(f"{name} over the atlas", "not here", "medenv data fetch atlas")
            continue
        chosen = OmegaConf.to_container(OmegaConf.load(CONF / "questions" / f"{name}.yaml"))
        known = {k: v for k, v in chosen.items() if k in QuestionSpec.__struct_fields__}
        documents = Documents(open_source(source))
        retriever = BM25Retriever(documents.passages)
        generator = QuestionGenerator(
            documents, msgspec.convert(known, QuestionSpec), seed, retriever
        )
        start = time.process_time()
        produce(generator, "train", PRESET_SIZE)
        took = time.process_time() - start
        rate = f"{PRESET_SIZE / took:,.0f} per s ({took:,.0f} s)"
        report(f"{name} seed={seed} over {source}", rate, ">= 100 per s and core")


def scaling() -> None:
    """Two processes against one, by the clock, and what two that share nothing reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = load_hpo()
        graph.save(folder / "graph")
        BM25Retriever(Documents(graph).passages).save(folder / "index")
        recipe = GenerationSpec(
            folder / "graph", QuestionSpec(), 1, BM25Retriever.load, folder / "index"
        )
        rounds = [
            [
                *(_production(recipe, number, folder / f"j{i}-{number}") for number in (1, 2)),
                *((_strangers(recipe, number), 0.0) for number in (1, 2)),
            ]
            for i in range(3)
        ]
        rates = [[rate for rate, _ in one] for one in rounds]
        one, two, alone, beside = (statistics.median(column) for column in zip(*rates, strict=True))
        told = statistics.median(of[1] / of[0] for of in rates)
        goal = f"{told:.2f} times, median of 3 (near 2, where the machine has it to give)"
        report("two processes : one", f"{two:,.0f} : {one:,.0f} per s", goal)
        told = statistics.median(of[3] / of[2] for of in rates)
        report(
            "  two that share nothing : one", f"{beside:,.0f} : {alone:,.0f} per s", f"{told:.2f}"
        )
        # What the first process does by itself does not get quicker with more of them.
        own = statistics.median(of[1][1] for of in rounds)
        report("  the first process's own work", f"{own * 1e3:.2f} ms per question")


def _production(recipe: GenerationSpec, number: int, journal: Path) -> tuple[float, float]:
    """Return questions per second of some processes, and the first one's own seconds for each."""
    workshop = recipe.generator()
    with workers(recipe, number) as attempts:
        list(islice(attempts("train", 0, 32, set()), 8 * number))  # imports and first touches
        start, own = time.perf_counter(), time.process_time()
        made = len(produce(workshop, "train", SCALED * number, journal, attempts).questions)
        return made / (time.perf_counter() - start), (time.process_time() - own) / made


def _strangers(recipe: GenerationSpec, number: int) -> float:
    """Return questions per second of processes that all make the same, each for itself."""
    context = get_context("spawn")
    ready = context.Barrier(number + 1, timeout=300)  # one that failed is not waited for
    processes = [context.Process(target=_stranger, args=(recipe, ready)) for _ in range(number)]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit("a process that was measured failed")
    return SCALED * number / (time.perf_counter() - start)


def _stranger(recipe: GenerationSpec, ready: Barrier) -> None:
    workshop = recipe.generator()
    _make(workshop, 0, 200)
    ready.wait()
    _make(workshop, 200, SCALED)


def _make(workshop: QuestionGenerator, first: int, number: int) -> None:
    """Make so many questions."""
    while number:
        with suppress(Rejected):
            workshop.attempt("train", first)
            number -= 1
        first += 1


def _rate(workshop: QuestionGenerator, attempts: int) -> float:
    made = 0
    for i in range(attempts + 200):
        if i == 200:
            start, made = time.process_time(), 0
        try:
            workshop.attempt("train", i)
        except Rejected:
            continue
        made += 1
    return made / (time.process_time() - start)


PARTS: dict[str, Callable[[], None]] = {
    "load": load,
    "memory": memory,
    "sampling": sampling,
    "exhaustive": exhaustive,
    "large": large,
    "synthesis": synthesis,
    "presets": presets,
    "scaling": scaling,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
