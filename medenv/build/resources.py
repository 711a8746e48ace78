"""What tools and environments are made of, opened when first needed: graph, corpus, patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medenv.diagnosis.model import Annotation, DiseaseModel, Weights
from medenv.errors import UsageError
from medenv.records import Entity, Retriever
from medenv.retrieval.names import NameIndex
from medenv.tools.lookup import Fact

if TYPE_CHECKING:
    from medenv.diagnosis.cases import Case
    from medenv.kg import Graph

SHARES = {
    "HP:0040280": 0.97,
    "HP:0040281": 0.9,
    "HP:0040282": 0.55,
    "HP:0040283": 0.17,
    "HP:0040284": 0.03,
    "HP:0040285": 0.0,
}
"""The HPO's frequency terms, each as the middle of its range; the last means excluded."""

RESOURCES = ("diseases", "facts", "patients", "retriever")
"""What a tool is given when a parameter of it bears the name."""

COMMONEST = 0.01
"""Greatest prior of a disease: classes such as "> 1 / 1000" state no upper end."""

UNKNOWN_SHARE = 0.5
"""How often a disease shows a finding of which only that it does is known."""


class Resources:
    """Opens what settings name, each thing once.

    Args:
        graph: A saved graph, a `Graph`, or None for the toy graph.
        corpus: A path, a `Retriever`, or None for the documents of the graph.
        open_corpus: Opens a corpus given as a path, or the documents of the graph.
        cases: Number of simulated cases, a path of real ones, or None.
        options: Options of `open_corpus`.
    """

    def __init__(
        self,
        graph: Any = None,
        corpus: Any = None,
        open_corpus: Any = None,
        cases: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._graph, self._corpus, self._open, self._cases = graph, corpus, open_corpus, cases
        self._options = dict(options or {})

    @cached_property
    def graph(self) -> Graph:
        """The knowledge graph."""
        from medenv.kg import Graph, toy_graph

        if self._graph is None:
            return toy_graph()
        return self._graph if isinstance(self._graph, Graph) else Graph.load(self._graph)

    @cached_property
    def retriever(self) -> Retriever:
        """The corpus."""
        opened: Retriever
        if self._corpus is None:
            from medenv.kg import Documents
            from medenv.retrieval.bm25 import open_bm25
            from medenv.retrieval.dense import open_dense, open_hybrid

            if self._open not in (open_bm25, open_dense, open_hybrid):
                raise UsageError(
                    "this retriever opens a path or an address, and no corpus is set: set corpus"
                )
            opened = self._open(Documents(self.graph).passages, **self._options)
        elif isinstance(self._corpus, str | Path):
            opened = self._open(self._corpus, **self._options)
        else:
            opened = self._corpus
        return opened

    @cached_property
    def diseases(self) -> DiseaseModel:
        """Diseases and how often they show findings."""
        return disease_model(self.graph)

    @cached_property
    def facts(self) -> GraphFacts:
        """What the graph states."""
        return GraphFacts(self.graph)

    @cached_property
    def cases(self) -> Sequence[Case]:
        """Patients with the questions about them."""
        from medenv.diagnosis.cases import phenopacket_cases, simulated_cases

        if self._cases is None:
            raise UsageError("patients are needed: set cases to a number or to a file of cases")
        if isinstance(self._cases, int):
            return simulated_cases(self.diseases, self._cases)
        return phenopacket_cases(self.diseases, self._cases)

    @property
    def patients(self) -> list[Any]:
        """The patients of the cases."""
        return [case.patient for case in self.cases]


class GraphFacts:
    """A knowledge graph as the lookup tool wants it.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._names = NameIndex(graph.entity(node) for node in range(len(graph)))

    def find(self, name: str) -> Sequence[Entity]:
        """Return the entities that bear a name or id, the best match first."""
        return self._names.find(name)

    def unknown(self, name: str) -> str:
        """Return what to tell the policy of a name that nothing bears."""
        return self._names.unknown("disease, gene or finding", name)

    def facts(self, entity: str) -> list[Fact]:
        """Return what the graph states of an entity, relation by relation."""
        from medenv.kg.documents import render

        graph, node = self._graph, self._graph.number(entity)
        stated = render(graph, node)
        found = []
        for relation in sorted(graph.rows):
            tails = graph.step(node, relation).tolist()
            if tails:
                wanted = {(node, relation, tail) for tail in tails}
                passages = tuple(one.passage.id for one in stated if wanted & one.edges)
                names = tuple(graph.nodes.names[tail] for tail in tails)
                found.append(Fact(relation.replace("_", " "), names, passages))
        return found


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
    )


def _synonyms(graph: Graph, nodes: Sequence[int]) -> dict[str, str]:
    """Return former ids and the cross-references that only one of some nodes has, to its id."""
    ids, xrefs = graph.nodes.ids, graph.nodes.xrefs
    claims = Counter(other for node in nodes for other in xrefs[node])
    found = {x: ids[node] for node in nodes for x in xrefs[node] if claims[x] == 1}
    return found | dict(graph.replaced)


def _prevalences(graph: Graph) -> dict[str, float]:
    """Return the shares of the population that have each disease, where the graph states them."""
    from medenv.kg.graph.rarity import by_prevalence

    if "has_prevalence" not in graph.rows:
        return {}
    shares = by_prevalence(graph)
    known = np.flatnonzero(~np.isnan(shares)).tolist()
    return {graph.nodes.ids[node]: min(float(shares[node]), COMMONEST) for node in known}


@lru_cache(maxsize=10_000)
def share_of(frequency: str) -> float:
    """Return the share of patients that an HPO frequency stands for.

    Args:
        frequency: In any form that `medenv.kg.documents.frequencies.canonical` reads; of several
            parted by ``|`` the first.

    Returns:
        A share in [0, 1]; for n of m patients (n + 1/2) / (m + 1), so that few prove little, and
        the middle of a range.
    """
    from medenv.kg.documents.frequencies import bounds, canonical

    value = canonical(frequency.split("|")[0])
    if not value:
        return UNKNOWN_SHARE
    if value in SHARES:
        return SHARES[value]
    seen, slash, of = value.partition("/")
    if slash:
        return (int(seen) + 0.5) / (int(of) + 1)
    return sum(bounds(value) or ()) / 2
