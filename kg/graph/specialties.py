"""Twelve medical specialties, derived from the organ systems of the Human Phenotype Ontology.

A finding belongs to the specialties whose branches contain it. A disease belongs to the specialty
with the highest excess of findings over the number expected by chance, a gene to the specialty of
its diseases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from medenv.kg.graph import Graph
from medenv.kg.graph.schema import HAS_GENE, HAS_PHENOTYPE, IS_A
from medenv.kg.graph.traversal import closure

SPECIALTIES: dict[str, tuple[str, ...]] = {
    "cardiology": ("HP:0001626",),
    "dermatology": ("HP:0001574",),
    "ear, nose and throat": ("HP:0000598", "HP:0000152", "HP:0001608"),
    "endocrinology and metabolism": ("HP:0000818", "HP:0001939", "HP:0001507", "HP:0000769"),
    "gastroenterology": ("HP:0025031",),
    "haematology and immunology": ("HP:0001871", "HP:0002715"),
    "musculoskeletal medicine": ("HP:0033127", "HP:0040064"),
    "nephrology and urology": ("HP:0000119",),
    "neurology": ("HP:0000707",),
    "oncology": ("HP:0002664",),
    "ophthalmology": ("HP:0000478",),
    "pulmonology": ("HP:0002086", "HP:0045027"),
}
"""Specialty to its branches of the ontology."""


@dataclass(frozen=True, eq=False)
class Specialties:
    """The specialties of a graph's nodes.

    Args:
        graph: The graph; without the ontology's branches it has no specialties.
    """

    graph: Graph

    @cached_property
    def branches(self) -> npt.NDArray[np.bool_]:
        """Whether each finding is in each specialty's branches, bool, shape [nodes, 12]."""
        inside = np.zeros((len(self.graph), len(SPECIALTIES)), dtype=bool)
        known = set(self.graph.nodes.ids) if IS_A.inverse in self.graph.rows else set()
        for column, roots in enumerate(SPECIALTIES.values()):
            present = [self.graph.number(root) for root in roots if root in known]
            if present:
                nodes = np.array(present, dtype=np.int32)
                inside[closure(self.graph, nodes, IS_A.inverse), column] = True
        return inside

    @cached_property
    def excess(self) -> npt.NDArray[np.float64]:
        """Excess of each node in each specialty over expectation, float64, shape [nodes, 12].

        For a disease with n findings, of which k are in a specialty with a share p of all reported
        findings, it is (k - np) / sqrt(np); for a gene, the sum over its diseases; for a finding,
        1 / (number of findings in the specialty) in its specialties, so that the smallest branch
        counts most.
        """
        inside = self.branches
        out = inside / np.maximum(1, inside.sum(axis=0))
        if HAS_PHENOTYPE.name in self.graph.rows and inside.any():
            starts, tails = self.graph.rows[HAS_PHENOTYPE.name]
            sums = np.vstack([np.zeros(inside.shape[1]), np.cumsum(inside[tails], axis=0)])
            counts = sums[starts[1:]] - sums[starts[:-1]]
            sizes = np.diff(starts)[:, None]
            expected = np.maximum(sizes * inside[tails].mean(axis=0), 1e-9)
            out = np.where(sizes > 0, (counts - expected) / np.sqrt(expected), out)
        if HAS_GENE.inverse in self.graph.rows:
            starts, tails = self.graph.rows[HAS_GENE.inverse]
            for gene in np.flatnonzero(np.diff(starts)):
                out[gene] = out[tails[starts[gene] : starts[gene + 1]]].sum(axis=0)
        return np.asarray(out, dtype=np.float64)

    @cached_property
    def numbers(self) -> npt.NDArray[np.int8]:
        """Each node's specialty as an index into `SPECIALTIES`, or -1."""
        found: npt.NDArray[np.int8] = self.excess.argmax(axis=1).astype(np.int8)
        found[self.excess.max(axis=1) <= 0] = -1
        return found

    def of(self, nodes: Sequence[int]) -> str:
        """Return the specialty of the first node that has one, or ``""``."""
        names = list(SPECIALTIES)
        return next((names[n] for node in nodes if (n := int(self.numbers[node])) >= 0), "")
