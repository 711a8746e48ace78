"""What rewards may know of a graph: its names, the ontology's direct parents, what is dangerous."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medenv.reward import EntityNames, Knowledge
from medenv.reward.components.safety import forbidden_by

if TYPE_CHECKING:
    from medenv.kg import Graph

IS_A = "is_a"
"""The relation from a term to its direct parents."""

CONTRAINDICATIONS = (
    "contraindicated_for",
    "contraindicated_in",
    "contraindicates",
    "contraindication",
    "has_contraindication",
)
"""Names under which sources state that a drug is dangerous in a disease, in either direction."""


def knowledge_of(graph: Graph) -> Knowledge:
    """Return what components may know of a graph.

    A source that states no hierarchy or no contraindications leaves `Knowledge.parents` or
    `Knowledge.forbidden` empty. What is contraindicated must not be named where a question is about
    the disease, nor the disease where it is about the drug.

    Args:
        graph: The graph.
    """
    dangerous = [edge for name in CONTRAINDICATIONS for edge in _edges(graph, name)]
    parents: dict[str, tuple[str, ...]] = {}
    for child, parent in _edges(graph, IS_A):
        parents[child] = (*parents.get(child, ()), parent)
    return Knowledge(
        names=EntityNames(graph.entity(node) for node in range(len(graph))),
        parents=parents,
        forbidden=forbidden_by([*dangerous, *((tail, head) for head, tail in dangerous)]),
    )


def _edges(graph: Graph, relation: str) -> Iterator[tuple[str, str]]:
    """Yield the ends of all edges of a relation, none where the graph does not have it."""
    if relation in graph.relations:
        ids = graph.nodes.ids
        for head in graph.degrees(relation).nonzero()[0].tolist():
            for tail in graph.step(head, relation).tolist():
                yield ids[head], ids[tail]
