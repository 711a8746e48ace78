"""One table: BM25, dense, hybrid and the medical search, on BioASQ and on hops of our questions.

    medenv data fetch atlas minilm
    python benchmarks/encoders.py --folder FOLDER-OF-BIOASQ --write docs/results/encoders.md

Questions are drawn by seed; the passages are those that answer them and others drawn by seed. A
hop is searched by the name of the entity where it starts and the noun of what is sought; right are
the passages that state it. Dense vectors come from all-MiniLM-L6-v2 on the CPU.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from retrieval import document, ndcg, read_questions

from medenv.errors import MedEnvError
from medenv.kg.certificates.certificate import documents_of
from medenv.kg.documents.naming import noun
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.kg.questions.production import produce
from medenv.kg.sources import open_source
from medenv.records import Passage
from medenv.retrieval.bm25 import BM25Retriever
from medenv.retrieval.dense import DenseRetriever, HybridRetriever
from medenv.retrieval.encoders import open_encoder
from medenv.retrieval.loaders import load_corpus
from medenv.text import ENGLISH
from medenv.tools.med_search import MedSearch

Search = Callable[[str], list[str]]


class Task(NamedTuple):
    """Queries, the ids that are right for each, and the passages that are searched."""

    name: str
    queries: list[str]
    right: list[set[str]]
    passages: list[Passage]
    key: Callable[[Passage], str]


def filled(
    needed: set[str], passages: Sequence[Passage], key: Callable[[Passage], str], size: int
) -> list[Passage]:
    """Return the passages that are needed and others drawn by seed."""
    own = [passage for passage in passages if key(passage) in needed]
    others = [passage for passage in passages if key(passage) not in needed]
    drawn = np.random.default_rng(0).permutation(len(others))[: max(0, size - len(own))]
    return own + [others[n] for n in sorted(drawn.tolist())]


def bioasq(folder: Path, count: int, size: int) -> Task:
    """Return questions of BioASQ over a part of its passages."""
    passages = list(load_corpus("bioasq", folder))
    known = {document(passage) for passage in passages}
    asked = [one for one in read_questions(folder) if known & set(one.pmids)]
    chosen = [asked[n] for n in np.random.default_rng(1).permutation(len(asked))[:count].tolist()]
    right = [known & set(one.pmids) for one in chosen]
    needed = set().union(*right)
    queries = [one.question for one in chosen]
    return Task("BioASQ", queries, right, filled(needed, passages, document, size), document)


def hops(source: str, count: int, size: int) -> Task:
    """Return hops of rare chains over a part of a graph's documents."""
    graph = open_source(source)
    spec = QuestionSpec(kinds={"rare_chains": 1}, levels=(0,))
    documents = documents_of(graph)
    made = produce(QuestionGenerator(documents, spec, 5), "test", count // 2)
    steps = [hop for question in made.questions for hop in question.proof.path if hop.passages]
    drawn = np.random.default_rng(3).permutation(len(steps))[:count].tolist()
    queries, right = [], []
    for hop in (steps[n] for n in drawn):
        head, tail = graph.number(hop.head), graph.number(hop.tail)
        queries.append(f"{graph.nodes.names[head]} {noun(graph.kind(tail))}")
        right.append(set(hop.passages))
    passages = list(documents.passages)
    needed = set().union(*right)
    whole = filled(needed, passages, lambda passage: passage.id, size)
    return Task(f"hops, {source}", queries, right, whole, lambda passage: passage.id)


def measured(task: Task, search: Callable[[str], list[Passage]]) -> str:
    """Return nDCG@10 and recall@10 with intervals, and queries per second."""
    search(task.queries[0])
    began = time.perf_counter()
    found = [search(query) for query in task.queries]
    rate = len(found) / (time.perf_counter() - began)
    ranked = [list(dict.fromkeys(map(task.key, hits)))[:10] for hits in found]
    pairs = list(zip(ranked, task.right, strict=True))
    gains = [ndcg(ten, right) for ten, right in pairs]
    recall = [len(right & set(ten)) / min(10, len(right)) for ten, right in pairs]
    return f"{interval(gains)} | {interval(recall)} | {rate:,.0f}"


def interval(values: Sequence[float]) -> str:
    """Return the mean with its 95 % interval over resampled questions."""
    data, rng = np.array(values), np.random.default_rng(2)
    means = data[rng.integers(0, len(data), (2000, len(data)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{data.mean():.3f} ({low:.3f} to {high:.3f})"


def table(task: Task) -> list[str]:
    """Return the rows of a task."""
    encode = open_encoder("minilm", {})
    bm25 = BM25Retriever(task.passages, analysis=ENGLISH)
    dense = DenseRetriever(task.passages, encode)
    hybrid = HybridRetriever([bm25, dense])
    by_id = {passage.id: passage for passage in task.passages}
    medical = MedSearch(bm25, k=20)
    searches: dict[str, Callable[[str], list[Passage]]] = {
        "BM25 (english)": lambda query: [one for one, _ in bm25.search([query], 30)[0]],
        "dense (minilm)": lambda query: [one for one, _ in dense.search([query], 30)[0]],
        "hybrid": lambda query: [one for one, _ in hybrid.search([query], 30)[0]],
        "med_search over BM25": lambda query: [by_id[n] for n in medical.call(query).passages],
    }
    size = f"{len(task.queries)} queries, {len(task.passages):,} passages"
    return [
        f"| {task.name}: {size} | {name} | {measured(task, search)} |"
        for name, search in searches.items()
    ]


def main(
    folder: Annotated[Path, typer.Option(help="Folder of the files of BioASQ.")],
    count: Annotated[int, typer.Option(help="Queries of each task.")] = 300,
    size: Annotated[int, typer.Option(help="Passages of each task.")] = 4000,
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Measure four retrievers on three tasks."""
    lines = [
        "| task | retriever | nDCG@10 | recall@10 | queries/s |",
        "|---|---|---|---|---|",
    ]
    for task in (bioasq(folder, count, size), hops("hpo", count, size), hops("atlas", count, size)):
        lines += table(task)
        print(*lines[-4:], sep="\n", flush=True)
    if write:
        head = (
            "# Four retrievers in one run\n\n    python benchmarks/encoders.py --folder FOLDER\n\n"
        )
        why = (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2]
        write.write_text(f"{head}{why}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"encoders: {error}")
