"""What the weight of relevance in med_search does: right passages against unreliable ones.

    python benchmarks/med_search.py                                     # the rendered HPO alone
    python benchmarks/med_search.py --folder FOLDER --write docs/...    # with MedQuAD and Orphanet

The score of a passage is ``weight * relevance + (1 - weight) * authority``. Questions are labelled
by the corpora themselves: a disease's gene, with the passages of the rendered graph that state it;
a MedQuAD question, with the passages of its answer's document; an Orphanet disease, with the
passages of its definition. To every question one passage of a forum is added that repeats its
wording and answers it with something else, as misleading pages do. A weight of 1 is plain BM25.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from medenv.errors import DataError, MedEnvError
from medenv.io import read_records
from medenv.kg import Documents, Graph, load_hpo
from medenv.records import Passage
from medenv.retrieval import BM25Retriever
from medenv.retrieval.loaders import LOADERS, load_corpus
from medenv.tools.med_search import MedSearch

WEIGHTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.0)
SHOWN = 5


class Pair(msgspec.Struct):
    """A question of MedQuAD."""

    question: str


class Document(msgspec.Struct):
    """A document of MedQuAD with the questions that it answers."""

    id: str
    qa: list[Pair]


class Labelled(NamedTuple):
    """A question and what answers it: passage ids, or beginnings of them."""

    kind: str
    text: str
    right: tuple[str, ...]


class Row(NamedTuple):
    """What a weight comes to, for one kind of question."""

    kind: str
    weight: float
    found: float
    reciprocal: float
    misled_first: float
    misled: float
    authority: float


class Asked:
    """A retriever that answers every query once, however often it is asked.

    Args:
        retriever: Answers it.
    """

    def __init__(self, retriever: BM25Retriever) -> None:
        self._retriever = retriever
        self._known: dict[tuple[str, int], list[tuple[Passage, float]]] = {}

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return what the retriever finds."""
        for query in queries:
            if (query, k) not in self._known:
                (self._known[query, k],) = self._retriever.search([query], k)
        return [self._known[query, k] for query in queries]

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id."""
        return self._retriever.get(passage_id)


class World:
    """The corpus and its questions.

    Args:
        graph: Rendered into passages.
        folder: Public corpora, or None.
        count: Questions of each kind.
    """

    def __init__(self, graph: Graph, folder: Path | None, count: int) -> None:
        self._documents, self._folder, self._count = Documents(graph), folder, count
        self._rng = np.random.default_rng(0)

    @cached_property
    def passages(self) -> list[Passage]:
        """All passages but the planted ones."""
        public = (self._public(name) for name in LOADERS) if self._folder else ()
        return [*self._documents.passages, *itertools.chain.from_iterable(public)]

    def questions(self) -> list[Labelled]:
        """Return the labelled questions, the same ones each time."""
        made = [list(self._genes())]
        if self._folder:
            made += [list(self._medquad()), list(self._orphanet())]
        return [one for kind in made for one in self._some(kind)]

    def planted(self, questions: Iterable[Labelled]) -> Iterator[Passage]:
        """Yield a misleading passage for each question."""
        for number, one in enumerate(questions):
            text = f"{one.text} {one.text} I read somewhere that it is zinc deficiency."
            yield Passage(id=f"FORUM:{number}#0", title=one.text, text=text, source="Web forum")

    def _public(self, name: str) -> Iterator[Passage]:
        try:
            yield from load_corpus(name, self._folder or "")
        except DataError as error:
            print(f"left out: {error}")

    def _some(self, questions: list[Labelled]) -> list[Labelled]:
        chosen = self._rng.permutation(len(questions))[: self._count]
        return [questions[number] for number in sorted(chosen.tolist())]

    def _genes(self) -> Iterator[Labelled]:
        graph = self._documents.graph
        for node in graph.of_kind("disease").tolist():
            genes = graph.step(node, "has_gene").tolist()
            if len(genes) == 1:
                disease, gene = graph.nodes.ids[node], graph.nodes.ids[genes[0]]
                right = self._documents.supporting(disease, "has_gene", gene)
                text = f"Which gene is associated with {graph.nodes.names[node]}?"
                yield Labelled("gene of a disease", text, right)

    def _medquad(self) -> Iterator[Labelled]:
        stems = LOADERS["medquad"].files
        paths = [self._folder / f"{stem}.jsonl.gz" for stem in stems] if self._folder else []
        for path in filter(Path.is_file, paths):
            for one in read_records(path, Document):
                for pair in one.qa[:1]:
                    right = (f"MEDQUAD:{one.id}#",)
                    yield Labelled("MedQuAD question", pair.question, right)

    def _orphanet(self) -> Iterator[Labelled]:
        for passage in self._public("orphanet"):
            if passage.id.endswith("#0"):
                text = f"What is {passage.title}?"
                yield Labelled("Orphanet definition", text, (passage.id[:-1],))


def measure(asked: Asked, weight: float, questions: Sequence[Labelled]) -> Row:
    """Ask all questions of a kind with one weight."""
    tool = MedSearch(asked, k=SHOWN, weight=weight)
    ranks, first, among, authority = [], [], [], []
    for one in questions:
        shown = tool.call(one.text).passages
        right = [rank for rank, name in enumerate(shown, 1) if name.startswith(one.right)]
        wrong = [name.startswith("FORUM:") for name in shown]
        ranks.append(1 / right[0] if right else 0.0)
        first.append(bool(wrong and wrong[0]))
        among.append(any(wrong))
        authority += [tool.authority(passage) for name in shown if (passage := asked.get(name))]
    found = np.mean([rank > 0 for rank in ranks])
    figures = (found, np.mean(ranks), np.mean(first), np.mean(among), np.mean(authority))
    return Row(questions[0].kind, weight, *map(float, figures))


def rows(world: World) -> Iterator[Row]:
    """Yield what was measured, kind by kind and weight by weight."""
    questions = world.questions()
    passages = [*world.passages, *world.planted(questions)]
    print(f"{len(passages):,} passages, {len(questions)} of them planted")
    asked = Asked(BM25Retriever(passages))
    for kind, group in itertools.groupby(questions, key=lambda one: one.kind):
        same = list(group)
        print(f"{kind}: {len(same)} questions, e.g. {same[0].text!r}")
        for weight in WEIGHTS:
            yield measure(asked, weight, same)


def page(found: Sequence[Row], graph: Graph, command: str) -> str:
    """Return the result as a page."""
    lines = [
        "# What the weight of relevance in med_search does\n",
        f"Measured on {graph.info.label}, rendered, and public corpora. Repeat it with\n",
        f"    {command}\n",
        f"{' '.join((__doc__ or '').split(chr(10) * 2)[2].split())}\n",
        "| question | weight | right among 5 | reciprocal rank | misled first | misled among 5 "
        "| mean authority |\n|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [f"| {' | '.join(cells(row))} |" for row in found]
    return "\n".join([*lines, f"\n{graph.info.acknowledgement}\n"])


def cells(row: Row) -> list[str]:
    """Write a row as texts."""
    shares = [f"{100 * one:.1f} %" for one in (row.found, row.misled_first, row.misled)]
    mean = f"{row.authority:.2f}"
    return [row.kind, f"{row.weight:g}", shares[0], f"{row.reciprocal:.3f}", *shares[1:], mean]


def main(
    folder: Annotated[Path | None, typer.Option(help="Folder of public corpora.")] = None,
    hpo: Annotated[Path | None, typer.Option(help="Folder of the HPO's files.")] = None,
    count: Annotated[int, typer.Option(help="Questions of each kind.")] = 1000,
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Measure and print."""
    graph = load_hpo(hpo)
    found = list(rows(World(graph, folder, count)))
    names = ("right among 5", "reciprocal rank", "misled first", "misled among 5", "authority")
    table = Table("question", "weight", *names)
    for row in found:
        table.add_row(*cells(row))
    Console().print(table)
    if write:
        command = f"python benchmarks/med_search.py --count {count}"
        command += " --folder FOLDER" if folder else ""
        write.write_text(page(found, graph, command), encoding="utf-8")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"med_search: {error}")
