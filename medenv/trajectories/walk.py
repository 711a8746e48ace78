"""A scripted researcher that checks what it asserts and writes only names that it has seen.

The certificate says which relation to follow next and what the question asks of its outcome. Which
of several candidates fits is found out: their documents are read in an order that does not depend
on the answer, and one is chosen where an observation shows it with every clue. A query, thought or
answer contains a name only after the question or an observation showed it; steps that cannot be
shown are given up.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from medenv.dialects.base import Dialect
from medenv.kg.certificates.conditions import Clue
from medenv.kg.graph.schema import REPORTED_TARGET, REPORTED_TREATMENT, TREATMENT_NAMES
from medenv.kg.questions.clues import names_entity
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

EXAMINED = 6
"""Most candidates whose documents are read at a step."""

LISTED = 3
"""Fewest candidates for which the entities in the clues are looked up first."""

SOUGHT = 4
"""Most candidates that are looked for by name in a long document."""

PAGES = 2
"""Most further windows of a document that are read in order."""

MOST_SEEN = 200
"""Most outcomes of a relation among which alternatives are recognised."""

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
        self._read: set[str] = set()

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
        """Make calls until a step is shown and its outcome is chosen; return whether it is.

        Args:
            step: The step to show.
        """
        for move in self.moves(step):
            if self.listed(step):
                break
            yield from self.once(move)
        else:
            if not self.listed(step):
                self.note(self.words.say("not_found"))
                return False
        return (yield from self.choose(step))

    def choose(self, step: Step) -> Generator[str, str, bool]:
        """Examine candidates until the gold one is shown with every clue; return whether it is.

        Candidates are what the step's head was shown with. Those that more clues were shown with
        come first, then all in a drawn order. One alternative is examined where there is any.

        Args:
            step: The step, whose outcome is among the candidates.
        """
        gold, others = step.hop.tail, self._alternatives(step)
        order = [gold, *others] if step.clues else []
        order = [order[int(i)] for i in self.rng.permutation(len(order))]
        ruled_out = yield from self._narrow(step, order)
        order.sort(key=lambda one: -self._held(step, one))
        for candidate in order[:EXAMINED]:
            if self.shows(step) and (ruled_out or not others):
                break
            if self._held(step, candidate) < len(step.clues):
                yield from self._examine(candidate, step)
            against = self._missing(step, candidate)
            if candidate != gold and candidate in self._read and against:
                ruled_out += 1
                name, clue = self.book.called(candidate), self.book.predicates(against)
                self.note(self.words.say("ruled_out", name=name, clue=clue))
        if not self.shows(step):
            return False
        self._reflect(step)
        return True

    def _narrow(self, step: Step, candidates: Sequence[str]) -> Generator[str, str, int]:
        """Read what is recorded of entities in the clues; return how many candidates that excludes.

        Args:
            step: The step.
            candidates: The candidates.
        """
        if len(candidates) < LISTED:
            return 0
        excluded = 0
        for clue in step.clues:
            other = self.book.graph.nodes.ids[clue.entity]
            if not names_entity(self.book.graph, clue.relation, clue.entity):
                continue
            self.note(self.words.say("listing", name=self.book.called(other)))
            sought = [self.book.name(one) for one in candidates[:SOUGHT]]
            for move in self._documents(other, sought if len(candidates) <= SOUGHT else []):
                yield from self.once(move)
            name = self.book.name(other)
            with_it = [c for c in candidates if self.revealed.joins(self.book.name(c), name)]
            if len(with_it) == 1:
                excluded = len(candidates) - 1
                slots = {"number": str(len(candidates)), "rest": str(excluded)}
                told = self.book.called(with_it[0]), self.book.called(other)
                self.note(self.words.say("alone", name=told[0], other=told[1], **slots))
        return excluded

    def once(self, move: Move) -> Acting:
        """Make a call unless it was made before; return the observation, or ``""``.

        Args:
            move: The call.
        """
        key = msgspec.json.encode((move.tool, move.arguments))
        if key in self._made:
            return ""
        self._made.add(key)
        return (yield from self.act(move))

    def _alternatives(self, step: Step) -> list[str]:
        """Return the other outcomes of a step that its head was shown with."""
        if not step.hop.head or not step.clues:
            return []
        head = self.book.name(step.hop.head)
        gold = {end for one in self.steps for end in (one.hop.head, one.hop.tail)}
        beside = [one for one in self.book.beside(step.hop)[:MOST_SEEN] if one not in gold]
        return [one for one in beside if self.revealed.joins(head, self.book.name(one))]

    def _held(self, step: Step, candidate: str) -> int:
        """Return how many of a step's clues a candidate was shown with."""
        return len(step.clues) - len(self._missing(step, candidate))

    def _missing(self, step: Step, candidate: str) -> list[Clue]:
        """Return the clues of a step that a candidate was not shown with."""
        names, known = self.book.graph.nodes.names, self.book.name(candidate)
        return [c for c in step.clues if not self.revealed.joins(known, names[c.entity])]

    def _examine(self, candidate: str, step: Step) -> Generator[str, str, None]:
        """Read the document of a candidate as far as its clues need."""
        self.note(self.words.say("examine", name=self.book.called(candidate)))
        sought = self.book.clue_names(self._missing(step, candidate))
        for move in self._documents(candidate, sought):
            yield from self.once(move)
            if not self._missing(step, candidate):
                break
        if self.revealed.passage_of(candidate):
            self._read.add(candidate)

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

    def listed(self, step: Step) -> bool:
        """Return whether a step's outcome has been shown with its head."""
        tail = self.book.name(step.hop.tail)
        if not step.hop.head:
            return self.revealed.joins(tail, step.text.split(". ")[0][:60])
        return self.revealed.joins(self.book.name(step.hop.head), tail, *step.values)

    def shows(self, step: Step) -> bool:
        """Return whether a step has been shown, and every clue on its outcome."""
        return self.listed(step) and self._held(step, step.hop.tail) == len(step.clues)

    def moves(self, step: Step) -> Iterator[Move]:
        """Yield calls that may show what a step leads to, the likeliest first; lazily.

        Args:
            step: The step to show.
        """
        if not step.hop.head:
            yield from self._searches([step.text], "the definition")
            return
        if TREATMENT_NAMES.name in (step.hop.relation, self.book.back(step.hop)):
            head = self.book.called(step.hop.head)
            for tool in ("search", "med_search"):
                if tool in self.setting.tools:
                    query = {"query": f"{self.book.name(step.hop.head)} treatment"}
                    yield Move(tool, query, "treatment", head)
        for words in (
            _LITERATURE.get(step.hop.relation),
            _LITERATURE.get(self.book.back(step.hop)),
        ):
            if words is not None:
                sought = [self.book.name(step.hop.head), words]
                yield from self._searches(sought, self.book.called(step.hop.head))
        yield from self._documents(step.hop.head, [])
        yield from self._by_names(step)
        yield from self._by_findings(step)
        if self.revealed.includes(self.book.name(step.hop.tail)):
            yield from self._documents(step.hop.tail, [self.book.name(step.hop.head)])

    def _by_names(self, step: Step) -> Iterator[Move]:
        """Search the head's name with the tail's clues."""
        head, kind = self.book.name(step.hop.head), self.book.noun(step.hop.tail)
        beside = [name for name in self.book.clue_names(step.clues) if self.revealed.includes(name)]
        for move in self._searches([head, *beside], _listed([head, *beside]), f"{kind}s"):
            yield move
            if self.revealed.shown_last(head):
                return

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

    def _documents(self, entity: str, sought: Sequence[str]) -> Iterator[Move]:
        """Read the document of a seen entity, as far as needed.

        Args:
            entity: The entity.
            sought: Names to look for where it is long.
        """
        name = self.book.name(entity)
        if not self.revealed.includes(name):
            return
        if not self.revealed.passage_of(entity):
            for move in self._searches([name], self.book.called(entity), "findings"):
                yield move
                if self.revealed.passage_of(entity):
                    break
        if "read" in self.setting.tools and self.revealed.passage_of(entity):
            yield from self._pages(entity, sought)

    def _pages(self, entity: str, sought: Sequence[str]) -> Iterator[Move]:
        """Read the first window of a document, what is sought in it, and further windows."""
        first, name = f"{entity}#0", self.book.name(entity)
        yield Move("read", {"passage_id": first}, "read", name)
        if not self.revealed.ends_with(GOES_ON):
            return
        for other in sought:
            if self.revealed.includes(other):
                yield Move("read", {"passage_id": first, "find": other}, "read_on", name)
        for page in range(1, PAGES + 1):
            if not self.revealed.ends_with(GOES_ON):
                return
            yield Move("read", {"passage_id": first, "start": page * READ_ON}, "read_on", name)

    def _searches(self, wanted: Sequence[str], about: str, more: str = "") -> Iterator[Move]:
        """Search with one tool, then with the other and more words; callers stop before."""
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
        """State what was shown, where it stands, and the clues that it was shown with."""
        cited = self.revealed.passages_among(step.hop.passages)
        source = f" ({cited})" if cited else ""
        self.note(self.words.say("found", fact=f"{self._fact(step)}{source}"))
        if step.clues:
            self.note(self.words.say("fits", clue=self.book.predicates(step.clues)))
        follower = self._after(step)
        if follower is not None and not self.shows(follower) and self.rng.random() < ANNOUNCED:
            self.note(self.words.say("next", kind=self.book.noun(follower.hop.tail)))

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


_LITERATURE = {REPORTED_TREATMENT.name: "approved treatment", REPORTED_TARGET.name: "inhibitor"}
"""Relation that sentences of the literature state, to words that are searched for it."""

MOST_FACTS = 8
"""Maximum steps listed in the last thought."""


def _listed(wanted: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    quoted = [f'"{one}"' for one in wanted]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


__all__ = ["Hop", "Move", "Setting", "Walk"]
