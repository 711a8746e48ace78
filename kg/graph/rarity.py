"""How rare an entity is: by its degree, by the documents that mention it, or by its prevalence.

Every measure is one number per node, small where the node is rare and not-a-number where nothing is
known. MedResearcher-R1 calls an entity rare below a frequency of 1e-6 over PubMed; a small corpus
cannot express that, so entities are rare in the lowest so many percent of their kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.graph import Graph, IntArray
from medenv.records import Passage
from medenv.text import words as words_of

FloatArray = npt.NDArray[np.float64]

RARITIES = ("degree", "documents", "prevalence")
"""The measures by name."""

_RANGE = re.compile(r"(?:(\d+)\s*-\s*)?(\d+)\s*/\s*([\d ]+)")


def by_documents(graph: Graph, passages: Iterable[Passage]) -> FloatArray:
    """Return for each node the share of a corpus's documents that mention it by name or alias.

    Names match as whole words in any spelling. Names of one word of fewer than three characters are
    no evidence of a mention and are not counted. Passages whose ids agree before ``#`` are of one
    document.

    Args:
        graph: The graph.
        passages: The corpus.

    Raises:
        UsageError: The corpus is empty.
    """
    names, lengths = _name_index(graph)
    mentions: set[tuple[str, int]] = set()
    documents: set[str] = set()
    for passage in passages:
        words = words_of(f"{passage.title} {passage.text}")
        document = passage.id.split("#")[0]
        documents.add(document)
        for place, word in enumerate(words):
            for length in lengths.get(word, ()):
                for node in names.get(tuple(words[place : place + length]), ()):
                    mentions.add((document, node))
    if not documents:
        raise UsageError("the corpus is empty, so nothing is rare in it")
    nodes = np.fromiter((node for _, node in mentions), dtype=np.int64, count=len(mentions))
    return np.bincount(nodes, minlength=len(graph)) / len(documents)


def _name_index(
    graph: Graph,
) -> tuple[dict[tuple[str, ...], list[int]], dict[str, set[int]]]:
    """Return the nodes of each name in words, and the lengths of names by their first word."""
    names: dict[tuple[str, ...], list[int]] = {}
    lengths: dict[str, set[int]] = {}
    for node, name in enumerate(graph.nodes.names):
        for text in (name, *graph.nodes.aliases[node]):
            words = tuple(words_of(text))
            if len(words) > 1 or (words and len(words[0]) > 2):
                names.setdefault(words, []).append(node)
                lengths.setdefault(words[0], set()).add(len(words))
    return names, lengths


def by_prevalence(graph: Graph, relation: str = "has_prevalence") -> FloatArray:
    """Return for each node the upper end of its prevalence, as a share of the population.

    Reads the names of the prevalence classes that a relation leads to, such as
    ``"1-9 / 1 000 000"`` and ``"<1 / 1 000 000"``; of several classes the highest counts.

    Args:
        graph: The graph.
        relation: The relation from an entity to its prevalence class.

    Raises:
        UsageError: The graph states no prevalence.
    """
    if relation not in graph.rows:
        raise UsageError(f"{graph.info.label} has no relation {relation!r}, so no prevalence")
    values = np.full(len(graph), np.nan)
    starts, tails = graph.rows[relation]
    for node in np.flatnonzero(np.diff(starts)):
        shares = [
            share
            for tail in tails[starts[node] : starts[node + 1]]
            if (share := upper_share(graph.nodes.names[tail])) is not None
        ]
        if shares:
            values[node] = max(shares)
    return values


def upper_share(prevalence: str) -> float | None:
    """Return the upper end of a prevalence class as a share, or None where it states none.

    Args:
        prevalence: Such as ``"1-9 / 100 000"``, ``"<1 / 1 000 000"`` or ``">1 / 1000"``; the last
            has no upper end but 1.
    """
    found = _RANGE.search(prevalence)
    if found is None:
        return None
    if prevalence.lstrip().startswith(">"):
        return 1.0
    return int(found.group(2)) / int(found.group(3).replace(" ", ""))


def measured(graph: Graph, measure: str, passages: Iterable[Passage]) -> FloatArray:
    """Return the numbers of a measure.

    Args:
        graph: The graph.
        measure: One of `RARITIES`.
        passages: The corpus whose documents are counted.

    Raises:
        UnknownNameError: There is no such measure.
        UsageError: The graph states no prevalence, or the corpus is empty.
    """
    if measure not in RARITIES:
        raise UnknownNameError("measure of rarity", measure, RARITIES)
    if measure == "documents":
        return by_documents(graph, passages)
    return by_prevalence(graph) if measure == "prevalence" else graph.degrees().astype(np.float64)


def rare_nodes(
    graph: Graph,
    kind: str,
    percent: float = 10.0,
    min_degree: int = 2,
    values: FloatArray | None = None,
) -> IntArray:
    """Return the nodes of a kind whose number is at most the kind's percentile, ascending.

    Args:
        graph: The graph.
        kind: The kind.
        percent: The percentile, in [0, 100].
        min_degree: Nodes of a smaller degree are left out, of the percentile too.
        values: The numbers of a measure, or None for the degrees; unknown ones are left out.

    Raises:
        UnknownNameError: No node has that kind.
        UsageError: `percent` is out of range.
    """
    if not 0 <= percent <= 100:
        raise UsageError(f"expected 0 <= percent <= 100, got {percent}")
    degrees = graph.degrees()
    numbers: npt.NDArray[Any] = degrees if values is None else values
    nodes: IntArray = graph.of_kind(kind)
    nodes = nodes[(degrees[nodes] >= min_degree) & ~np.isnan(numbers[nodes])]
    if not nodes.size:
        return nodes
    low: IntArray = nodes[numbers[nodes] <= np.percentile(numbers[nodes], percent)]
    return low
