"""Scripted teachers, all with the interface `medenv.rollouts.policies.Teacher`.

`Oracle`, `Guesser` and `Wanderer` write short turns that a small policy can learn from scratch.
`Thinker`, `Explorer` and `Hasty` walk through the tools of a graph and think aloud. Every choice
depends on a teacher's seed and the episode's number alone; besides the certificate, teachers use
only what the tools have shown.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping

import numpy as np

from medenv.dialects.base import Dialect
from medenv.errors import UsageError
from medenv.kg import Graph
from medenv.records import Entity, Policy, Question
from medenv.retrieval.filtered import answer_kind, answer_name
from medenv.rollouts.policies import Script, ScriptedPolicy, given
from medenv.trajectories.steps import Step, Wordbook
from medenv.trajectories.walk import Move, Setting, Walk

WRONG_ID = "DOC:{number}#0"
"""An unused document id."""

WITHHELD = ("lookup", "visit", "web_search")
"""Tools that an episode may call although unavailable."""

DETOURS = (1, 3)
"""Minimum and maximum detours per explorer episode."""

ANYTHING = {"disease": "disease findings", "gene": "associated gene", "phenotype": "reported in"}
"""Queries that are too broad, by target kind."""


class Oracle:
    """Follow the certificate's path with the real tools, then answer with the gold name.

    An oracle searches the name of each hop's head once and answers from the certificate. Callers
    must check that every hop was shown.

    Args:
        names: Entity id to its name in the corpus.
        dialect: Text format.
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
            question: The question.
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
    """Answer at once with a uniformly drawn entity of the right kind.

    Args:
        candidates: Possible guesses.
        dialect: Text format.
        seed: Seed of the draws, with the episode's number.
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
        return ScriptedPolicy(given([self._dialect.write_answer(guess)]))


class Wanderer:
    """Explore: detour, repeat, stop early or answer wrongly, each in a quarter of episodes.

    - ``detour``: an unhelpful query first, then the gold path.
    - ``repeat``: the gold path with its first search made twice.
    - ``early``: one hop, then an answer of the right kind among what was shown.
    - ``wrong``: the gold path, then a wrong entity of the right kind among what was shown.

    Args:
        oracle: Has the gold path and dialect.
        candidates: Entities to recognise in observations and to guess.
        seed: Seed of the choices, with the episode's number.
    """

    ways = ("detour", "repeat", "early", "wrong")

    def __init__(self, oracle: Oracle, candidates: Iterable[Entity], *, seed: int = 0) -> None:
        self._oracle, self._seed = oracle, seed
        self._candidates = tuple(sorted(candidates, key=lambda entity: entity.id))

    def begin(self, question: Question, i: int = 0) -> Policy:
        """Return a policy whose behaviour (seed, `i`) determines.

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
    """Return the names of candidates of the answer's kind, without the topic.

    Args:
        candidates: Entities.
        question: The question.

    Raises:
        UsageError: No names.
    """
    kind = answer_kind(question)
    topic = question.topic.id if question.topic is not None else ""
    names = [e.name for e in candidates if e.kind == kind and e.id != topic]
    if not names:
        raise UsageError(f"no candidate is a {kind}, which question {question.id!r} asks for")
    return names


class Thinker:
    """An oracle that follows the certificate and explains every step.

    Args:
        graph: The graph that the questions are about.
        dialect: Text format.
        tools: Names of the available tools.
        seed: Seed of tools and wordings, with the episode's number.
        thoughts: Whether to think aloud.
    """

    walk: type[Walk] = Walk

    def __init__(
        self,
        graph: Graph,
        dialect: Dialect,
        tools: Iterable[str],
        *,
        seed: int = 0,
        thoughts: bool = True,
    ) -> None:
        names = frozenset(tools)
        if not names & {"search", "med_search"}:
            raise UsageError(f"a scripted teacher needs search or med_search, got {sorted(names)}")
        self._setting = Setting(Wordbook(graph), dialect, names, thoughts)
        self._seed = seed

    def begin(self, question: Question, i: int = 0) -> Policy:
        """Return the policy for one episode.

        Args:
            question: The question.
            i: Number of the episode.
        """
        rng = np.random.default_rng([self._seed, i])
        return ScriptedPolicy(self.walk(self._setting, question, rng).script())


class _DetourWalk(Walk):
    """A walk with occasional wrong turns, which it corrects."""

    def __init__(self, setting: Setting, question: Question, rng: np.random.Generator) -> None:
        super().__init__(setting, question, rng)
        count = int(rng.integers(DETOURS[0], DETOURS[1] + 1))
        places = rng.permutation(max(len(self.steps), 1))[:count]
        self._places = {int(place) for place in places}
        self._taken: set[str] = set()

    def take(self, step: Step) -> Generator[str, str, bool]:
        """Make wrong turns before some steps, then take the step.

        Args:
            step: The step to show.
        """
        if self.steps.index(step) in self._places and not self.shows(step):
            detours = self._detours(step)
            if detours:
                move, over, name = detours[int(self.rng.integers(len(detours)))]
                self._taken.add(over)
                yield from self.act(move)
                self.note(self.words.say(over, name=name))
        return (yield from super().take(step))

    def _detours(self, step: Step) -> list[tuple[Move, str, str]]:
        """Return possible wrong turns of kinds not taken yet: the call, the regret, its subject."""
        head = self.book.name(step.hop.head) if step.hop.head else ""
        about = head if head and self.revealed.includes(head) else "the description"
        found = [self._vague(step, self.book.kind(step.hop.tail))]
        missing = [one for one in WITHHELD if one not in self.setting.tools]
        if missing:
            tool = missing[int(self.rng.integers(len(missing)))]
            call = Move(tool, {"name": about}, "wrong_tool", about)
            found.append((call, "wrong_tool_over", about))
        if "read" in self.setting.tools:
            number = int(self.rng.integers(100_000, 1_000_000))
            arguments = {"passage_id": WRONG_ID.format(number=number)}
            found.append((Move("read", arguments, "wrong_id", about), "wrong_id_over", about))
        return [one for one in found if one[1] not in self._taken]

    def _vague(self, step: Step, kind: str) -> tuple[Move, str, str]:
        """Search for a common property."""
        clues = [name for name in self.book.clue_names(step.clues) if self.revealed.includes(name)]
        query = clues[0] if clues else ANYTHING.get(kind, kind)
        tool = "search" if "search" in self.setting.tools else "med_search"
        return Move(tool, {"query": query}, "vague", f'"{query}"'), "vague_over", query


class Explorer(Thinker):
    """Explore: search too broadly, call tools and read passages that do not exist.

    Every wrong turn is corrected, so that the episodes show recovery. Each episode has one to
    three detours, each of another kind, which (seed, number) determines. Arguments as for
    `Thinker`.
    """

    walk = _DetourWalk


class _HastyWalk(Walk):
    """A walk that stops at the first candidate of the right kind."""

    def script(self) -> Script:
        """Take the first step, then give a wrong answer that was shown."""
        self.note(self._opening())
        step = self.steps[0]
        move = next(self.moves(step))
        yield from self.act(move)
        gold = {answer.id for answer in self.question.answers}
        kind = answer_kind(self.question)
        wrong = [
            name
            for node in self._of_kind(kind)
            if self.book.graph.nodes.ids[node] not in gold
            and self.revealed.includes(name := self.book.graph.nodes.names[node])
        ]
        name = wrong[int(self.rng.integers(len(wrong)))] if wrong else "unknown"
        yield self.write_answer(name, self.words.say("hasty", name=name))

    def _of_kind(self, kind: str) -> list[int]:
        """Return the nodes of a kind around the question's own."""
        graph = self.book.graph
        ends = {end for one in self.steps for end in (one.hop.head, one.hop.tail) if end}
        near = {
            int(tail)
            for end in sorted(ends)
            for relation in graph.factual
            for tail in graph.step(graph.number(end), relation)[:100]
        }
        return sorted(node for node in near if graph.kind(node) == kind)


class Hasty(Thinker):
    """A negative for preference pairs: one call, then a wrong answer of the right kind.

    Arguments as for `Thinker`.
    """

    walk = _HastyWalk
