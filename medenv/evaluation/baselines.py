"""Policies without a language model: what an environment gives away, and what it allows.

They play in the same environment, with the same tools and budget, as every other policy.

- `oracle` follows the certificate with the real tools and answers rightly where it was shown the
  proof: what careful research reaches within the budget.
- `one_search` searches once for what the question names first, and answers with the first entity of
  the asked kind that it is shown; of several options, with the first that it is shown.
- `greedy_hops` goes on: in the first passage that names where it is, it takes an entity of the
  asked kind as the answer, or else goes to the first entity that it has not been at.
- `closed_book` calls no tool: it gives the most frequent answer to training questions of the same
  kind, or to those that ask for the same kind of entity, or else the first option.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from medenv.build.prepare import TrainingEnv
from medenv.dialects.base import Dialect
from medenv.errors import UnknownNameError, UsageError
from medenv.kg import Graph
from medenv.records import Policy, Question
from medenv.retrieval.filtered import answer_kind
from medenv.rollouts.policies import Script, ScriptedPolicy, Teacher, given
from medenv.trajectories.teachers import Thinker

UNKNOWN = "unknown"
_WORD = re.compile(r"[^\W_]+")
_PASSAGE = re.compile(r"^\[\d+\] ", re.MULTILINE)
_LONGEST = 16
"""Words of the longest name that is recognised."""


class Named:
    """Entities by their names, found in texts as whole words, the longest name first.

    Args:
        entities: Name and kind of each.
    """

    def __init__(self, entities: Iterable[tuple[str, str]]) -> None:
        self._known: dict[tuple[str, ...], tuple[str, str]] = {}
        for name, kind in entities:
            self._known.setdefault(_words(name), (name, kind))
        self._known.pop((), None)
        self._longest = min(_LONGEST, max(map(len, self._known), default=0))

    def within(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield name and kind of each entity that a text names, in its order."""
        words, at = _words(text), 0
        while at < len(words):
            for length in range(min(self._longest, len(words) - at), 0, -1):
                found = self._known.get(words[at : at + length])
                if found is not None:
                    yield found
                    at += length - 1
                    break
            at += 1


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


class _Scripted(ABC):
    """What searching baselines share.

    Args:
        named: The entities that they recognise.
        dialect: How they write.
        turns: How many of them they have.
    """

    def __init__(self, named: Named, dialect: Dialect, turns: int) -> None:
        self.named, self.dialect, self.turns = named, dialect, turns

    def begin(self, question: Question, i: int = 0) -> Policy:
        """Return the policy of one episode."""
        del i  # nothing is drawn
        return ScriptedPolicy(self.script(question))

    @abstractmethod
    def script(self, question: Question) -> Script:
        """Write an episode."""

    def topic(self, question: Question) -> str:
        """Return what the question names first, or else all of it."""
        return next((name for name, _ in self.named.within(question.text)), question.text)

    def search(self, query: str) -> str:
        """Write a search."""
        return self.dialect.write_call("search", {"query": query})


class OneSearch(_Scripted):
    """Searches once and answers with the first entity of the asked kind that it is shown."""

    def script(self, question: Question) -> Script:
        """Search once, and answer."""
        shown = yield self.search(self.topic(question))
        yield self.dialect.write_answer(_option(question, shown) or self._first(question, shown))

    def _first(self, question: Question, shown: str) -> str:
        kind, asked = answer_kind(question), {*self.named.within(question.text)}
        found = (one for one in self.named.within(shown) if one not in asked)
        return next((name for name, of in found if of == kind), UNKNOWN)


class GreedyHops(_Scripted):
    """Goes from name to name until it is shown an entity of the asked kind."""

    def script(self, question: Question) -> Script:
        """Search, go on, and answer."""
        kind, here = answer_kind(question), self.topic(question)
        been = {name for name, _ in self.named.within(question.text)} | {here}
        for _ in range(self.turns - 1):
            shown = yield self.search(here)
            option = _option(question, shown)
            if option:
                yield self.dialect.write_answer(option)
                return
            beside = self._beside(here, shown, been)
            answer = next((name for name, of in beside if of == kind), "")
            if answer or not beside:
                break
            here = beside[0][0]
            been.add(here)
        else:
            answer = ""
        yield self.dialect.write_answer(answer or UNKNOWN)

    def _beside(self, here: str, shown: str, been: set[str]) -> list[tuple[str, str]]:
        """Return what the first passage names beside a name, new entities alone."""
        for passage in _PASSAGE.split(shown):
            names = list(self.named.within(passage))
            new = [one for one in names if one[0] not in been]
            if new and (here in {name for name, _ in names} or here not in self._names(shown)):
                return new
        return []

    def _names(self, text: str) -> set[str]:
        return {name for name, _ in self.named.within(text)}


class ClosedBook:
    """Answer at once with what is answered most often.

    Args:
        train: The questions of training.
        dialect: How it writes.
    """

    def __init__(self, train: Sequence[Question], dialect: Dialect) -> None:
        self._dialect = dialect
        self._of_kind: dict[str, Counter[str]] = {}
        for question in train:
            for key in (question.kind, f"of {answer_kind(question)}"):
                counted = self._of_kind.setdefault(key, Counter())
                counted.update(answer.name for answer in question.answers)

    def begin(self, question: Question, i: int = 0) -> Policy:
        """Return the policy of one episode."""
        del i  # nothing is drawn
        return ScriptedPolicy(given([self._dialect.write_answer(self.answer(question))]))

    def answer(self, question: Question) -> str:
        """Return the most frequent answer, the first in alphabetical order of equals.

        Args:
            question: The question.
        """
        if question.options:
            return question.options[0]
        for key in (question.kind, f"of {answer_kind(question)}"):
            counted = self._of_kind.get(key)
            if counted:
                return min(counted, key=lambda name: (-counted[name], name))
        return UNKNOWN


def _option(question: Question, shown: str) -> str:
    """Return the option that a text has first, empty where it has none."""
    text = " ".join(_words(shown))
    places = [
        (place, option)
        for option in question.options or ()
        if (place := text.find(" ".join(_words(option)))) >= 0
    ]
    return min(places)[1] if places else ""


class _Factory(Protocol):
    def __call__(self, env: TrainingEnv, train: Sequence[Question], seed: int) -> Teacher[Policy]:
        """Make the baseline for an environment."""
        ...


def _oracle(env: TrainingEnv, train: Sequence[Question], seed: int) -> Teacher[Policy]:
    del train
    if env.spec.graph is None or not all(one.certificate for one in env.parts.questions):
        raise UsageError(
            "policy=oracle follows certificates, and these questions have none: take a set that "
            "was made from a graph"
        )
    rules, tools = env.parts.rules, env.parts.toolbox.tools
    return Thinker(Graph.load(env.spec.graph), rules.dialect, tools, seed=seed, thoughts=False)


def _searching(kind: type[_Scripted]) -> _Factory:
    def make(env: TrainingEnv, train: Sequence[Question], seed: int) -> Teacher[Policy]:
        del seed
        parts = env.parts
        if "search" not in parts.toolbox.tools:
            known = ", ".join(parts.toolbox.tools) or "none"
            raise UsageError(f"this baseline needs the tool search; the environment has {known}")
        turns = parts.rules.budget.turns
        return kind(_named(env, train), parts.rules.dialect, turns)

    return make


def _named(env: TrainingEnv, train: Sequence[Question]) -> Named:
    """Return the entities of the graph, or else those that training questions name."""
    if env.spec.graph is None:
        return Named((one.name, one.kind) for question in train for one in question.named)
    graph = Graph.load(env.spec.graph)
    kinds = [graph.kinds[code] for code in graph.kind_codes.tolist()]
    return Named(zip(graph.nodes.names, kinds, strict=True))


def _closed_book(env: TrainingEnv, train: Sequence[Question], seed: int) -> Teacher[Policy]:
    del seed
    return ClosedBook(train, env.parts.rules.dialect)


BASELINES: Mapping[str, _Factory] = MappingProxyType(
    {
        "oracle": _oracle,
        "one_search": _searching(OneSearch),
        "greedy_hops": _searching(GreedyHops),
        "closed_book": _closed_book,
    }
)
"""The baselines by name."""


def open_baseline(
    name: str, env: TrainingEnv, train: Sequence[Question], seed: int
) -> Teacher[Policy]:
    """Return a baseline for an environment.

    Args:
        name: Its name.
        env: The environment.
        train: The training questions of the set, of which it may learn what is answered.
        seed: Seed of what it draws.

    Raises:
        UnknownNameError: No baseline has that name.
        UsageError: It cannot play in the environment.
    """
    if name not in BASELINES:
        raise UnknownNameError("baseline", name, BASELINES)
    return BASELINES[name](env, train, seed)
