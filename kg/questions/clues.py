"""Clues that leave one candidate: chosen greedily, the least telling first where they do as well.

A clue that alone singles its entity out in the whole graph would be a second question; where it can
be helped, clues are attributes and findings that many share, and only their combination tells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from medenv.kg.certificates.conditions import (
    Clue,
    bearers,
    entailed_counts,
    inverse,
    narrow,
)
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.kernel import shared
from medenv.kg.graph.schema import (
    HAS_ACTIVITY,
    HAS_COURSE,
    HAS_GENE,
    HAS_INHERITANCE,
    HAS_KEYWORD,
    HAS_ONSET,
    HAS_PHENOTYPE,
    HAS_PREVALENCE,
    HAS_ROLE,
    HAS_VARIANT,
    IN_CLASS,
    IN_FAMILY,
    IN_PATHWAY,
    INHIBITS,
    IS_A,
    LACKS_PHENOTYPE,
    LOCATED_AT,
    RESPONSE_DEPENDS_ON,
    VARIANT_IN,
)
from medenv.kg.graph.systems import systems_of
from medenv.kg.questions.drafts import telling_words, unnameable

_ATTRIBUTES = (
    *(HAS_INHERITANCE.name, HAS_ONSET.name, HAS_COURSE.name, HAS_PREVALENCE.name),
    *(IN_CLASS.name, HAS_KEYWORD.name, HAS_ROLE.name, LOCATED_AT.name),
    *(IN_PATHWAY.name, IN_FAMILY.name, HAS_ACTIVITY.name),
)
"""Relations to what many entities share and no chain leads through: none names an entity."""

_SAYABLE = {
    "disease": (
        *(HAS_INHERITANCE.name, HAS_ONSET.name, HAS_COURSE.name, HAS_PREVALENCE.name),
        *(HAS_PHENOTYPE.name, LACKS_PHENOTYPE.name, HAS_GENE.name, IN_CLASS.name),
        HAS_KEYWORD.name,
    ),
    "gene": (
        *(HAS_GENE.inverse, LOCATED_AT.name, IN_PATHWAY.name, IN_FAMILY.name),
        *(HAS_ACTIVITY.name, RESPONSE_DEPENDS_ON.inverse),
    ),
    "phenotype": (IS_A.name, HAS_PHENOTYPE.inverse),
    "drug": (HAS_ROLE.name, INHIBITS.name, RESPONSE_DEPENDS_ON.name),
    "enzyme": (HAS_ACTIVITY.inverse, INHIBITS.inverse),
    "pathway": (IN_PATHWAY.inverse,),
    "gene_family": (IN_FAMILY.inverse,),
    "variant": (HAS_VARIANT.inverse, VARIANT_IN.name),
}
_ENDS_WITH_KIND = (HAS_INHERITANCE.name, HAS_ONSET.name)
"""Relations to terms such as "Childhood onset"; others of theirs say no such thing."""

_SAYS_NOTHING = re.compile(r"not applicable|unknown|no data|all ages|other\b", re.IGNORECASE)

COMMON = 0.05
"""A finding in a larger share of the diseases is common, and names none of them."""


class Choice(NamedTuple):
    """Which clues may be chosen.

    Args:
        avoid: Nodes that no clue may name, nor tell the name of.
        most: Most clues.
        least_fitting: A clue fits at least so many entities of the whole graph.
        offers: Most clues considered at a time, drawn at random.
        named: Most entities that the clues may name, see `names_entity`.
        max_name_chars: Longest name that a clue may bear.
    """

    avoid: frozenset[int] = frozenset()
    most: int = 3
    least_fitting: int = 2
    offers: int = 24
    named: int = 9
    max_name_chars: int = 80


def names_entity(graph: Graph, relation: str, entity: int) -> bool:
    """Whether a clue names an entity: a disease, gene, drug or specific finding, no attribute.

    Args:
        graph: The graph.
        relation: The relation of the clue.
        entity: The node that it names.
    """
    if relation in (HAS_PHENOTYPE.name, LACKS_PHENOTYPE.name, IS_A.name):
        return entity not in common_findings(graph)
    return relation not in _ATTRIBUTES


@lru_cache(maxsize=4)
def common_findings(graph: Graph) -> frozenset[int]:
    """Return the findings that a share of `COMMON` of all diseases have, as entailed."""
    if HAS_PHENOTYPE.name not in graph.rows:
        return frozenset()
    counts = entailed_counts(graph, inverse(graph, HAS_PHENOTYPE.name))
    least = max(2.0, COMMON * graph.of_kind("disease").size)
    return frozenset(np.flatnonzero(counts >= least).tolist())


def offers(graph: Graph, node: int) -> list[Clue]:
    """Return all clues that hold for a node, in a fixed order.

    Args:
        graph: The graph.
        node: The node.
    """
    return list(_offered(graph, node))


@lru_cache(maxsize=5_000)
def _offered(graph: Graph, node: int) -> tuple[Clue, ...]:
    """Return what `offers` returns, from a cache."""
    kind = graph.kind(node)
    sayable = [name for name in _SAYABLE.get(kind, ()) if name in graph.rows]
    relations = sayable or graph.factual
    found = [
        Clue(relation, tail)
        for relation in relations
        for tail in graph.step(node, relation).tolist()
        if relation not in _ENDS_WITH_KIND or graph.nodes.names[tail].endswith(graph.kind(tail))
        if not _SAYS_NOTHING.match(graph.nodes.names[tail])
    ]
    above = {"disease": HAS_PHENOTYPE.name, "phenotype": IS_A.name}.get(kind, "")
    if above in relations:
        found += [Clue(above, system) for system in systems_of(graph, node)]
    return tuple(dict.fromkeys(found))


def single_out(
    graph: Graph, found: IntArray, target: int, choice: Choice, rng: np.random.Generator
) -> list[Clue] | None:
    """Return clues that leave the target as the only one of some candidates, or None.

    Args:
        graph: The graph.
        found: The candidates, ascending, the target among them.
        target: The node to be left.
        choice: Which clues may be chosen.
        rng: Draws the clues that are considered.
    """
    if found.size == 1:
        return []
    offered = _offered(graph, target)
    if not choice.named:
        offered = tuple(clue for clue in offered if not names_entity(graph, *clue))
    drawn = [offered[i] for i in rng.permutation(len(offered)).tolist()]
    pool = _allowed(graph, target, drawn, choice)
    fits = [bearers(graph, clue.relation, clue.entity) for clue in pool]
    left = [i for i, fit in enumerate(fits) if fit.size >= choice.least_fitting]
    names = [False] * len(pool)
    if choice.named < choice.most:  # else as many may name an entity as are chosen at all
        names = [names_entity(graph, clue.relation, clue.entity) for clue in pool]
    chosen: list[Clue] = []
    named = 0
    count = shared.ready or shared
    while found.size > 1 and len(chosen) < choice.most:
        fewest, best = found.size, -1
        for i in left:
            fit = fits[i]
            if (names[i] and named >= choice.named) or (
                fewest == 1 and fit.size <= fits[best].size  # the target alone cannot be bettered
            ):
                continue
            rest = count(found, fit)
            if rest < fewest or (best >= 0 and rest == fewest and fit.size > fits[best].size):
                fewest, best = rest, i
        if best < 0:
            return None
        left.remove(best)
        named += names[best]
        chosen.append(pool[best])
        found = narrow(graph, found, pool[best])
    return chosen if found.size == 1 else None


def _allowed(graph: Graph, node: int, pool: Sequence[Clue], choice: Choice) -> list[Clue]:
    """Return the first clues that may be told of a node: none tells what must stay unnamed."""
    unfit = unnameable(graph, choice.max_name_chars)
    hidden = [telling_words(graph, one) for one in {node, *choice.avoid}]
    every = frozenset().union(*hidden)
    allowed: list[Clue] = []
    for clue in pool:
        if clue.entity not in choice.avoid and not unfit[clue.entity]:
            words = telling_words(graph, clue.entity)
            # As `tells` has it; what does not stand in all names together is in none of them.
            if not (words and words <= every and any(words <= own for own in hidden)):
                allowed.append(clue)
                if len(allowed) == choice.offers:
                    break
    return allowed


def describe(
    graph: Graph, node: int, choice: Choice, rng: np.random.Generator
) -> list[Clue] | None:
    """Return clues that single a node out in the whole graph.

    Args:
        graph: The graph.
        node: The node not to be named.
        choice: Which clues may be chosen.
        rng: Draws the clues that are considered.
    """
    return single_out(graph, graph.of_kind(graph.kind(node)), node, choice, rng)
