"""A scripted researcher that follows the certificate and writes only names that it has seen.

The certificate determines only the choice of the next call. A query, thought or answer contains a
name only after the question or an observation showed it; steps that cannot be shown are given up.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from medenv.dialects.base import Dialect
from medenv.records import Hop, Question
from medenv.retrieval.filtered import answer_kind
from medenv.rollouts.policies import Script
from medenv.trajectories.faults import FAILED
from medenv.trajectories.lexicon import Words
from medenv.trajectories.revealed import RevealedEntities
from medenv.trajectories.steps import Step, Wordbook, steps_of

READ_ON = 1_850
"""Offset of the next read, characters: shortly before the first window ends."""

GOES_ON = "it goes on: start="
"""Text that marks a document window as incomplete."""

ANNOUNCED = 0.5
"""Probability that a thought names the next link."""

MEDICAL_FIRST = 0.3
"""Probability of medical before general search."""

TRIES = 3
"""Attempts at a call without an answer."""

Acting = Generator[str, str, str]
"""Yields policy texts, receives observations, and returns the last one."""


class Move(NamedTuple):
    """A call with its reason.

    Attributes:
        tool: Name of the tool.
        arguments: Its arguments.
        why: Occasion of the thought.
        about: Name in the thought.
    """

    tool: str
    arguments: Mapping[str, Any]
    why: str
    about: str


class Setting(NamedTuple):
    """Shared state of a teacher's episodes.

    Attributes:
        book: Names of the graph's entities.
        dialect: Text format.
        tools: Names of the available tools.
        thoughts: Whether to think aloud.
    """

    book: Wordbook
    dialect: Dialect
    tools: frozenset[str]
    thoughts: bool = True


class Walk:
    """One episode of a scripted researcher.

    Args:
        setting: Shared state.
        question: The question.
        rng: Draws tools and wordings.
    """

    def __init__(self, setting: Setting, question: Question, rng: np.random.Generator) -> None:
        self.setting, self.book, self.question, self.rng = setting, setting.book, question, rng
        self.revealed, self.words = RevealedEntities(question.text), Words(rng)
        self.steps = steps_of(setting.book.graph, question)
        self._notes: list[str] = []
        self._made: set[bytes] = set()

    def script(self) -> Script:
        """Begin, take every step, and answer."""
        self.note(self._opening())
        for step in self.steps:
            if not (yield from self.take(step)):
                yield self.write_answer("unknown", self.words.say("give_up"))
                return
        answers = [one.name for one in self.question.answers]
        text = "; ".join(answers)
        reason = self.words.say("answer", chain=self._chain(), answer=" and ".join(answers))
        yield self.write_answer(text, reason)

    def take(self, step: Step) -> Generator[str, str, bool]:
        """Make calls until a step is shown; return whether it is.

        Args:
            step: The step to show.
        """
        if self.shows(step):
            self.note(self.words.say("found", fact=self._fact(step)))
            return True
        tail = self.book.name(step.hop.tail)
        for move in self.moves(step):
            key = msgspec.json.encode((move.tool, move.arguments))
            if key in self._made:
                continue
            self._made.add(key)
            known = self.revealed.includes(tail)
            yield from self.act(move)
            if self.shows(step):
                self._reflect(step)
                return True
            appeared = not known and self.revealed.includes(tail)
            occasion = "candidate" if appeared else "not_found"
            self.note(self.words.say(occasion, name=self.book.called(step.hop.tail)))
        return False

    def act(self, move: Move) -> Acting:
        """Make a call, retry without an answer; return the observation.

        Args:
            move: The call.
        """
        observation = yield self.write_call(move)
        for _ in range(TRIES - 1):
            if FAILED not in observation:
                break
            self.note(self.words.say("failed"))
            observation = yield self.write_call(move, repeated=True)
        self.revealed.see(observation, as_one=move.tool == "read")
        return observation

    def note(self, sentence: str) -> None:
        """Keep a sentence for the next thought."""
        self._notes.append(sentence)

    def write_call(self, move: Move, *, repeated: bool = False) -> str:
        """Write a call with its thought.

        Args:
            move: The call.
            repeated: Whether it was made before.
        """
        if not repeated:
            self.note(self.words.say(move.why, query=move.about, name=move.about))
        return self.setting.dialect.write_call(move.tool, move.arguments, self._thought())

    def write_answer(self, text: str, reason: str) -> str:
        """Write the answer with a last thought.

        Args:
            text: The answer.
            reason: The thought.
        """
        self.note(reason)
        return self.setting.dialect.write_answer(text, self._thought())

    def shows(self, step: Step) -> bool:
        """Return whether a step has been shown."""
        tail = self.book.name(step.hop.tail)
        if not step.hop.head:
            return self.revealed.joins(tail, step.text.split(". ")[0][:60])
        return self.revealed.joins(self.book.name(step.hop.head), tail, *step.values)

    def moves(self, step: Step) -> Iterator[Move]:
        """Yield calls that may show a step, the likeliest first; lazily.

        Args:
            step: The step to show.
        """
        if not step.hop.head:
            yield from self._searches([step.text], "the definition")
            return
        head, tail = step.hop.head, step.hop.tail
        ends = [one for one in (head, tail) if self.book.kind(one) == "disease"]
        if head in ends or self.revealed.includes(self.book.name(tail)):
            yield from self._documents(ends[0] if ends else head, step)
        yield from self._by_names(step)
        yield from self._documents(tail, step)
        yield from self._by_findings(step)
        yield from self._documents(tail, step)
        yield from self._documents(head, step)

    def _by_names(self, step: Step) -> Iterator[Move]:
        """Search the head's name with the tail's clues, then alone."""
        head, kind = self.book.name(step.hop.head), self.book.noun(step.hop.tail)
        beside = [name for name in self.book.clue_names(step.clues) if self.revealed.includes(name)]
        yield from self._searches([head, *beside], _listed([head, *beside]), f"{kind}s")
        if beside:
            yield from self._searches([head], self.book.called(step.hop.head), f"{kind}s")

    def _by_findings(self, step: Step) -> Iterator[Move]:
        """Rank diseases by the known findings."""
        book, hop = self.book, step.hop
        if "diagnose" not in self.setting.tools or book.kind(hop.tail) != "disease":
            return
        present = book.findings(step.clues)
        if book.kind(hop.head) == "phenotype":
            present = [book.name(hop.head), *present]
        present = [name for name in dict.fromkeys(present) if self.revealed.includes(name)]
        if present:
            yield Move("diagnose", {"present": present}, "diagnose", _listed(present))

    def _documents(self, entity: str, step: Step) -> Iterator[Move]:
        """Read the document of a step's seen end, as far as needed."""
        name = self.book.name(entity)
        if not self.revealed.includes(name):
            return
        if not self.revealed.passage_of(entity):
            yield from self._searches([name], self.book.called(entity), "findings")
        if "read" not in self.setting.tools or not self.revealed.passage_of(entity):
            return
        first = f"{entity}#0"
        yield Move("read", {"passage_id": first}, "read", name)
        if not self.revealed.ends_with(GOES_ON):
            return
        other = self.book.name(step.hop.head if entity == step.hop.tail else step.hop.tail)
        if self.revealed.includes(other):
            yield Move("read", {"passage_id": first, "find": other}, "read_on", name)
        yield Move("read", {"passage_id": first, "start": READ_ON}, "read_on", name)

    def _searches(self, wanted: Sequence[str], about: str, more: str = "") -> Iterator[Move]:
        """Search with one tool, then the other and more words."""
        tools = [one for one in ("search", "med_search") if one in self.setting.tools]
        if self.rng.random() < MEDICAL_FIRST:
            tools.reverse()
        for tool in tools:
            yield Move(tool, {"query": " ".join(wanted)}, tool, about)
            wanted = [*wanted, more] if more else wanted

    def _opening(self) -> str:
        book, query = self.book, self.question.proof.query
        kind = self._kind_asked()
        if query[0] == "where":
            return self.words.say("begin_clues", kind=kind)
        topic = self.question.subject.id
        if self.revealed.includes(self.question.subject.name):
            return self.words.say("begin", kind=kind, start=book.called(topic))
        return self.words.say("begin_unnamed", kind=kind, first=book.noun(topic))

    def _kind_asked(self) -> str:
        kind = answer_kind(self.question)
        return {"phenotype": "finding", "value": "figure"}.get(kind, kind.replace("_", " "))

    def _fact(self, step: Step) -> str:
        if step.hop.head:
            return self.book.fact(step.hop)
        return f"the description is that of {self.book.called(step.hop.tail)}"

    def _reflect(self, step: Step) -> None:
        """State the shown fact and the sayable clues."""
        hop = step.hop
        self._notes.clear()
        self.note(self.words.say("found", fact=self._fact(step)))
        sayable = [one for one in step.clues if self._sayable(one.entity)]
        if sayable:
            names = self.book.clue_names(sayable)
            seen = names and all(
                self.revealed.joins(self.book.name(hop.tail), name) for name in names
            )
            occasion = "fits" if seen else "supposed"
            self.note(self.words.say(occasion, clue=self.book.predicates(sayable)))
        follower = self._after(step)
        if follower is not None and not self.shows(follower) and self.rng.random() < ANNOUNCED:
            self.note(self.words.say("next", kind=self.book.noun(follower.hop.tail)))

    def _sayable(self, node: int) -> bool:
        return self.revealed.includes(self.book.graph.nodes.names[node])

    def _after(self, step: Step) -> Step | None:
        at = self.steps.index(step) + 1
        return self.steps[at] if at < len(self.steps) else None

    def _chain(self) -> str:
        """Return the gold path in words, long lists cut."""
        facts = [self.book.fact(step.hop) for step in self.steps if step.asked]
        return "; ".join(facts[:MOST_FACTS]) + ("; and so on" if len(facts) > MOST_FACTS else "")

    def _thought(self) -> str:
        thought, self._notes = " ".join(self._notes), []
        return thought if self.setting.thoughts else ""


MOST_FACTS = 8
"""Maximum steps listed in the last thought."""


def _listed(wanted: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    quoted = [f'"{one}"' for one in wanted]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


__all__ = ["Hop", "Move", "Setting", "Walk"]
