"""Match an answer to the options of a multiple choice, by letter or by text."""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from medenv.errors import UsageError
from medenv.records import Entity, Question
from medenv.reward.answers.equivalence import MAX_CHARS, Match
from medenv.reward.answers.names import normalise
from medenv.reward.answers.presentation import readings
from medenv.text import fold

_ASKED = (
    r"(?:(?:the|my)\s+)?(?:(?:correct|right|best|final|most\s+(?:likely|appropriate))\s+)*"
    r"(?:option|choice|alternative|answer)\s*(?:(?:is|would\s+be)\s*:?|[:=])?\s*"
)
_LETTER = r"(?:\(([A-Z])\)|\[([A-Z])\]|([A-Z]))"
_LABELLED = re.compile(
    rf"(?:{_ASKED})*{_LETTER}(?:\s*[.):,–—-]+\s*|\s+|(?=\()|$)(.*)", re.IGNORECASE | re.DOTALL
)
_LABEL_BEHIND = re.compile(rf"(.+?)\s*\(\s*(?:{_ASKED})?([A-Z])\s*\)", re.IGNORECASE | re.DOTALL)
_IN_BRACKETS = re.compile(r"\((.*)\)|\[(.*)\]", re.DOTALL)
_LISTS = (re.compile(r"\s*(?:[,;&\n]|\band\b)\s*", re.IGNORECASE), re.compile(r"\s*[;\n]\s*"))


class _Sheet:
    """Index of a question's options by letter and by text.

    Args:
        options: The texts of the options.
        gold: The gold answers.
    """

    def __init__(self, options: Sequence[str], gold: Sequence[Entity]) -> None:
        self.options = options
        self.longest = max(MAX_CHARS, 2 * max(map(len, options)))
        self._folded = defaultdict[str, set[int]](set)
        self._normal = defaultdict[str, set[int]](set)
        for number, option in enumerate(options):
            self._call(number, option)
        self.gold: dict[int, str] = {}
        for entity in gold:
            place = self.named(entity.name)
            if place is None:
                raise UsageError(
                    f"the gold answer {entity.name!r} is none of the options, or several of them:"
                    f" {'; '.join(options)}"
                )
            self.gold[place] = entity.id
            for alias in entity.aliases:
                self._call(place, alias)

    def _call(self, number: int, name: str) -> None:
        self._folded[_plain(name)].add(number)
        self._normal[normalise(name)].add(number)

    def named(self, text: str) -> int | None:
        """Return the only option that a text names, or None."""
        exact = self._folded.get(_plain(text), set())
        found = exact or self._normal.get(normalise(text), set())
        return next(iter(found)) if len(found) == 1 else None

    def picked(self, text: str) -> int | None:
        """Return the option that a text picks without contradiction, or None."""
        labelled = _LABELLED.fullmatch(text)
        letter = self._number(labelled) if labelled else None
        rest = labelled[4].strip() if labelled else ""
        if letter is not None and not rest:
            return letter  # a single letter is a label, even if an option has that text
        if (named := self.named(text)) is not None:
            return named
        if letter is not None:
            inner = _IN_BRACKETS.fullmatch(rest)
            rest = (inner[1] or inner[2] or "") if inner else rest
            return letter if self.named(rest) == letter else None
        if behind := _LABEL_BEHIND.fullmatch(text):
            number = string.ascii_uppercase.index(behind[2].upper())
            return number if self.named(behind[1]) == number else None
        return None

    def _number(self, labelled: re.Match[str]) -> int | None:
        letter = labelled[1] or labelled[2] or labelled[3]
        number = string.ascii_uppercase.find(letter.upper())
        return number if 0 <= number < len(self.options) else None


def picks(answer: str, question: Question) -> frozenset[int]:
    """Return the numbers of the options that an answer picks, counted from 0.

    The letter, "(D)", "D.", "Option D", "D) text" and the text are equivalent. Nothing is picked
    where letter and text belong to two options, or an item of a list matches no option.

    Args:
        answer: The answer that the policy wrote.
        question: A multiple choice.
    """
    sheet = _sheet_of(question)
    if len(answer) > sheet.longest * len(sheet.options):
        return frozenset()
    *_, last = texts = [reading.text for reading in readings(answer)]
    for text in texts:
        if (number := sheet.picked(text)) is not None:
            return frozenset((number,))
    for separator in _LISTS:
        items = [sheet.picked(item) for item in separator.split(last)]
        if None not in items and len({*items}) == len(items):
            return frozenset(item for item in items if item is not None)
    return frozenset()


def right_picks(answer: str, question: Question) -> frozenset[int]:
    """Return the numbers of the right options among those that an answer picks.

    Args:
        answer: The answer that the policy wrote.
        question: A multiple choice with gold answers.
    """
    return picks(answer, question) & _sheet_of(question).gold.keys()


def judge_choice(answer: str | None, question: Question) -> Match:
    """Judge whether an answer picks exactly the right options of a multiple choice.

    Args:
        answer: The answer that the policy wrote, or None.
        question: A multiple choice with gold answers.

    Returns:
        The kind of match and the reason for it. Where all gold answers are asked for, the answer
        must pick exactly these; else exactly one of them.

    Raises:
        UsageError: A gold answer is not among the options.
    """
    if answer is None or not answer.strip():
        return Match("empty", "no answer was given")
    gold = _sheet_of(question).gold
    picked = picks(answer, question)
    letters = ", ".join(string.ascii_uppercase[number] for number in sorted(picked))
    if not picked:
        return Match("wrong", "picks no option, or contradicts itself")
    if len(gold) > 1 and question.asks_for_all:
        if picked == gold.keys():
            return Match("list", "all of the right options, and no other")
        return Match("incomplete", f"picks {letters}")
    if len(picked) > 1:
        return Match("hedged", f"picks {letters}")
    (number,) = picked
    if number in gold:
        return Match("exact", f"picks {letters}", gold[number])
    return Match("other_entity", f"picks {letters}")


def _sheet_of(question: Question) -> _Sheet:
    return _sheet(tuple(question.options or ()), question.answers)


@lru_cache(maxsize=1 << 12)
def _sheet(options: tuple[str, ...], gold: tuple[Entity, ...]) -> _Sheet:
    return _Sheet(options, gold)


def _plain(text: str) -> str:
    return " ".join(fold(text).split())
