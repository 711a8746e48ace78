"""What a graph states, as the lookup tool shows it."""

from __future__ import annotations

from collections.abc import Sequence

from medenv.kg import Graph
from medenv.kg.documents import render
from medenv.records import Entity
from medenv.retrieval.names import NameIndex
from medenv.tools.lookup import Fact


class GraphFacts:
    """A knowledge graph as the lookup tool takes it.

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
        """Return the message to the policy about a name that nothing bears."""
        return self._names.unknown("disease, gene or finding", name)

    def facts(self, entity: str) -> list[Fact]:
        """Return what the graph states of an entity, relation by relation."""
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
