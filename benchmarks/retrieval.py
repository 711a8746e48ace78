"""How well each analysis of text finds passages: questions of experts, and names of diseases.

    python benchmarks/retrieval.py --folder FOLDER --write docs/results/retrieval.md

The questions are those of BioASQ's tasks 7b to 10b, the passages those of PubMed that its experts
picked. A document stands where its best passage stands; right are the documents that experts named
for the question and that have a passage here. nDCG@10 has gains of 0 and 1. bm25s gets the same
texts, with the same k1 and b, and cuts them with its own `tokenize`: English stop words, PyStemmer.

Names of diseases are searched in the passages of the rendered graph. Right are those that state the
one gene of the disease.
"""

from __future__ import annotations

import gzip
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import bm25s
import msgspec
import numpy as np
import Stemmer
import typer
from rich.console import Console
from rich.table import Table

from medenv.errors import DataError, MedEnvError
from medenv.evaluation.statistics import paired_cluster_bootstrap
from medenv.kg import Documents, Graph, load_hpo
from medenv.records import Passage
from medenv.retrieval import BM25Retriever
from medenv.retrieval.loaders import load_corpus
from medenv.text import ENGLISH, Analysis

DEPTH = 100
"""Passages found for a question, among which its ten documents are."""

ANALYSES = {
    "plain": Analysis(),
    "variants": Analysis(variants=True),
    "stop words": Analysis(stop_words="english"),
    "stemming": Analysis(stemming="english"),
    "stemming, stop words": Analysis(stemming="english", stop_words="english"),
    "english (all three)": ENGLISH,
}
PEER = "bm25s, stop words, stemming"

Search = Callable[[list[str]], list[list[Passage]]]


class Question(msgspec.Struct):
    """A question of BioASQ, and the documents that answer it."""

    question: str
    pmids: list[str]


class Row(NamedTuple):
    """The nDCG of each question and the speed of one retriever."""

    name: str
    ndcg: list[float]
    recall: list[float]
    rate: float


def ndcg(ranked: Sequence[str], right: set[str], k: int = 10) -> float:
    """Return the normalised discounted cumulative gain of the first k."""
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(right)) + 1))
    ranks = (rank for rank, one in enumerate(ranked[:k], 1) if one in right)
    return sum(1 / math.log2(rank + 1) for rank in ranks) / best


def document(passage: Passage) -> str:
    """Return the number of the document that a passage is of."""
    return passage.id.partition("#")[0].partition(":")[2]


def read_questions(folder: Path) -> list[Question]:
    """Return the questions of BioASQ that lie in a folder."""
    paths = sorted(folder.glob("bioasq_*b*-*b.jsonl.gz"))
    if not paths:
        raise DataError(folder, "holds no questions of BioASQ, such as bioasq_7b-10b.jsonl.gz")
    decode = msgspec.json.Decoder(Question).decode
    return [decode(line) for path in paths for line in gzip.open(path)]


def theirs(passages: Sequence[Passage], *, stemming: bool) -> Search:
    """Return how bm25s finds passages, with its own tokenizer."""
    stemmer = Stemmer.Stemmer("english") if stemming else None
    how: dict[str, Any] = {"stopwords": "en", "stemmer": stemmer, "show_progress": False}
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    texts = [f"{one.title} {one.text}" for one in passages]
    index.index(bm25s.tokenize(texts, **how), show_progress=False)

    def search(queries: list[str]) -> list[list[Passage]]:
        tokens = bm25s.tokenize(queries, **how)
        found, _ = index.retrieve(tokens, k=DEPTH, show_progress=False, n_threads=1)
        return [[passages[number] for number in row] for row in found.tolist()]

    return search


def ours(passages: Sequence[Passage], analysis: Analysis) -> Search:
    """Return how medenv finds passages."""
    index = BM25Retriever(passages, analysis=analysis)
    return lambda queries: [[one for one, _ in hits] for hits in index.search(queries, DEPTH)]


def measured(name: str, questions: Sequence[Question], search: Search) -> Row:
    """Ask all questions."""
    texts = [one.question for one in questions]
    search(texts)  # compiles, and reads the index for the first time
    began = time.perf_counter()
    found = search(texts)
    rate = len(texts) / (time.perf_counter() - began)
    ranked = [list(dict.fromkeys(map(document, hits)))[:10] for hits in found]
    pairs = [(ten, set(one.pmids)) for ten, one in zip(ranked, questions, strict=True)]
    recall = [len(right.intersection(ten)) / min(10, len(right)) for ten, right in pairs]
    return Row(name, [ndcg(ten, right) for ten, right in pairs], recall, rate)


def bioasq(folder: Path) -> list[Row]:
    """Return what was measured on BioASQ, bm25s first."""
    passages = list(load_corpus("bioasq", folder))
    known = set(map(document, passages))
    asked = (
        Question(one.question, [pmid for pmid in one.pmids if pmid in known])
        for one in read_questions(folder)
    )
    questions = [one for one in asked if one.pmids]
    print(f"{len(questions):,} questions, {len(passages):,} passages, {len(known):,} documents")
    rows = [measured("bm25s, stop words", questions, theirs(passages, stemming=False))]
    rows.append(measured(PEER, questions, theirs(passages, stemming=True)))
    rows += [measured(name, questions, ours(passages, one)) for name, one in ANALYSES.items()]
    return rows


def gene_questions(graph: Graph, rendered: Documents, count: int) -> list[tuple[str, set[str]]]:
    """Return names of diseases of one gene, each with the passages that state the gene."""
    found = []
    for node in graph.of_kind("disease").tolist():
        genes = graph.step(node, "has_gene").tolist()
        if len(genes) == 1:
            disease, gene = graph.nodes.ids[node], graph.nodes.ids[genes[0]]
            right = set(rendered.supporting(disease, "has_gene", gene))
            found.append((graph.nodes.names[node], right))
    order = np.random.default_rng(0).permutation(len(found))[:count]
    return [found[number] for number in sorted(order.tolist())]


def names(graph: Graph, count: int) -> Iterator[tuple[str, float, float]]:
    """Yield for each analysis how often a name finds its passage among five, and 1 / rank."""
    rendered = Documents(graph)
    asked = gene_questions(graph, rendered, count)
    print(f"{len(asked):,} names of diseases, {len(rendered.passages):,} passages")
    for name, analysis in ANALYSES.items():
        index = BM25Retriever(rendered.passages, analysis=analysis)
        shares = []
        found = index.search([text for text, _ in asked], 5)
        for hits, (_, right) in zip(found, asked, strict=True):
            ranks = [rank for rank, (one, _) in enumerate(hits, 1) if one.id in right]
            shares.append(1 / ranks[0] if ranks else 0.0)
        yield name, float(np.mean(np.array(shares) > 0)), float(np.mean(shares))


def cells(row: Row, peer: Row) -> list[str]:
    """Write a row as texts."""
    difference = paired_cluster_bootstrap(peer.ndcg, row.ndcg, range(len(row.ndcg)), seed=0)
    ends = f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    means = [f"{np.mean(one):.3f}" for one in (row.ndcg, row.recall)]
    return [row.name, *means, "" if row is peer else ends, f"{row.rate:,.0f}"]


def tables(rows: Sequence[Row], named: Sequence[tuple[str, float, float]]) -> list[list[list[str]]]:
    """Return both tables as texts, their heads first."""
    first = [["analysis", "nDCG@10", "recall@10", "against bm25s stemmed (95 %)", "questions/s"]]
    peer = next((row for row in rows if row.name == PEER), None)
    first += [cells(row, peer) for row in rows if peer is not None]
    second = [["analysis", "right among 5", "reciprocal rank"]]
    second += [[name, f"{100 * found:.1f} %", f"{mean:.3f}"] for name, found, mean in named]
    return [first, second] if rows else [second]


def page(found: list[list[list[str]]], graph: Graph, command: str) -> str:
    """Return the result as a page."""
    bioasq, names = (" ".join(part.split()) for part in (__doc__ or "").split("\n\n")[2:4])
    said = [bioasq, names][-len(found) :]
    lines = [
        "# How well each analysis of text finds passages\n",
        f"Repeat it with\n\n    {command}\n",
    ]
    for text, (head, *rows) in zip(said, found, strict=True):
        lines += [f"{text}\n", f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
        lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
    return "\n".join([*lines, f"{graph.info.label}. {graph.info.acknowledgement}\n"])


def main(
    folder: Annotated[Path | None, typer.Option(help="Folder of the files of BioASQ.")] = None,
    hpo: Annotated[Path | None, typer.Option(help="Folder of the HPO's files.")] = None,
    count: Annotated[int, typer.Option(help="Names of diseases.")] = 2000,
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Measure and print."""
    rows: list[Row] = []
    if folder is None:
        print("BioASQ is left out: name the folder of its files with --folder")
    else:
        rows = bioasq(folder)
    graph = load_hpo(hpo)
    found = tables(rows, list(names(graph, count)))
    for head, *body in found:
        table = Table(*head)
        for cell in body:
            table.add_row(*cell)
        Console().print(table)
    if write:
        given = " --folder FOLDER" if folder else ""
        command = f"python benchmarks/retrieval.py{given} --count {count}"
        write.write_text(page(found, graph, command), encoding="utf-8")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"retrieval: {error}")
