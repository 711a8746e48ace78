"""Passages of PubMed that BioASQ's experts picked, as texts of a graph and what they state.

BioASQ is a benchmark as well. Its questions and answers are not read here, but for the documents
that a file of them names, which are left out.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from medenv.data import require_file
from medenv.errors import DataError
from medenv.io import read_records
from medenv.kg.graph import Graph
from medenv.kg.graph.literature import document_of, with_literature
from medenv.retrieval.loaders import read_bioasq

ACKNOWLEDGEMENT = (
    "Passages of PubMed that BioASQ gives for its questions were read (BioASQ participation terms, "
    "no redistribution): hold a set made of them against the questions of BioASQ before it is "
    "evaluated on them (`medenv questions overlap`)."
)
"""Acknowledgement in the card of a set made from these passages."""


class _Asked(msgspec.Struct):
    """A question of BioASQ, of which the documents alone are read."""

    pmids: list[str | int]


def with_bioasq(
    graph: Graph, held_out: Path | str | None = None, path: Path | str | None = None
) -> tuple[Graph, dict[str, int]]:
    """Return a graph with the facts that BioASQ's passages state, and counts.

    Args:
        graph: The graph.
        held_out: A file of questions of BioASQ, one a line with its `pmids`; documents that they
            name are not read. None reads all: the passages do not say whose they are.
        path: The file of passages; by default the data set `bioasq`.

    Raises:
        DataError: A file is missing or malformed, or names no document.
    """
    kept = _documents(Path(held_out)) if held_out is not None else frozenset[str]()
    passages = list(read_bioasq(require_file("bioasq") if path is None else Path(path)))
    read = [one for one in passages if document_of(one.id) not in kept]
    made, counts = with_literature(graph, read)
    return made, counts | {"BioASQ: passages held out, not read": len(passages) - len(read)}


def _documents(path: Path) -> frozenset[str]:
    """Return the documents that questions of BioASQ name."""
    asked = read_records(path, _Asked, "a question of BioASQ with its pmids")
    found = frozenset(str(pmid) for one in asked for pmid in one.pmids)
    if not found:
        raise DataError(path, "expected questions of BioASQ with pmids, the file names no document")
    return found
