"""What tools and environments are made of, opened when first needed: graph, corpus, patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medenv.errors import UsageError
from medenv.records import Retriever

if TYPE_CHECKING:
    from medenv.build.graph_facts import GraphFacts
    from medenv.diagnosis.cases import Case
    from medenv.diagnosis.model import DiseaseModel
    from medenv.kg import Graph

RESOURCES = ("diseases", "facts", "patients", "retriever")
"""What a tool is given when a parameter of it bears the name."""

OF_THE_GRAPH = ("diseases", "facts")
"""Those of `RESOURCES` that state what the graph states."""


class Resources:
    """Opens what settings name, each thing once.

    Args:
        graph: A saved graph, a `Graph`, or None for the toy graph.
        corpus: A path, a `Retriever`, passages, or None for the documents of the graph.
        open_corpus: Opens a corpus given as a path, passages, or the documents of the graph.
        cases: Number of simulated cases, a path of real ones, or None.
        options: Options of `open_corpus`.
        toy: Whether the toy graph stands in where no graph is given.
    """

    def __init__(
        self,
        graph: Any = None,
        corpus: Any = None,
        open_corpus: Any = None,
        cases: Any = None,
        options: Mapping[str, Any] | None = None,
        *,
        toy: bool = True,
    ) -> None:
        self._graph, self._corpus, self._open, self._cases = graph, corpus, open_corpus, cases
        self._toy = toy
        self._options = dict(options or {})

    @cached_property
    def graph(self) -> Graph:
        """The knowledge graph.

        Raises:
            UsageError: None is given, and the toy graph does not stand in.
        """
        from medenv.kg import Graph, toy_graph

        if self._graph is None:
            if not self._toy:
                raise UsageError(
                    "questions of one's own need a corpus to be researched in: set corpus, or graph"
                    " for the documents of a graph"
                )
            return toy_graph()
        return self._graph if isinstance(self._graph, Graph) else Graph.load(self._graph)

    @cached_property
    def retriever(self) -> Retriever:
        """The corpus."""
        opened: Retriever
        if self._corpus is None or isinstance(self._corpus, tuple):
            from medenv.kg import Documents
            from medenv.retrieval.bm25 import open_bm25
            from medenv.retrieval.dense import open_dense, open_hybrid

            if self._open not in (open_bm25, open_dense, open_hybrid):
                raise UsageError(
                    "this retriever opens a path or an address, and no corpus is set: set corpus"
                )
            passages = self._corpus or Documents(self.graph).passages
            opened = self._open(passages, **self._options)
        elif isinstance(self._corpus, str | Path):
            opened = self._open(self._corpus, **self._options)
        else:
            opened = self._corpus
        return opened

    @cached_property
    def diseases(self) -> DiseaseModel:
        """Diseases and how often they show findings."""
        from medenv.build.diagnosis import disease_model

        return disease_model(self.graph)

    @cached_property
    def facts(self) -> GraphFacts:
        """What the graph states."""
        from medenv.build.graph_facts import GraphFacts

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
