"""Words that nobody has read before, one for each word of a graph, the same wherever it stands.

Putting each word in the place of another keeps what search sees, shared words and rare ones, while
nothing is left to remember. Words made of pieces of real names would not do: many names in medicine
are one word long, and would survive as such a piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

TOKEN = re.compile(r"[^\W_]+")
"""A word or symbol within a name."""

FUNCTION_WORDS = frozenset(
    TOKEN.findall("a an and as at by due for from in into is not of on or that the to with without")
)
"""Words that carry grammar alone; they stay, unless they are a name."""

_STARTS = TOKEN.findall("b br d dr f fl g gl h j k kr l m n p pl qu r s sk st t tr v vr w z zh")
_VOWELS = TOKEN.findall("a a e e i i o o u ai ea io")
_ENDS = TOKEN.findall("l m n r s x nd rk sk th lt n r s l m")
_LETTERS = "BCDFGHJKLMNPQRSTVWXYZ"
_TRIES = 40
_CODE = 4  # so many digits are no type or part but a catalogue's number


class Pseudonymizer:
    """Puts invented words in the place of those of a graph; the same seed invents the same.

    Args:
        names: All names and aliases, each to be changed.
        texts: Further texts whose words are to be changed.
        seed: Seed of the invention.
    """

    def __init__(self, names: Iterable[str], texts: Iterable[str], seed: int) -> None:
        names = sorted(set(names))
        whole = {name.casefold().strip() for name in names}
        self._kept = FUNCTION_WORDS - whole
        real = {token.casefold() for name in names for token in TOKEN.findall(name)}
        real |= {token.casefold() for text in texts for token in TOKEN.findall(text)}
        self._rng = np.random.default_rng([seed, len(real)])
        self._used = real | FUNCTION_WORDS
        self._words = {token: self._coined(token) for token in sorted(real)}
        unchanged = {name.casefold() for name in names if self._same(name)}
        self._marks = {name: self._new_word() for name in sorted(unchanged)}

    def name(self, name: str) -> str:
        """Return the invented name in the place of a name.

        Args:
            name: A name or alias of the graph.
        """
        mark = self._marks.get(name.casefold())
        return f"{self._swapped(name)} {mark.capitalize()}" if mark else self._swapped(name)

    def text(self, text: str) -> str:
        """Return a text with every word but the grammatical ones put in the place of another.

        Args:
            text: A text of the graph, such as a definition.
        """
        return self._swapped(text)

    def _same(self, name: str) -> bool:
        return self._swapped(name).casefold() == name.casefold()

    def _swapped(self, text: str) -> str:
        return TOKEN.sub(lambda found: self._cased(found.group()), text)

    def _cased(self, token: str) -> str:
        word = self._words[token.casefold()]
        if token.isupper() and len(token) > 1:
            return word.upper()
        return word.capitalize() if token[:1].isupper() else word

    def _coined(self, token: str) -> str:
        if token in self._kept or len(token) == 1 or (token.isdigit() and len(token) < _CODE):
            return token
        return self._symbol(token) if any(map(str.isdigit, token)) else self._new_word()

    def _new_word(self) -> str:
        while True:
            syllables = int(self._rng.integers(2, 4))
            parts = [self._one(part) for part in (_STARTS, _VOWELS) * syllables]
            word = "".join(parts) + self._one(_ENDS)
            if self._fresh(word):
                return word

    def _one(self, choices: Sequence[str]) -> str:
        return choices[int(self._rng.integers(len(choices)))]

    def _symbol(self, token: str) -> str:
        """Return a symbol of the same shape, longer where all of that shape are taken."""
        for tried in range(100 * _TRIES):
            shape = token + "x" * (tried // _TRIES)
            symbol = "".join(self._like(letter) for letter in shape)
            if self._fresh(symbol):
                return symbol
        return self._new_word()

    def _like(self, letter: str) -> str:
        if letter.isdigit():
            return str(int(self._rng.integers(10)))
        return _LETTERS[int(self._rng.integers(len(_LETTERS)))].casefold()

    def _fresh(self, word: str) -> bool:
        if word in self._used:
            return False
        self._used.add(word)
        return True
