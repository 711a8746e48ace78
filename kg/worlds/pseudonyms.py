"""Pseudonyms: consistent replacement of every word of a graph by an invented word.

A one-to-one replacement of words preserves shared and rare words, and thus search results, while
nothing can be answered from memory. Invented words are not composed of parts of real names, since
many medical names are a single word and would survive as a part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

TOKEN = re.compile(r"[^\W_]+")
"""A word or symbol of a name."""

FUNCTION_WORDS = frozenset(
    TOKEN.findall("a an and as at by due for from in into is not of on or that the to with without")
)
"""Function words, which are kept unless they are a name."""

_STARTS = TOKEN.findall("b br d dr f fl g gl h j k kr l m n p pl qu r s sk st t tr v vr w z zh")
_VOWELS = TOKEN.findall("a a e e i i o o u ai ea io")
_ENDS = TOKEN.findall("l m n r s x nd rk sk th lt n r s l m")
_LETTERS = "BCDFGHJKLMNPQRSTVWXYZ"
_SYMBOL_TRIES = 40
_CODE_DIGITS = 4  # numbers of this length are catalogue numbers, not types or parts


class Pseudonymizer:
    """Replaces the words of a graph by invented words, reproducibly for a seed.

    Args:
        names: All names and aliases; each will change.
        seed: Random seed.
    """

    def __init__(self, names: Iterable[str], seed: int) -> None:
        names = sorted(set(names))
        whole = {name.casefold().strip() for name in names}
        self._unchanged = FUNCTION_WORDS - whole
        real = {token.casefold() for name in names for token in TOKEN.findall(name)}
        self._rng = np.random.default_rng([seed, len(real)])
        self._used = real | FUNCTION_WORDS
        self._words = {token: self._invented(token) for token in sorted(real)}
        unchanged = {
            name.casefold() for name in names if self._swapped(name).casefold() == name.casefold()
        }
        self._marks = {name: self._new_word() for name in sorted(unchanged)}

    def name(self, name: str) -> str:
        """Return the invented name for a name.

        Args:
            name: A name or alias of the graph.
        """
        mark = self._marks.get(name.casefold())
        return f"{self._swapped(name)} {mark.capitalize()}" if mark else self._swapped(name)

    def _swapped(self, text: str) -> str:
        return TOKEN.sub(lambda found: self._cased(found.group()), text)

    def _cased(self, token: str) -> str:
        word = self._words[token.casefold()]
        if token.isupper() and len(token) > 1:
            return word.upper()
        return word.capitalize() if token[:1].isupper() else word

    def _invented(self, token: str) -> str:
        short_number = token.isdigit() and len(token) < _CODE_DIGITS
        if token in self._unchanged or len(token) == 1 or short_number:
            return token
        return self._symbol(token) if any(map(str.isdigit, token)) else self._new_word()

    def _new_word(self) -> str:
        while True:
            syllables = int(self._rng.integers(2, 4))
            parts = [self._draw(part) for part in (_STARTS, _VOWELS) * syllables]
            word = "".join(parts) + self._draw(_ENDS)
            if self._fresh(word):
                return word

    def _draw(self, choices: Sequence[str]) -> str:
        return choices[int(self._rng.integers(len(choices)))]

    def _symbol(self, token: str) -> str:
        """Return a new symbol of the same shape, or a longer one if that shape is exhausted."""
        for tried in range(100 * _SYMBOL_TRIES):
            shape = token + "x" * (tried // _SYMBOL_TRIES)
            symbol = "".join(self._similar_char(letter) for letter in shape)
            if self._fresh(symbol):
                return symbol
        return self._new_word()

    def _similar_char(self, letter: str) -> str:
        if letter.isdigit():
            return str(int(self._rng.integers(10)))
        return _LETTERS[int(self._rng.integers(len(_LETTERS)))].casefold()

    def _fresh(self, word: str) -> bool:
        if word in self._used:
            return False
        self._used.add(word)
        return True
