"""Texts that an agent has seen, and the gold-path steps that they reveal."""

from __future__ import annotations

import re
from collections.abc import Iterable

from medenv.records import Hop
from medenv.text import fold, fold_name, occurs


class RevealedEntities:
    """The texts that an agent has seen so far.

    Args:
        text: First text: the question.
    """

    def __init__(self, text: str) -> None:
        self._texts = [text]
        self._lines = [text]

    def see(self, observation: str, *, as_one: bool = False) -> None:
        """Add an observation.

        Args:
            observation: The text.
            as_one: Whether it is one document; otherwise each line is a result of its own.
        """
        self._texts.append(observation)
        self._lines += [observation] if as_one else observation.split("\n")

    def includes(self, name: str) -> bool:
        """Return whether a seen text has a name."""
        return any(names(text, name) for text in reversed(self._texts))

    def joins(self, *wanted: str) -> bool:
        """Return whether one result or document contains all names."""
        return any(all(names(line, one) for one in wanted) for line in reversed(self._lines[1:]))

    def ends_with(self, words: str) -> bool:
        """Return whether the last line of the last text has these words."""
        return words in self._texts[-1].rpartition("\n")[2]

    def shown_last(self, name: str) -> bool:
        """Return whether the last text has a name."""
        return names(self._texts[-1], name)

    def passages_among(self, passages: Iterable[str]) -> str:
        """Return the first of some passage ids that a text has shown, or ``""``.

        Args:
            passages: Passage ids.
        """
        found = (one for one in passages if any(f"({one})" in text for text in self._texts[1:]))
        return next(found, "")

    def passage_of(self, entity: str) -> str:
        """Return the first passage id of an entity's document that was shown, or ``""``.

        Args:
            entity: Its id.
        """
        pattern = re.compile(rf"\(({re.escape(entity)}#\d+)\)")
        found = [one for text in self._texts[1:] for one in pattern.findall(text)]
        if found:
            first: str = min(found, key=lambda one: int(one.rpartition("#")[2]))
            return first
        shown = any(f"({entity})" in text for text in self._texts[1:])
        return f"{entity}#0" if shown else ""


def names(text: str, name: str) -> bool:
    """Return whether a name occurs in a text as whole words.

    Accents and case are ignored, except the case of symbols such as gene symbols: ``"REST"`` is
    not ``"rest"``.

    Args:
        text: The text.
        name: The name.
    """
    exact = is_symbol(name.strip())
    return occurs(fold_name(name.strip(), keep_case=exact), fold(text, keep_case=exact))


def is_symbol(name: str) -> bool:
    """Return whether a name is a symbol, recognised by its capitals."""
    return len(name) <= 12 and " " not in name and name.upper() == name


def shown(hop: Hop, passages: Iterable[str]) -> bool:
    """Return whether a passage that states the hop was shown.

    Args:
        hop: A step of the gold path.
        passages: Ids of the passages shown.
    """
    return not set(hop.passages).isdisjoint(passages)
