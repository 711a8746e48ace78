"""Does a text say what its writer could not know? The detector behind "no leak".

A teacher may be given the gold path with its entities masked, and a scripted one knows it outright.
Nothing of that may stand in what is learned from: no mask, no placeholder, no name of a relation as
the guidance writes it, no talk of the guidance, and no gold entity before the agent has seen it, in
the question or in an observation. The detector reads the finished episode alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from medenv.records import Question, Trajectory, Turn
from medenv.text import fold, whole_words

Kind = Literal["mask", "placeholder", "relation", "guidance", "entity"]

MASK = "[MASK]"
"""What stands for an entity in the guidance."""

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
    """One thing that could not be known.

    Attributes:
        kind: What it is.
        turn: 0-based number of the turn.
        found: The words.
    """

    kind: Kind
    turn: int
    found: str


Names = Mapping[str, Sequence[str]]
"""Entity id to all of its names, the preferred one first."""


def leaks(trajectory: Trajectory, names: Names) -> list[Leak]:
    """Return what an episode says before it could be known, in order.

    Args:
        trajectory: The episode.
        names: The names of at least all entities on its gold path and of its answers.
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
    return list(dict.fromkeys(found))


def written(turn: Turn) -> Iterator[str]:
    """Yield what a policy wrote in a turn: the text, and the strings in its calls as they count.

    Args:
        turn: The turn.
    """
    yield turn.text
    for _, arguments in turn.parsed.calls:
        yield from _strings(arguments)


def guidance_text(question: Question) -> str:
    """Return what a teacher is told: the gold path, entity by entity masked.

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
    """Return what finds the path's relations as identifiers; words such as "is a" are none."""
    found = sorted({hop.relation for hop in question.path if "_" in hop.relation})
    return re.compile(whole_words(*found)) if found else None


def _forms(text: str, relations: re.Pattern[str] | None) -> Iterator[tuple[Kind, str]]:
    """Yield what of the guidance itself stands in a text."""
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
    """Return every name and id of every gold entity, the topic's too: clues alone may give it."""
    ids = [] if question.topic is None else [question.topic.id]
    if (proof := question.certificate) is not None:
        ids += [*(end for hop in proof.path for end in (hop.head, hop.tail)), *proof.answers]
    found = [name for one in dict.fromkeys(ids) for name in (one, *names.get(one, ()))]
    known = [
        name for one in question.named if one.kind != "value" for name in (one.name, *one.aliases)
    ]
    return [one for one in dict.fromkeys([*found, *known]) if _telling(one)]


def _telling(name: str) -> bool:
    """Whether a name can be told from other words: not a number, not a single letter."""
    letters = [character for character in name if character.isalpha()]
    return len(letters) >= 2 or (len(letters) == 1 and any(c.isdigit() for c in name))


class _Seen:
    """Texts as their words parted by single spaces, with case and without."""

    def __init__(self, text: str) -> None:
        self.exact, self.folded = " ", " "
        self.add(text)

    def add(self, text: str) -> None:
        words = _words(text)
        self.exact += words + " "
        self.folded += fold(words) + " "


class _Gold:
    """A name to look for; symbols, which are written in capitals, with their case."""

    def __init__(self, name: str) -> None:
        self.name = name
        words = _words(name)
        self._symbol = " " not in words and words.upper() == words
        self._words = f" {words if self._symbol else fold(words)} "

    def within(self, texts: _Seen) -> bool:
        return self._words in (texts.exact if self._symbol else texts.folded)


def _words(text: str) -> str:
    """Return a text without accents, hyphens and punctuation, so that spelling hides nothing."""
    return " ".join(_TOKENS.findall(fold(text, keep_case=True)))
