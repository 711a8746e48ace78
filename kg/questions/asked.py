"""Which entities and edges a chain may pass: what a clinician would follow, and a reader can check.

A finding that dozens of diseases share says nothing about any of them; what one patient had may be
chance; "Blue cone monochromacy" in the disease of that name is no step; and a susceptibility is no
disease.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medenv.kg.certificates.conditions import entailed_counts, reach
from medenv.kg.graph import BoolArray, Graph, Rows
from medenv.kg.graph.literature import MORE_OF_HEAD, MORE_OF_TAIL, NAMED, STATEMENT
from medenv.kg.graph.schema import HAS_PHENOTYPE, IN_CLASS, IS_A
from medenv.kg.questions.drafts import telling_words, tells

MOST_BEARERS = 60
"""Most diseases in which a finding on a path is reported."""

_NO_DISEASE = re.compile(r"susceptib|modifie[rd]|predispos|resistance|protection against", re.I)
_NOT_ACTED_ON = re.compile(r"[CD](/[CD])?|")  # CPIC: of its levels, A and B have guidance
_NAMED_ALONE, _MORE_OF_HEAD, _MORE_OF_TAIL = map(re.compile, (NAMED, MORE_OF_HEAD, MORE_OF_TAIL))
_ONE_PATIENT = re.compile(r"1/\d+(\|1/\d+)*")


def asked_nodes(
    graph: Graph, max_subtypes: int, fields: npt.NDArray[np.int8] | None = None
) -> BoolArray:
    """Return for each node whether a path may pass it, bool, shape [nodes].

    Hub findings, headings of the ontology, groups of diseases, susceptibilities and modifiers may
    not be passed. They still count where something is said to be the only one.

    Args:
        graph: The graph.
        max_subtypes: Most subtypes of an entity.
        fields: Number of each node's medical field; where given, a finding is passed only if at
            least half of the diseases that have it are of one field.
    """
    fit = np.ones(len(graph), dtype=bool)
    if IS_A.inverse in graph.rows:
        fit &= entailed_counts(graph, IS_A.inverse) <= max_subtypes
    if HAS_PHENOTYPE.inverse in graph.rows:
        fit &= entailed_counts(graph, HAS_PHENOTYPE.inverse) <= MOST_BEARERS
        if fields is not None:
            fit &= _of_one_field(graph, fields)
    for node in graph.of_kind("disease").tolist() if "disease" in graph.kinds else ():
        fit[node] = is_disease(graph, node)
    return fit


def _of_one_field(graph: Graph, fields: npt.NDArray[np.int8]) -> BoolArray:
    """Return for each finding whether half of its diseases are of one field; else True."""
    rows = graph.rows[HAS_PHENOTYPE.inverse]
    heads, total = rows.heads(), np.diff(rows.starts)
    most = np.zeros(len(graph), dtype=np.int64)
    for field in np.unique(fields):
        mine = np.bincount(heads[fields[rows.tails] == field], minlength=len(graph))
        most = np.maximum(most, mine)
    return np.asarray(2 * most >= total)


def is_disease(graph: Graph, node: int) -> bool:
    """Whether an entry of a catalogue of diseases is one: no group, susceptibility or modifier.

    Args:
        graph: The graph.
        node: The node, of kind ``"disease"``.
    """
    grouped = IN_CLASS.inverse in graph.rows and graph.step(node, IN_CLASS.inverse).size > 0
    return not grouped and not _NO_DISEASE.search(graph.nodes.names[node])


def asked_edges(graph: Graph) -> dict[str, Rows]:
    """Return the edges that a path may take, by relation, in both directions.

    They are the factual ones, and those from diseases to their classes. An edge is left out where
    one end's name tells the other's, where it rests on one patient, where guidance does not
    recommend to act on it, and where a text names its ends without stating it. An edge is not taken
    to where texts name more entities than the graph has.

    Args:
        graph: The graph.
    """
    asked = {}
    words = [telling_words(graph, node) for node in range(len(graph))]
    for relation in graph.relations.values():
        if relation.factual or relation.name == IN_CLASS.name:
            rows = graph.rows[relation.name]
            heads, tails = rows.heads(), rows.tails
            keep = ~_values(graph, relation.name, "frequency", _ONE_PATIENT)
            keep &= ~_values(graph, relation.name, "level", _NOT_ACTED_ON)
            keep &= ~_values(graph, relation.name, STATEMENT, _NAMED_ALONE)
            for edge in np.flatnonzero(keep).tolist():
                head, tail = words[heads[edge]], words[tails[edge]]
                keep[edge] = not ((head and head <= tail) or (tail and tail <= head))
            of_head = _values(graph, relation.name, STATEMENT, _MORE_OF_HEAD)
            asked[relation.name] = rows.where(keep & ~of_head)
            keep &= ~_values(graph, relation.name, STATEMENT, _MORE_OF_TAIL)
            pairs = heads[keep].astype(np.int64) + tails[keep].astype(np.int64) * len(graph)
            back = graph.rows[relation.inverse]
            found = np.isin(back.tails + back.heads().astype(np.int64) * len(graph), pairs)
            asked[relation.inverse] = back.where(found)
    return asked


def _values(graph: Graph, relation: str, qualifier: str, wanted: re.Pattern[str]) -> BoolArray:
    """Return for each edge of a relation whether a qualifier has some form, bool, shape [edges]."""
    column = graph.columns.get(relation, {}).get(qualifier)
    if column is None:
        return np.zeros(graph.rows[relation].tails.size, dtype=bool)
    found = np.array([bool(wanted.fullmatch(value)) for value in column.values])
    return found[column.codes]


def repeats(graph: Graph, path: Sequence[int]) -> bool:
    """Whether the end of a path was named before: by a telling name, or as a kind of a finding.

    Args:
        graph: The graph.
        path: The nodes, without a repetition up to the last one.
    """
    *before, last = path
    if any(tells(graph, one, last) or tells(graph, last, one) for one in before):
        return True
    if graph.kind(last) != "phenotype" or IS_A.name not in graph.rows:
        return False
    return any(
        graph.kind(one) == "phenotype"
        and (last in reach(graph, one, IS_A.name) or one in reach(graph, last, IS_A.name))
        for one in before
    )
