"""How rare an entity is: by its degree, by the documents that mention it, or by its prevalence.

Every measure says its unit. MedResearcher-R1 calls an entity rare below a frequency of 1e-6 over
PubMed; a small corpus cannot express that, so counts and totals are kept beside the share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from medenv.errors import UsageError
from medenv.kg.graph import Graph, IntArray
from medenv.records import Passage
from medenv.text import words as words_of

FloatArray = npt.NDArray[np.float64]
Unit = Literal["documents", "passages", "words"]

_RANGE = re.compile(r"(?:(\d+)\s*-\s*)?(\d+)\s*/\s*([\d ]+)")


@dataclass(frozen=True, eq=False)
class Rarity:
    """One number per node, small where the node is rare, not-a-number where nothing is known.

    Args:
        values: The numbers, float64, shape [nodes].
        unit: What the numbers are, in words.
        total: What shares were taken of, e.g. the number of documents; 0 where nothing was.
    """

    values: FloatArray
    unit: str
    total: int = 0

    def below(self, limit: float) -> IntArray:
        """Return the nodes whose number is known and at most `limit`, ascending."""
        return np.flatnonzero(self.values <= limit).astype(np.int32)


def by_degree(graph: Graph, min_degree: int = 1) -> Rarity:
    """Return for each node the share of its kind that has a smaller degree, in percent.

    Degrees count all relations. A node of the smallest degree has 0, whatever its kind's degrees.

    Args:
        graph: The graph.
        min_degree: Nodes of a smaller degree are not counted and have no number: an entity that
            the graph mentions once leads nowhere.

    Raises:
        UsageError: `min_degree` is below 1.
    """
    if min_degree < 1:
        raise UsageError(f"expected min_degree >= 1, got {min_degree}")
    degrees = graph.degrees()
    values = np.full(len(graph), np.nan)
    for code in range(len(graph.kinds)):
        nodes = np.flatnonzero((graph.kind_codes == code) & (degrees >= min_degree))
        mine = degrees[nodes]
        smaller = np.searchsorted(np.sort(mine), mine, side="left")
        values[nodes] = 100 * smaller / max(1, mine.size)
    return Rarity(values, "percent of the kind with a smaller degree")


def by_documents(graph: Graph, passages: Iterable[Passage], unit: Unit = "documents") -> Rarity:
    """Return for each node the share of a corpus that mentions it by name or alias.

    Names match as whole words in any spelling. Names of one word of fewer than three characters are
    no evidence of a mention and are not counted.

    Args:
        graph: The graph.
        passages: The corpus.
        unit: What is counted: documents (passages whose ids agree before ``#``), passages, or
            words (mentions per word).

    Raises:
        UsageError: The corpus is empty, or the unit is unknown.
    """
    if unit not in ("documents", "passages", "words"):
        raise UsageError(f"expected the unit documents, passages or words, got {unit!r}")
    index = _name_index(graph)
    counts = np.zeros(len(graph))
    units: set[str] = set()
    seen: set[tuple[str, int]] = set()
    total = 0
    for passage in passages:
        words = words_of(f"{passage.title} {passage.text}")
        key = passage.id.split("#")[0] if unit == "documents" else passage.id
        total += len(words)
        units.add(key)
        for node in _mentioned(words, index):
            if unit == "words" or (key, node) not in seen:
                seen.add((key, node))
                counts[node] += 1
    total = total if unit == "words" else len(units)
    if not total:
        raise UsageError("the corpus is empty, so nothing is rare in it")
    return Rarity(counts / total, f"share of {total:,} {unit}", total)


def _name_index(graph: Graph) -> dict[str, list[tuple[tuple[str, ...], int]]]:
    """Return the names by their first word, as words, each with its node."""
    index: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for node, name in enumerate(graph.nodes.names):
        for text in (name, *graph.nodes.aliases[node]):
            words = tuple(words_of(text))
            if len(words) > 1 or (words and len(words[0]) > 2):
                index.setdefault(words[0], []).append((words, node))
    return index


def _mentioned(words: list[str], index: dict[str, list[tuple[tuple[str, ...], int]]]) -> list[int]:
    """Return the node of every mention, one for each place where a name of it begins."""
    found = []
    for place, word in enumerate(words):
        here = {
            node
            for name, node in index.get(word, ())
            if tuple(words[place : place + len(name)]) == name
        }
        found += sorted(here)
    return found


def by_prevalence(graph: Graph, relation: str = "has_prevalence") -> Rarity:
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
    return Rarity(values, "upper end of the prevalence, share of the population")


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


def rare_nodes(graph: Graph, kind: str, percent: float = 10.0, min_degree: int = 2) -> IntArray:
    """Return the nodes of a kind whose degree is at most the kind's percentile, ascending.

    Args:
        graph: The graph.
        kind: The kind.
        percent: The percentile, in [0, 100].
        min_degree: Nodes of a smaller degree are left out, of the percentile too.

    Raises:
        UnknownNameError: No node has that kind.
        UsageError: `percent` is out of range.
    """
    if not 0 <= percent <= 100:
        raise UsageError(f"expected 0 <= percent <= 100, got {percent}")
    degrees = graph.degrees()
    nodes = graph.of_kind(kind)
    nodes = nodes[degrees[nodes] >= min_degree]
    if not nodes.size:
        return nodes
    return nodes[degrees[nodes] <= np.percentile(degrees[nodes], percent)]
