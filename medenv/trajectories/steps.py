"""A question's certificate as the steps that an agent must see, with words for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from medenv.kg import Graph
from medenv.kg.certificates.conditions import Clue, read_clues
from medenv.kg.documents.frequencies import in_words
from medenv.kg.documents.naming import called, noun
from medenv.kg.questions.phrases import predicates, said
from medenv.records import Hop, Question

SEARCHED_CHARS = 240
"""Length of a definition in a query, characters."""


class Step(NamedTuple):
    """One step to show.

    Attributes:
        hop: The edge; its head is ``""`` if a definition identifies the entity.
        clues: Clues to its tail.
        text: The definition to search for, or ``""``.
        asked: Whether it is on the gold path, not before its start.
        values: Other values to show: a frequency that is asked for or compared.
    """

    hop: Hop
    clues: tuple[Clue, ...] = ()
    text: str = ""
    asked: bool = True
    values: tuple[str, ...] = ()


def steps_of(graph: Graph, question: Question) -> list[Step]:
    """Return the steps to an answer, in order.

    Args:
        graph: Its graph.
        question: The question.
    """
    query, path = question.proof.query, question.proof.path
    if query[0] == "where":
        clues = read_clues(graph, query[2])
        return [Step(hop, _without(graph, clues, hop.head)) for hop in path]
    if query[0] in ("value", "most"):
        return [Step(hop, values=_frequency(graph, hop)) for hop in path]
    if query[0] != "chain":
        return [Step(hop) for hop in path]
    of_steps = [tuple(read_clues(graph, written)) for _, written in query[2]]
    chain = [Step(hop, clues) for hop, clues in zip(path, of_steps, strict=True)]
    return [*_root(graph, query[1], question), *chain]


def _frequency(graph: Graph, hop: Hop) -> tuple[str, ...]:
    """Return the frequency text of a finding in a disease's document."""
    disease, finding = (graph.number(end) for end in (hop.head, hop.tail))
    relation = hop.relation
    if graph.kind(disease) != "disease":
        disease, finding, relation = finding, disease, graph.inverses[relation]
    value = graph.qualifiers(disease, relation, finding).get("frequency", "")
    if not value:
        return ()
    told = in_words(value)
    return (told.replace("/", " of ") if graph.info.rendering == "sentences" else told,)


def _root(graph: Graph, root: Any, question: Question) -> list[Step]:
    """Return the step that finds an unnamed topic."""
    if isinstance(root, str):
        return []
    topic = question.proof.path[0].head
    if root[0] == "described":
        text = graph.nodes.texts[graph.number(topic)][:SEARCHED_CHARS]
        hop = Hop(head="", relation="", tail=topic)
        return [Step(hop, (), text.rsplit(" ", 1)[0], asked=False)]
    clues = read_clues(graph, root[2])
    edges = [edge for edge in question.proof.clues if edge.head == topic]
    if not edges:
        return []
    edge = min(edges, key=lambda one: graph.step(graph.number(one.tail), _back(graph, one)).size)
    hop = Hop(head=edge.tail, relation=_back(graph, edge), tail=topic, passages=edge.passages)
    return [Step(hop, _without(graph, clues, edge.tail), asked=False)]


def _back(graph: Graph, edge: Hop) -> str:
    return graph.inverses[edge.relation]


def _without(graph: Graph, clues: Sequence[Clue], entity: str) -> tuple[Clue, ...]:
    return tuple(one for one in clues if graph.nodes.ids[one.entity] != entity)


class Wordbook:
    """Names, kinds and clauses of a graph's entities by id.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def name(self, entity: str) -> str:
        """Return an entity's preferred name."""
        return self.graph.nodes.names[self.graph.number(entity)]

    def names(self, entity: str) -> tuple[str, ...]:
        """Return all names of an entity, the preferred one first."""
        node = self.graph.number(entity)
        return (self.graph.nodes.names[node], *self.graph.nodes.aliases[node])

    def called(self, entity: str) -> str:
        """Return an entity's name in a sentence."""
        return called(self.graph, self.graph.number(entity))

    def kind(self, entity: str) -> str:
        """Return an entity's kind."""
        return self.graph.kind(self.graph.number(entity))

    def noun(self, entity: str) -> str:
        """Return the everyday word for an entity's kind."""
        return noun(self.kind(entity))

    def fact(self, hop: Hop) -> str:
        """Return a hop as a clause."""
        return f"{self.called(hop.head)} {said(hop.relation)} {self.called(hop.tail)}"

    def clue_names(self, clues: Sequence[Clue]) -> list[str]:
        """Return the names of the entities in positive clues."""
        return [self.graph.nodes.names[clue.entity] for clue in clues]

    def findings(self, clues: Sequence[Clue]) -> list[str]:
        """Return the names of the findings in positive clues."""
        found = [c for c in clues if c.relation == "has_phenotype"]
        return self.clue_names(found)

    def predicates(self, clues: Sequence[Clue]) -> str:
        """Return clues as predicates: ``"has childhood onset"``."""
        return predicates(self.graph, clues)

    def back(self, hop: Hop) -> str:
        """Return the opposite direction of a hop's relation."""
        return self.graph.inverses[hop.relation] if hop.relation else ""

    def beside(self, hop: Hop) -> list[str]:
        """Return the sorted ids of the other tails of a hop's relation and head."""
        graph = self.graph
        tails = graph.step(graph.number(hop.head), hop.relation) if hop.head else ()
        ids = [graph.nodes.ids[int(tail)] for tail in tails]
        return [one for one in ids if one != hop.tail]
