"""The rewired world: pairs of edges are swapped, so that answers from memory are wrong.

The two edges of a swap exchange their tails. Names and the degrees of all nodes in every relation
are unchanged; only the connections are fiction. Each edge that decides a question is swapped at
most once, so each question keeps its text and query but has another answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np

from medenv.kg.certificates.certificate import documents_of
from medenv.kg.certificates.conditions import Clue, fitting, read_clues
from medenv.kg.certificates.queries import Edge, evaluate
from medenv.kg.graph import Column, Graph, Rows
from medenv.kg.graph.specialties import Specialties
from medenv.kg.questions.drafts import MAX_NAME_CHARS, Rejected, Rejection, name_problem
from medenv.kg.worlds.counterfactual import entities_of, fictional, proved_anew, unsourced
from medenv.records import Question

TRIES = 400
"""Maximum number of candidate partners for one edge."""

_Place = tuple[str, int]
"""A forward relation and the number of an edge in it."""


class _Target(NamedTuple):
    """An edge that decides a question.

    Args:
        edge: The edge, directed to the answer.
        fits: Nodes that could replace the answer, or None for all.
        path: Nodes that must not be the answer.
        split: The question's split.
    """

    edge: Edge
    fits: frozenset[int] | None
    path: frozenset[int]
    split: str


def swapped(graph: Graph, swaps: Mapping[str, Sequence[tuple[int, int]]]) -> Graph:
    """Return a graph in which pairs of edges exchange their tails, without the sources' texts.

    Args:
        graph: The graph.
        swaps: Forward relation to pairs of edge numbers; the e-th edge is ``tails[e]`` of its rows.
    """
    rows, columns = dict(graph.rows), unsourced(graph.columns)
    for name, pairs in swaps.items():
        (starts, tails), heads = graph.rows[name], graph.rows[name].heads()
        moved = tails.copy()
        for first, second in pairs:
            moved[first], moved[second] = tails[second], tails[first]
        order = np.lexsort((moved, heads))
        moved = moved[order]
        back = np.lexsort((heads, moved))
        rows[name] = Rows(starts, moved)
        inverse = graph.inverses[name]
        rows[inverse] = Rows(graph.rows[inverse].starts, heads[back])
        columns[name] = {
            key: Column(np.asarray(column.codes)[order], column.values)
            for key, column in columns.get(name, {}).items()
        }
    return replace(graph, rows=rows, columns=columns, prose=())


@dataclass(frozen=True, eq=False)
class Rewiring:
    """Swaps of the edges that decide questions.

    Args:
        true: The true graph.
        questions: The questions.
        seed: Seed of the swaps.
    """

    true: Graph
    questions: tuple[Question, ...]
    seed: int = 0

    @cached_property
    def graph(self) -> Graph:
        """The rewired graph."""
        graph = swapped(self.true, self.swaps)
        return replace(graph, info=fictional(self.true.info, "rewired", self.seed))

    @cached_property
    def swaps(self) -> dict[str, list[tuple[int, int]]]:
        """Forward relation to pairs of edge numbers that exchange their tails."""
        return _Plan(self.true, self.questions, self.seed).swaps()

    def question(self, question: Question) -> Question:
        """Return a question with its answer in the rewired graph.

        Args:
            question: One of the questions.

        Raises:
            UsageError: The true graph does not answer the question.
            Rejected: The question has no unique answer, or the same one as in the true graph.
        """
        query = question.proof.query
        if _deciding(self.true, question) is None:
            raise Rejected(Rejection.UNDECIDED)
        made = proved_anew(documents_of(self.graph), question, query, question.text, question.rare)
        if set(made.proof.answers) & set(question.proof.answers):
            raise Rejected(Rejection.SAME_ANSWER)
        if not _same_path(made, question):
            raise Rejected(Rejection.EARLIER_STEP)
        if any(name_problem(self.graph, self.graph.number(a), MAX_NAME_CHARS) for a in _ids(made)):
            raise Rejected(Rejection.UNFIT_ANSWER)
        self._claim(made)
        if not made.specialty:
            return made
        nodes = [self.graph.number(hop.tail) for hop in made.proof.path][::-1]
        nodes += [self.graph.number(made.rare)] if made.rare else []
        return msgspec.structs.replace(made, specialty=self._specialties.of(nodes))

    def _claim(self, made: Question) -> None:
        """Assign the entities of a path to its split; reject those of another split."""
        ends = entities_of(made) - self._common
        if any(self._owners.get(entity, made.split) != made.split for entity in ends):
            raise Rejected(Rejection.OTHER_SPLIT)
        self._owners.update(dict.fromkeys(ends, made.split))

    @cached_property
    def _owners(self) -> dict[str, str]:
        """Entity of a path to its split."""
        return {entity: q.split for q in self.questions for entity in entities_of(q)}

    @cached_property
    def _common(self) -> set[str]:
        """Entities on paths of both splits in the true world."""
        return {
            entity
            for q in self.questions
            for entity in entities_of(q)
            if self._owners[entity] != q.split
        }

    @cached_property
    def _specialties(self) -> Specialties:
        return Specialties(self.graph)


class _Plan:
    """Selects the edges to exchange, each at most once."""

    def __init__(self, true: Graph, questions: Sequence[Question], seed: int) -> None:
        self.true = true
        self.targets: dict[_Place, list[_Target]] = {}
        self.splits: dict[int, set[str]] = {}
        for question in questions:
            for entity in entities_of(question):
                self.splits.setdefault(true.number(entity), set()).add(question.split)
            target = _deciding(true, question)
            if target is not None:
                self.targets.setdefault(_place(true, target.edge), []).append(target)
        nodes = np.arange(len(true), dtype=np.int32)
        self.ends = {
            name: (np.repeat(nodes, np.diff(true.rows[name].starts)), true.rows[name].tails)
            for name in {relation for relation, _ in self.targets}
        }
        self.rng = np.random.default_rng([seed, len(self.targets)])
        self.used: set[_Place] = set()
        self.made: set[tuple[str, int, int]] = set()

    def swaps(self) -> dict[str, list[tuple[int, int]]]:
        """Return forward relation to pairs of edge numbers that exchange their tails."""
        found: dict[str, list[tuple[int, int]]] = {}
        places = sorted(self.targets)
        for number in self.rng.permutation(len(places)).tolist():
            place = places[number]
            partners = () if place in self.used else self._partners(place)
            for other in partners:
                if other not in self.used and self._exchangeable(place, other):
                    self._exchange(place, other)
                    found.setdefault(place[0], []).append((place[1], other[1]))
                    break
        return found

    def _exchange(self, one: _Place, other: _Place) -> None:
        """Record the used and new edges of an exchange, and the new splits of its ends."""
        (a, b), (c, d) = self._edge(one), self._edge(other)
        self.used |= {one, other}
        self.made |= {(one[0], a, d), (one[0], c, b)}
        for place, ends in ((one, (c, d)), (other, (a, b))):
            for target in self.targets.get(place, ()):
                for end in ends:
                    self.splits.setdefault(end, set()).add(target.split)

    def _edge(self, place: _Place) -> tuple[int, int]:
        heads, tails = self.ends[place[0]]
        return int(heads[place[1]]), int(tails[place[1]])

    def _partners(self, place: _Place) -> Iterator[_Place]:
        """Yield candidate partners of an edge in random order."""
        relation, number = place
        fits = [target.fits for target in self.targets[place] if target.fits is not None]
        if fits:
            backward = self.targets[place][0].edge[1] != relation
            ends = self.ends[relation][0 if backward else 1]
            allowed = np.array(sorted(frozenset.intersection(*fits)), dtype=np.int32)
            pool = np.flatnonzero(np.isin(ends, allowed))
            for other in self.rng.permutation(pool)[:TRIES].tolist():
                yield relation, other
            return
        others = [other for name, other in self.targets if name == relation and other != number]
        for choice in self.rng.integers(len(others), size=TRIES if others else 0).tolist():
            yield relation, others[choice]
        for other in self.rng.integers(self.ends[relation][1].size, size=TRIES).tolist():
            yield relation, other

    def _exchangeable(self, one: _Place, other: _Place) -> bool:
        """Return whether an exchange of two edges gives every question another valid answer."""
        (a, b), (c, d) = self._edge(one), self._edge(other)
        kinds = self.true.kind_codes
        if len({a, b, c, d}) < 4 or kinds[a] != kinds[c] or kinds[b] != kinds[d]:
            return False
        for head, tail in ((a, d), (c, b)):
            if self.true.has_edge(head, one[0], tail) or (one[0], head, tail) in self.made:
                return False
        if other not in self.targets and (c in self.splits or d in self.splits):
            return False
        return self._suits(one, c, d) and self._suits(other, a, b)

    def _suits(self, place: _Place, head: int, tail: int) -> bool:
        """Return whether new ends are valid for all questions that an edge decides."""
        for target in self.targets.get(place, ()):
            answer = tail if target.edge[1] == place[0] else head
            splits = self.splits.get(answer, set()) | {target.split}
            if len(splits) > 1 or answer in target.path:
                return False
            if target.fits is not None and answer not in target.fits:
                return False
            if name_problem(self.true, answer, MAX_NAME_CHARS):
                return False
        return True


def _place(graph: Graph, edge: Edge) -> _Place:
    """Return the storage position of an edge."""
    head, relation, tail = edge
    if relation not in graph.relations:
        head, relation, tail = tail, graph.inverses[relation], head
    starts, tails = graph.rows[relation]
    row = tails[starts[head] : starts[head + 1]]
    return relation, int(starts[head] + np.searchsorted(row, tail))


def _deciding(graph: Graph, question: Question) -> _Target | None:
    """Return the edge that decides a question, or None if there is no single one."""
    query = question.proof.query
    outcome = evaluate(graph, query)
    if query[0] in ("walk", "chain"):
        edge = outcome.path[-1]
        path = frozenset((outcome.topic, *(end for hop in outcome.path for end in hop[::2])))
        clues = read_clues(graph, query[2][-1][1]) if query[0] == "chain" else []
        fits = _fitting(graph, graph.kind(edge[2]), clues) if clues else None
        target = _Target(edge, fits, path, question.split)
    elif query[0] == "where" and len(outcome.answers) == 1:
        clues = read_clues(graph, query[2])
        edge = outcome.path[0]
        rest = [c for c in clues if c.entity != edge[0]]
        if len(rest) == len(clues):  # the clue holds through a subtype
            return None
        fits = _fitting(graph, query[1], rest)
        target = _Target(edge, fits, frozenset(outcome.answers), question.split)
    else:
        return None
    forward = target.edge[1] if target.edge[1] in graph.relations else graph.inverses[edge[1]]
    return target if graph.relations[forward].factual else None


def _fitting(graph: Graph, kind: str, clues: Sequence[Clue]) -> frozenset[int]:
    return frozenset(fitting(graph, kind, clues).tolist())


def _same_path(made: Question, question: Question) -> bool:
    """Return whether two versions of a question have the same path except for the last step."""
    if question.proof.query[0] == "where":
        return True
    paths = [[hop.tail for hop in q.proof.path[:-1]] for q in (made, question)]
    return paths[0] == paths[1]


def _ids(question: Question) -> list[str]:
    return [a for a in question.proof.answers if not a.startswith("value:")]
