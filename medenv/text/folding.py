"""Unicode folding: all spellings of a word fold to the same string."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SPELLED = str.maketrans(
    {
        "ς": "σ",
        "’": "'",
        "‘": "'",
        "ʼ": "'",
        "′": "'",
        "‐": "-",
        "‑": "-",
        "–": "-",
        "−": "-",
        "⁄": "/",
    }
)
_POWER = re.compile("(?<=[0-9])[⁺⁻]?[⁰¹²³⁴-⁹]+")
_MIXED_FRACTION = re.compile("(?<=[0-9])(?=[¼-¾⅐-⅞])")
_INVISIBLE = frozenset(("Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"))
_TRADE_MARKS = "©®™℠"
_FORBIDDEN = "\N{COMBINING ENCLOSING CIRCLE BACKSLASH}"
_OVERLAY = 1
"""Combining class of strokes through a character, which negate its meaning."""

_TABLE_SIZE = 1 << 14
_IOTA_BELOW = "\u0345"
"""The only mark that folds to a letter: the iota of Greek vowels such as "ᾳ"."""


class _Visible(dict[int, int | str | None]):
    """Table for `str.translate` that maps white space to a space and dropped characters to None.

    It is filled on demand, since a table of all of Unicode takes a second and 100 MB.
    """

    def __missing__(self, code: int) -> int | str | None:
        char = chr(code)
        value: int | str | None = code
        if char.isspace():
            value = " "
        elif char in _TRADE_MARKS or (
            char not in (_IOTA_BELOW, _FORBIDDEN)
            and unicodedata.combining(char) != _OVERLAY
            and (unicodedata.category(char) in _INVISIBLE or unicodedata.combining(char))
        ):
            value = None
        if len(self) < _TABLE_SIZE:
            self[code] = value
        return value


_VISIBLE = _Visible()


def fold(text: str, *, keep_case: bool = False) -> str:
    """Return the text in lower case, without accents and in compatibility form.

    Composed and decomposed spellings, full-width forms, typographic quotes and dashes fold to one
    form. Invisible characters and trade marks are dropped and each white-space character becomes a
    space. Letters of other scripts, including Greek, are kept. Powers (``"10²"`` is ``"10^2"``, not
    102) and strokes through a character (``"≠"`` is not ``"="``) keep their meaning. Runs in time
    linear in the text.

    Args:
        text: Any text.
        keep_case: Whether to keep capitals, for names that differ from words only by case.

    Returns:
        The folded text; "Behçet", "Behcet" and "Behc\u0327et" are all ``"behcet"``.
    """
    if text.isascii():
        if not text.isprintable():
            text = text.translate(_VISIBLE)
        return text if keep_case else text.lower()
    # Marks go first: Unicode's normal forms sort a run of marks in quadratic time.
    text = _POWER.sub(lambda power: f"^{power[0]}", text.translate(_VISIBLE))
    text = unicodedata.normalize("NFKC", _MIXED_FRACTION.sub(" ", text))
    text = (text if keep_case else text.casefold()).translate(_SPELLED)
    return unicodedata.normalize("NFKD", text).translate(_VISIBLE).replace(_IOTA_BELOW, "ι")


def name_key(name: str) -> str:
    """Return the lookup key of a name: folded, with single spaces between words.

    Args:
        name: Any name.
    """
    return " ".join(fold(name).split())


fold_name = lru_cache(1 << 16)(fold)
"""`fold` with a cache, for names that are folded repeatedly."""


_NO_ID = re.compile(r"[^a-z0-9]+")


def slug(name: str) -> str:
    """Return a name as part of an identifier: lower-case letters, digits and underscores."""
    return _NO_ID.sub("_", name.lower()).strip("_")
