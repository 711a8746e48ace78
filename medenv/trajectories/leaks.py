"""Detect privileged information in the texts of an episode.

Guided teachers receive the gold path with masked entities; scripted teachers have the whole path.
Training data must not contain any of it: no mask, no placeholder, no relation name as the guidance
writes it, no mention of the guidance, no gold entity before the question or an observation shows
it, and no choice that the observations so far do not justify: who goes on from one of several
candidates has been shown it with every clue of the question. The detector reads only the finished
episode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from medenv.records import Question, Trajectory, Turn
from medenv.text import fold, whole_words
from medenv.trajectories.revealed import RevealedEntities
from medenv.trajectories.revealed import names as mentions

Kind = Literal["mask", "placeholder", "relation", "guidance", "entity", "choice"]

MASK = "[MASK]"
"""Entity placeholder in the guidance."""

_MASKS = re.compile(r"[\[<‹{]\s*mask(?:ed)?(?:[_ ]?\w+)?\s*[\]}>]", re.IGNORECASE)
_PLACEHOLDERS = re.compile(
    r"\b(?:target_entity|(?:entity|attribute|clue|data|relation|placeholder)_(?:[a-z]|\d+))\b",
    re.IGNORECASE,
)
_GUIDANCE = re.compile(
    r"\b(?:(?:masked|gold|reference|provided|given) (?:path|triples?|guidance)|guidance|"
    r"reasoning path|cheat[ -]?sheet|the hints?)\b",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"[^\W_]+")


class Leak(NamedTuple):
    """One leak in an episode.

    Attributes:
        kind: Its kind.
        turn: 0-based number of the turn.
        found: Its text.
    """

    kind: Kind
    turn: int
    found: str


Names = Mapping[str, Sequence[str]]
"""Entity id to all of its names, the preferred one first."""


def leaks(trajectory: Trajectory, names: Names) -> list[Leak]:
    """Return the leaks of an episode in order.

    Args:
        trajectory: The episode.
        names: Names that cover at least its gold path and answers.
    """
    question = trajectory.question
    gold = [_Gold(one) for one in _gold_names(question, names)]
    relations = _relations(question)
    seen = _Seen(question.text)
    found: list[Leak] = []
    for number, turn in enumerate(trajectory.turns):
        for text in written(turn):
            found += [Leak(kind, number, words) for kind, words in _forms(text, relations)]
            told = _Seen(text)
            found += [
                Leak("entity", number, one.name)
                for one in gold
                if one.within(told) and not one.within(seen)
            ]
        seen.add(turn.observation)
    found += choice_leaks(trajectory, names)
    return sorted(dict.fromkeys(found), key=lambda leak: leak.turn)


def choice_leaks(trajectory: Trajectory, names: Names) -> list[Leak]:
    """Return the choices of gold entities that nothing shown before justifies.

    An entity of the path is chosen in the turn that first writes the name of the next one, or the
    answer. By then an observation has to show it together with each clue on it.

    Args:
        trajectory: The episode.
        names: Names that cover its gold path and clues.
    """
    proof = trajectory.question.certificate
    if proof is None or proof.query[0] != "chain":
        return []
    path = [proof.path[0].head, *(hop.tail for hop in proof.path)]
    clues = {one: [hop.tail for hop in proof.clues if hop.head == one] for one in path}
    waiting = [(one, after) for one, after in zip(path, [*path[1:], ""], strict=True) if clues[one]]
    revealed = RevealedEntities(trajectory.question.text)
    found: list[Leak] = []
    for number, turn in enumerate(trajectory.turns):
        text = " ".join(written(turn))
        for one, after in list(waiting):
            onward = names.get(after, ()) or turn.parsed.answer
            if not onward or (after and not any(mentions(text, name) for name in names[after])):
                continue
            waiting.remove((one, after))
            answered = after or any(mentions(turn.parsed.answer or "", n) for n in names[one])
            if answered and not all(_joined(revealed, names, one, clue) for clue in clues[one]):
                found.append(Leak("choice", number, names[one][0]))
        revealed.see(turn.observation, as_one=any(call.name == "read" for call in turn.calls))
    return found


def _joined(revealed: RevealedEntities, names: Names, one: str, other: str) -> bool:
    return any(
        revealed.joins(name, clue) for name in names.get(one, ()) for clue in names.get(other, ())
    )


def written(turn: Turn) -> Iterator[str]:
    """Yield the policy's texts in a turn: the text, and the strings in its calls.

    Args:
        turn: The turn.
    """
    yield turn.text
    for _, arguments in turn.parsed.calls:
        yield from _strings(arguments)


def guidance_text(question: Question) -> str:
    """Return a teacher's guidance: the gold path with masked entities.

    Args:
        question: The question.
    """
    lines = question.guidance or tuple(f"({MASK}, {hop.relation}, {MASK})" for hop in question.path)
    return "\n".join(lines)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, Iterable):
        for part in value:
            yield from _strings(part)


def _relations(question: Question) -> re.Pattern[str] | None:
    """Return a pattern for the path's relation identifiers; words like "is a" are none."""
    found = sorted({hop.relation for hop in question.path if "_" in hop.relation})
    return re.compile(whole_words(*found)) if found else None


def _forms(text: str, relations: re.Pattern[str] | None) -> Iterator[tuple[Kind, str]]:
    """Yield parts of the guidance in a text."""
    patterns: tuple[tuple[Kind, re.Pattern[str] | None], ...] = (
        ("mask", _MASKS),
        ("placeholder", _PLACEHOLDERS),
        ("relation", relations),
        ("guidance", _GUIDANCE),
    )
    for kind, pattern in patterns:
        if pattern is not None and (match := pattern.search(text)):
            yield kind, match.group()


def _gold_names(question: Question, names: Names) -> list[str]:
    """Return every name and id of every gold entity, the topic included: clues may imply it."""
    ids = [] if question.topic is None else [question.topic.id]
    if (proof := question.certificate) is not None:
        ids += [*(end for hop in proof.path for end in (hop.head, hop.tail)), *proof.answers]
    found = [name for one in dict.fromkeys(ids) for name in (one, *names.get(one, ()))]
    known = [
        name for one in question.named if one.kind != "value" for name in (one.name, *one.aliases)
    ]
    return [one for one in dict.fromkeys([*found, *known]) if _telling(one)]


def _telling(name: str) -> bool:
    """Return whether a name is distinctive: not a number, not a single letter."""
    letters = [character for character in name if character.isalpha()]
    return len(letters) >= 2 or (len(letters) == 1 and any(c.isdigit() for c in name))


class _Seen:
    """Texts as words joined by single spaces, with and without case."""

    def __init__(self, text: str) -> None:
        self.exact, self.folded = " ", " "
        self.add(text)

    def add(self, text: str) -> None:
        words = _words(text)
        self.exact += words + " "
        self.folded += fold(words) + " "


class _Gold:
    """A name to search for; case-sensitive for symbols (capitals)."""

    def __init__(self, name: str) -> None:
        self.name = name
        words = _words(name)
        self._symbol = " " not in words and words.upper() == words
        self._words = f" {words if self._symbol else fold(words)} "

    def within(self, texts: _Seen) -> bool:
        return self._words in (texts.exact if self._symbol else texts.folded)


def _words(text: str) -> str:
    """Normalise spelling: remove accents, hyphens and punctuation."""
    return " ".join(_TOKENS.findall(fold(text, keep_case=True)))
