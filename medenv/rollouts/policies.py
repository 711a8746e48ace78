"""Scripted policies: teachers that know the certificate, and baselines that do not.

A teacher makes a policy for each episode, `begin(question, i)`, whose every choice depends on the
teacher's seed and `i` alone. They write through the dialect and see only what the tools show,
except for what the certificate tells them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from medenv.dialects.base import Dialect
from medenv.errors import UsageError
from medenv.records import Entity, Message, Policy, Question
from medenv.retrieval.filtered import answer_kind, answer_name

Script = Generator[str, str, None]
"""Yields the policy's texts and is sent the observations."""


class Teacher(Protocol):
    """Makes a policy for each episode."""

    def begin(self, question: Question, i: int = 0) -> Policy:
        """Return the policy for one episode.

        Args:
            question: What will be asked.
            i: Number of the episode, which with the teacher's seed decides every choice.
        """
        ...


class ScriptedPolicy:
    """A policy that follows a script, and repeats its last text when the script is over.

    Args:
        script: Yields texts and is sent observations.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._begun = False
        self._last = ""

    def act(self, messages: Sequence[Message]) -> str:
        """Return the script's next text."""
        try:
            if self._begun:
                self._last = self._script.send(messages[-1]["content"])
            else:
                self._begun, self._last = True, next(self._script)
        except StopIteration:
            pass
        return self._last


class Texts:
    """A teacher whose policies write given texts, whatever is asked.

    Args:
        texts: What to write, turn by turn.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = tuple(texts)

    def begin(self, question: Question, i: int = 0) -> Policy:  # noqa: ARG002 - as `Teacher` has it
        """Return a policy that writes the texts."""
        return ScriptedPolicy(_given(self._texts))


class Oracle:
    """Walks the certificate's path through the real tools, then answers with the gold name.

    It searches the name of each hop's head once. Whether every hop was shown in the end is for the
    caller to check: an oracle answers from the certificate.

    Args:
        names: Entity id to the name under which the corpus knows it.
        dialect: How to write.
        thoughts: Whether a short thought comes before each call and the answer.
    """

    def __init__(
        self, names: Mapping[str, str], dialect: Dialect, *, thoughts: bool = False
    ) -> None:
        self._names, self._dialect, self._thoughts = names, dialect, thoughts

    def begin(self, question: Question, i: int = 0) -> Policy:  # noqa: ARG002 - as `Teacher` has it
        """Return a policy that follows the question's path."""
        return ScriptedPolicy(self.script(question))

    def script(self, question: Question) -> Script:
        """Search the head of each hop once, then answer.

        Args:
            question: What is asked.
        """
        searched: set[str] = set()
        for hop in question.proof.path:
            if hop.head not in searched:
                searched.add(hop.head)
                yield self.search(self.name(hop.head), hop.relation)
        yield self.answer(answer_name(question))

    def name(self, entity: str) -> str:
        """Return the name of an entity.

        Raises:
            UsageError: `names` does not have it.
        """
        if entity not in self._names:
            raise UsageError(f"no name is given for {entity!r}, which is on the gold path")
        return self._names[entity]

    def search(self, query: str, relation: str = "") -> str:
        """Write a search."""
        sought = relation.replace("_", " ") or "facts"
        thought = f"I look up {query}: {sought}." if self._thoughts else ""
        return self._dialect.write_call("search", {"query": query}, thought)

    def answer(self, text: str) -> str:
        """Write an answer."""
        thought = "The passages name it." if self._thoughts else ""
        return self._dialect.write_answer(text, thought)


class Guesser:
    """Answers at once with an entity of the right kind, drawn uniformly.

    Args:
        candidates: What can be guessed.
        dialect: How to write.
        seed: Decides, with the episode's number, what is drawn.
    """

    def __init__(self, candidates: Iterable[Entity], dialect: Dialect, *, seed: int = 0) -> None:
        self._candidates = tuple(sorted(candidates, key=lambda entity: entity.id))
        self._dialect, self._seed = dialect, seed

    def begin(self, question: Question, i: int = 0) -> Policy:
        """Return a policy that guesses.

        Raises:
            UsageError: No candidate is of the answer's kind.
        """
        rng = np.random.default_rng([self._seed, i])
        names = names_of_kind(self._candidates, question)
        guess = names[int(rng.integers(len(names)))]
        return ScriptedPolicy(_given([self._dialect.write_answer(guess)]))


class Wanderer:
    """Explores: detours, repeats, stops early or answers wrongly, each in a quarter of episodes.

    - ``detour``: an unhelpful query first, then the gold path.
    - ``repeat``: the gold path with its first search made twice.
    - ``early``: one hop, then an answer of the right kind among what was shown.
    - ``wrong``: the gold path, then a wrong entity of the right kind among what was shown.

    Args:
        oracle: Knows the gold path and the dialect.
        candidates: Entities that can be recognised in an observation and guessed.
        seed: Decides, with the episode's number, what is done.
    """

    ways = ("detour", "repeat", "early", "wrong")

    def __init__(self, oracle: Oracle, candidates: Iterable[Entity], *, seed: int = 0) -> None:
        self._oracle, self._seed = oracle, seed
        self._candidates = tuple(sorted(candidates, key=lambda entity: entity.id))

    def begin(self, question: Question, i: int = 0) -> Policy:
        """Return a policy that wanders in the way that (seed, `i`) decides.

        Raises:
            UsageError: No candidate is of the answer's kind.
        """
        rng = np.random.default_rng([self._seed, i])
        way = self.ways[int(rng.integers(len(self.ways)))]
        return ScriptedPolicy(self._script(way, question, rng))

    def _script(self, way: str, question: Question, rng: np.random.Generator) -> Script:
        oracle, path = self._oracle, question.proof.path
        others = names_of_kind(self._candidates, question)
        if way in ("detour", "repeat"):
            repeated = oracle.name(path[0].head)
            stray = others[int(rng.integers(len(others)))]
            yield oracle.search(stray if way == "detour" else repeated)
            yield from oracle.script(question)
            return
        shown = ""
        for hop in path[:1] if way == "early" else path:
            shown += "\n" + (yield oracle.search(oracle.name(hop.head), hop.relation))
        gold = {answer.name for answer in question.answers}
        seen = [name for name in others if name in shown and (way == "early" or name not in gold)]
        seen = seen or [name for name in others if name not in gold] or others
        yield oracle.answer(seen[int(rng.integers(len(seen)))])


def names_of_kind(candidates: Iterable[Entity], question: Question) -> list[str]:
    """Return the names of the candidates of the kind that the question asks for, but its topic's.

    Args:
        candidates: Entities.
        question: What is asked.

    Raises:
        UsageError: There are none.
    """
    kind = answer_kind(question)
    topic = question.topic.id if question.topic is not None else ""
    names = [e.name for e in candidates if e.kind == kind and e.id != topic]
    if not names:
        raise UsageError(f"no candidate is a {kind}, which question {question.id!r} asks for")
    return names


def _given(texts: Sequence[str]) -> Script:
    for text in texts:
        _ = yield text  # what is observed changes nothing
