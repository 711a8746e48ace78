"""Families of questions beside chains around rare entities: how drugs act, and what genes change.

A family is a way through kinds of entities. A question of it takes that way from an entity of the
first kind, and every step is singled out and worded like one of a chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from medenv.kg.graph import BoolArray, Graph, IntArray, Rows
from medenv.kg.graph.mechanisms import MECHANISMS
from medenv.kg.graph.schema import (
    HAS_ACTIVITY,
    HAS_GENE,
    HAS_PHENOTYPE,
    HAS_VARIANT,
    IN_CLASS,
    IN_FAMILY,
    IN_PATHWAY,
    INHIBITS,
    REPORTED_TARGET,
    REPORTED_TREATMENT,
    RESPONSE_DEPENDS_ON,
    TREATMENT_NAMES,
    VARIANT_IN,
    Relation,
)
from medenv.kg.graph.topology import Topology
from medenv.kg.questions.drafts import Draft, Rejected, Rejection, SampleSpec
from medenv.kg.questions.rare_chains import ChainConfig, draft_path


class Family(NamedTuple):
    """A family of questions.

    Args:
        relations: Relations that a step may take, in either direction.
        ways: Kinds of the entities on the way, in each of which a question may be asked.
        needed: Relations of which a graph must have one.
    """

    relations: frozenset[str]
    ways: tuple[tuple[str, ...], ...]
    needed: frozenset[str]


def _family(relations: Iterable[Relation], *ways: str, needed: Iterable[Relation] = ()) -> Family:
    """Return a family from its relations, and its ways as kinds between arrows."""
    names = frozenset(relation.name for relation in relations)
    least = frozenset(relation.name for relation in needed) or names
    return Family(names, tuple(tuple(way.split(" > ")) for way in ways), least)


LITERATURE = (REPORTED_TREATMENT, REPORTED_TARGET)
"""Relations that sentences of the literature state."""


FAMILIES = {
    "mechanism": _family(
        [one.relation for one in MECHANISMS.values()],
        "drug > protein > biological_process > disease",
        "drug > protein > biological_process > biological_process > disease",
        "drug > biological_process > disease",
        "drug > gene_family > biological_process > disease",
        "disease > biological_process > protein > drug",
        "disease > biological_process > biological_process > protein > drug",
        "disease > biological_process > drug",
    ),
    "pharmacogenomics": _family(
        (HAS_GENE, RESPONSE_DEPENDS_ON, IN_PATHWAY, TREATMENT_NAMES),
        "disease > gene > drug",
        "drug > gene > disease",
        "pathway > gene > drug",
        "drug > gene > drug > disease",
        "disease > drug > gene",
    ),
    "variant": _family(
        (HAS_VARIANT, VARIANT_IN, HAS_GENE, IN_CLASS, IN_PATHWAY, IN_FAMILY),
        "variant > gene > disease > disease_class",
        "variant > disease > gene > pathway",
        "disease > variant > gene > gene_family",
    ),
    "enzyme": _family(
        (HAS_GENE, HAS_ACTIVITY, INHIBITS, IN_PATHWAY),
        "drug > enzyme > gene > disease",
        "disease > gene > enzyme > drug",
        "disease > gene > pathway > gene > disease",
        "disease > gene > enzyme > gene > disease",
    ),
    "treatment": _family(
        (TREATMENT_NAMES, HAS_GENE, HAS_PHENOTYPE),
        "gene > disease > drug",
        "phenotype > disease > drug",
        "drug > disease > gene",
        "phenotype > disease > drug > disease",
    ),
    "literature": _family(
        (*LITERATURE, HAS_GENE, HAS_PHENOTYPE, IN_PATHWAY, HAS_ACTIVITY, INHIBITS),
        "drug > gene",
        "gene > drug",
        "disease > drug",
        "drug > disease",
        "gene > disease > drug",
        "phenotype > disease > drug",
        "disease > gene > drug",
        "pathway > gene > drug",
        "enzyme > gene > drug",
        "gene > drug > disease",
        "disease > drug > gene",
        "enzyme > drug > disease",
        "enzyme > drug > gene",
        needed=LITERATURE,
    ),
}
"""The families by name."""


def has_data(graph: Graph, name: str) -> bool:
    """Return whether a graph has the kinds of entities of any way of a family, and a relation.

    Args:
        graph: The graph.
        name: Name of the family.
    """
    family = FAMILIES[name]
    ways = any(set(way) <= set(graph.kinds) for way in family.ways)
    return ways and bool(family.needed & set(graph.relations))


def family_topology(topology: Topology, edges: Mapping[str, Rows], name: str) -> Topology:
    """Return the part of a topology that a family moves in.

    Args:
        topology: The path nodes.
        edges: All edges that a path may take, both ways, see `asked_edges`.
        name: Name of the family.
    """
    graph = topology.graph
    forward = FAMILIES[name].relations & set(graph.relations)
    both = {way: edges[way] for one in forward for way in (one, graph.inverses[one])}
    return replace(topology, edges=both)


class Way(NamedTuple):
    """A way of a family in one part of the graph.

    Args:
        leading: For each entity on the way, whether each node may be it: it is of its kind and
            the rest of the way leads on from it, bool, shape [nodes].
        starts: The nodes that the way may start from, ascending.
    """

    leading: tuple[BoolArray, ...]
    starts: IntArray


def ways_of(topology: Topology, name: str) -> list[Way]:
    """Return the ways of a family that can be taken.

    Args:
        topology: What `family_topology` returned.
        name: Name of the family.
    """
    graph = topology.graph
    found = []
    for way in FAMILIES[name].ways:
        if not set(way) <= set(graph.kinds):
            continue
        leading = [np.ones(len(graph), dtype=bool)]
        for kind in way[::-1]:
            of_kind = topology.path_nodes & (graph.kind_codes == graph.kinds.index(kind))
            leading.append(of_kind & leading[-1])
            leading.append(topology.next_to(leading[-1]))
        onward = tuple(leading[1::2][::-1])
        starts = np.flatnonzero(onward[0]).astype(np.int32)
        found += [Way(onward, starts)] if starts.size else []
    return found


def draft_family(
    topology: Topology, name: str, way: Way, order: SampleSpec, config: ChainConfig
) -> Draft:
    """Return a question of a family, from the order's entity.

    Args:
        topology: What `family_topology` returned; uniqueness is checked in all of its graph.
        name: Name of the family.
        way: The way to take, which may start from the order's entity.
        order: What is asked for.
        config: How steps are singled out.

    Raises:
        Rejected: The way comes back on itself, or a step is not singled out.
    """
    path = [order.seed]
    for leading in way.leading[1:]:
        around = topology.neighbours(path[-1])
        onward = [node for node in around[leading[around]].tolist() if node not in path]
        if not onward:
            raise Rejected(Rejection.NO_WAY)
        path.append(int(order.rng.choice(onward)))
    return draft_path(topology, path, name, order, config)
