"""Medical specialties, by classes of diseases and by the organ systems of findings.

A finding belongs to the specialties whose branches of the Human Phenotype Ontology contain it. A
disease belongs to those whose classes of Mondo contain it, where the graph has classes, and first
of them to the one with the highest excess of findings over the number expected by chance; without
classes to that one of all. A gene belongs to the specialty of its diseases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from medenv.kg.graph import Graph
from medenv.kg.graph.schema import HAS_GENE, HAS_PHENOTYPE, IN_CLASS, IS_A
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
    "psychiatry": (),
    "infection": (),
    "rheumatology": (),
    "gynaecology and andrology": (),
    "genetics": (),
}
"""Specialty to its branches of the ontology; some are told by classes of diseases alone."""

CLASSES: dict[str, tuple[str, ...]] = {
    "cardiology": ("MONDO:0004995",),
    "dermatology": ("MONDO:0002051",),
    "ear, nose and throat": ("MONDO:0024623", "MONDO:0005365", "MONDO:0021205"),
    "endocrinology and metabolism": ("MONDO:0005151", "MONDO:0005066"),
    "gastroenterology": ("MONDO:0004335", "MONDO:0002515"),
    "haematology and immunology": ("MONDO:0005570", "MONDO:0005046", "MONDO:0003778"),
    "musculoskeletal medicine": ("MONDO:0002081", "MONDO:0005172"),
    "nephrology and urology": ("MONDO:0002118", "MONDO:0005240"),
    "neurology": ("MONDO:0005071",),
    "oncology": ("MONDO:0005070",),
    "ophthalmology": ("MONDO:0005328", "MONDO:0024458"),
    "pulmonology": ("MONDO:0005087",),
    "psychiatry": ("MONDO:0002025",),
    "infection": ("MONDO:0005550",),
    "rheumatology": ("MONDO:0005554", "MONDO:0019751"),
    "gynaecology and andrology": ("MONDO:0005039", "MONDO:0005047", "MONDO:0002145"),
    "genetics": ("MONDO:0019040", "MONDO:0019042"),
}
"""Specialty to its classes of diseases in Mondo."""

_BESIDE_CLASSES = {
    "ear, nose and throat": ("HP:0000598", "HP:0001600", "HP:0000366"),
    "genetics": ("HP:0000271", "HP:0000929"),
    "gynaecology and andrology": ("HP:0000078",),
}
"""Branches in graphs with classes, where a face tells of genetics and not of ear or throat."""

_LAST = -1.0e6  # the score of specialties whose classes do not contain a disease that has classes


@dataclass(frozen=True, eq=False)
class Specialties:
    """The specialties of a graph's nodes.

    Args:
        graph: The graph; without the ontology's branches it has no specialties.
    """

    graph: Graph

    @cached_property
    def branches(self) -> npt.NDArray[np.bool_]:
        """Whether each finding is in each specialty's branches, bool, shape [nodes, 17]."""
        inside = np.zeros((len(self.graph), len(SPECIALTIES)), dtype=bool)
        known = set(self.graph.nodes.ids) if IS_A.inverse in self.graph.rows else set()
        branches = SPECIALTIES | (_BESIDE_CLASSES if self.classes.any() else {})
        for column, roots in enumerate(branches.values()):
            present = [self.graph.number(root) for root in roots if root in known]
            if present:
                nodes = np.array(present, dtype=np.int32)
                inside[closure(self.graph, nodes, IS_A.inverse), column] = True
        return inside

    @cached_property
    def classes(self) -> npt.NDArray[np.bool_]:
        """Whether each disease is in each specialty's classes, bool, shape [nodes, 17]."""
        inside = np.zeros((len(self.graph), len(SPECIALTIES)), dtype=bool)
        known = set(self.graph.nodes.ids) if IN_CLASS.inverse in self.graph.rows else set()
        for column, roots in enumerate(CLASSES.values()):
            present = [self.graph.number(root) for root in roots if root in known]
            if present:
                nodes = np.array(present, dtype=np.int32)
                inside[closure(self.graph, nodes, IN_CLASS.inverse), column] = True
        return inside

    @cached_property
    def excess(self) -> npt.NDArray[np.float64]:
        """Excess of each node in each specialty over expectation, float64, shape [nodes, 17].

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
        classed = self.classes.any(axis=1)
        out[classed] += np.where(self.classes[classed], 0, _LAST)
        if HAS_GENE.inverse in self.graph.rows:
            starts, tails = self.graph.rows[HAS_GENE.inverse]
            for gene in np.flatnonzero(np.diff(starts)):
                out[gene] = out[tails[starts[gene] : starts[gene + 1]]].sum(axis=0)
        return np.asarray(out, dtype=np.float64)

    @cached_property
    def numbers(self) -> npt.NDArray[np.int8]:
        """Each node's specialty as an index into `SPECIALTIES`, or -1."""
        found: npt.NDArray[np.int8] = self.excess.argmax(axis=1).astype(np.int8)
        found[(self.excess.max(axis=1) <= 0) & ~self.classes.any(axis=1)] = -1
        return found

    def all_of(self, node: int) -> tuple[str, ...]:
        """Return all specialties of a node, the first one first."""
        first = int(self.numbers[node])
        others = [n for n in np.flatnonzero(self.classes[node]).tolist() if n != first]
        names = list(SPECIALTIES)
        return tuple(names[n] for n in (first, *others) if n >= 0)

    def of(self, nodes: Sequence[int]) -> str:
        """Return the specialty of the first node that has one, or ``""``."""
        names = list(SPECIALTIES)
        return next((names[n] for node in nodes if (n := int(self.numbers[node])) >= 0), "")
