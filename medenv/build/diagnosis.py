"""The diagnostic model of a graph: its diseases, their findings and how common they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from medenv.diagnosis.model import Annotation, DiseaseModel, Weights
from medenv.kg import Graph
from medenv.kg.documents.frequencies import share_of
from medenv.kg.graph.rarity import by_prevalence
from medenv.records import Entity

COMMONEST = 0.01
"""Greatest prior of a disease: classes such as "> 1 / 1000" state no upper end."""


def disease_model(
    graph: Graph, weights: Weights | None = None, priors: Mapping[str, float] | None = None
) -> DiseaseModel:
    """Return the diseases of a graph with their phenotypes, and with their prevalence where known.

    Args:
        graph: A graph with relations ``has_phenotype`` and ``is_a``, and perhaps
            ``has_prevalence``.
        weights: How much each kind of evidence counts.
        priors: Prevalence by disease id, instead of what the graph states.
    """
    ids = graph.nodes.ids
    phenotypes = graph.of_kind("phenotype").tolist()
    known = set(phenotypes)
    parents = {
        ids[node]: [ids[above] for above in graph.step(node, "is_a").tolist() if above in known]
        for node in phenotypes
    }
    diseases = graph.of_kind("disease").tolist()
    annotations = [
        Annotation(ids[node], ids[tail], share)
        for node in diseases
        for tail, often in zip(
            graph.step(node, "has_phenotype").tolist(),
            graph.qualifier_row(node, "has_phenotype", "frequency"),
            strict=True,
        )
        if tail in known and (share := share_of(often)) > 0
    ]
    return DiseaseModel(
        (graph.entity(node) for node in diseases),
        (graph.entity(node) for node in phenotypes),
        annotations,
        parents,
        weights,
        _prevalences(graph) if priors is None else priors,
        _synonyms(graph, (*diseases, *phenotypes)),
        {ids[node]: _genes(graph, node) for node in diseases},
        {ids[node]: _articles(graph, node) for node in diseases},
    )


def _articles(graph: Graph, disease: int) -> frozenset[str]:
    """Return the references of a disease's findings, e.g. ``"PMID:7"``."""
    told = graph.qualifier_row(disease, "has_phenotype", "reference")
    return frozenset(one for text in told for one in re.split(r"[|;,\s]+", text) if one)


def _genes(graph: Graph, disease: int) -> tuple[Entity, ...]:
    if "has_gene" not in graph.rows:
        return ()
    return tuple(graph.entity(gene) for gene in graph.step(disease, "has_gene").tolist())


def _synonyms(graph: Graph, nodes: Sequence[int]) -> dict[str, str]:
    """Return former ids and the cross-references that only one of some nodes has, to its id."""
    ids, xrefs = graph.nodes.ids, graph.nodes.xrefs
    claims = Counter(other for node in nodes for other in xrefs[node])
    found = {x: ids[node] for node in nodes for x in xrefs[node] if claims[x] == 1}
    return found | dict(graph.replaced)


def _prevalences(graph: Graph) -> dict[str, float]:
    """Return the shares of the population that have each disease, where the graph states them."""
    if "has_prevalence" not in graph.rows:
        return {}
    shares = by_prevalence(graph)
    known = np.flatnonzero(~np.isnan(shares)).tolist()
    return {graph.nodes.ids[node]: min(float(shares[node]), COMMONEST) for node in known}
