"""Parse lists in free text into the names of their items.

Items are numbered or bulleted, one per line, or separated by commas, semicolons and "and". Names
contain commas and "and" too, so the parser chooses the segmentation with the fewest items that name
no gold answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_SEPARATOR = re.compile(
    r"[;,\n•|&]|(?<!\w)(?:and|plus|as\s+well\s+as)(?!\w)|(?P<or>(?<!\w)or(?!\w)|(?<=\s)/(?=\s))",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_MARK = re.compile(
    r"\s*(?:(?:[-*+◦‣▪–—]|\(?\d{1,3}[.)])\s+)?(?:(?:both|also|finally|lastly)\s+(?=\S))?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<!\S)\(?(\d{1,2})[.)][^\S\n]+(?=\S)")
_MOST_JOINED = 8


class Listed(NamedTuple):
    """The parsed items of a list.

    Attributes:
        named: Id of the gold answer for each item, or "".
        alternatives: Whether some items are offered as alternatives ("or").
    """

    named: tuple[str, ...]
    alternatives: bool

    @property
    def found(self) -> int:
        """Number of gold answers named."""
        return len(set(self.named) - {""})

    def f1(self, gold: int) -> float:
        """Return the F1 between the items and the gold answers; a repeated item counts once.

        Args:
            gold: Number of gold answers.
        """
        return 2 * self.found / (len(self.named) + gold)


NO_LIST = Listed((), alternatives=False)
"""The result for a list that is too long."""


class _Part(NamedTuple):
    """The span between two separators, and whether "or" precedes it."""

    start: int
    end: int
    alternative: bool


def segment(
    text: str, named: Callable[[str, bool], str | None], *, separators: int, most: int
) -> Listed:
    """Split a text into the items of a list.

    Args:
        text: The list, without its introduction.
        named: Returns the id of the gold answer in a text, "" for another known entity, None for
            an unknown text. The second argument says whether the text holds a separator.
        separators: Most separators in one name.
        most: Most items.

    Returns:
        The items; `NO_LIST` where there are more than `most`.
    """
    text = _one_a_line(text)
    parts = list(_parts(text))
    joined = 1 + min(_MOST_JOINED, separators)
    if len(parts) > most * joined:
        return NO_LIST
    wrong = [0] * (len(parts) + 1)  # items from each part on that name no gold answer
    taken = [(1, "")] * len(parts)  # number of parts of the item that begins here, and its entity
    for first in reversed(range(len(parts))):
        wrong[first] = wrong[first + 1] + 1
        for last in range(first, min(first + joined, len(parts))):
            name = named(text[parts[first].start : parts[last].end], last > first)
            if name is not None and wrong[last + 1] + (not name) <= wrong[first]:
                wrong[first] = wrong[last + 1] + (not name)
                taken[first] = (last - first + 1, name)
    items: list[str] = []
    alternatives, at = False, 0
    while at < len(parts):
        alternatives |= parts[at].alternative
        items.append(taken[at][1])
        at += taken[at][0]
    return Listed(tuple(items), alternatives) if len(items) <= most else NO_LIST


def separators_in(name: str) -> int:
    """Return the number of list separators in a name.

    Args:
        name: A name.
    """
    return len(_SEPARATOR.findall(name))


def _one_a_line(text: str) -> str:
    """Return a list with each numbered item ("1. A 2. B") on its own line."""
    inside = _in_brackets(text)
    marks = [mark for mark in _NUMBER.finditer(text) if mark.start() not in inside]
    first = int(marks[0][1]) if marks else 0
    if first not in (1, 2) or any(int(mark[1]) != n for n, mark in enumerate(marks, first)):
        return text
    ends = [0, *(mark.end() for mark in marks)]
    starts = [*(mark.start() for mark in marks), len(text)]
    return "\n".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _in_brackets(text: str) -> frozenset[int]:
    """Return the positions inside brackets."""
    spans = [found.span() for found in _BRACKETS.finditer(text)]
    return frozenset(at for start, end in spans for at in range(start + 1, end))


def _parts(text: str) -> Iterator[_Part]:
    """Yield the spans between the separators outside brackets."""
    inside = _in_brackets(text)
    start, alternative = 0, False
    for separator in (*_SEPARATOR.finditer(text), None):
        if separator and separator.start() in inside:
            continue
        end = separator.start() if separator else len(text)
        mark = _MARK.match(text, start, end)
        begin = mark.end() if mark else start
        if text[begin:end].strip():
            yield _Part(begin, end, alternative)
            alternative = False
        alternative |= bool(separator and separator["or"])
        start = separator.end() if separator else end
