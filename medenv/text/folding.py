"""One folding of Unicode text: every spelling of one word folds to the same string."""

from __future__ import annotations

import re
import unicodedata

_SPELLED = {
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
_TRANSLATE = str.maketrans(_SPELLED)
_TRADE_MARKS = str.maketrans(dict.fromkeys("©®™℠"))
_POWER = re.compile("(?<=[0-9])[⁺⁻]?[⁰¹²³⁴-⁹]+")
_MIXED_FRACTION = re.compile("(?<=[0-9])(?=[¼-¾⅐-⅞])")
_INVISIBLE = frozenset(("Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"))
_OVERLAY = 1
"""Combining class of strokes through a character, which turn its meaning round."""


def fold(text: str) -> str:
    """Return the text lower-cased, without accents and in compatibility form.

    Composed and decomposed spellings, full-width forms, typographic quotes and dashes fold to one
    form. Invisible characters and trade marks are dropped and each white-space character becomes a
    space. Letters of other scripts, Greek included, are kept. So is what carries meaning: a power
    stays a power (``"10²"`` is ``"10^2"``, not 102), and a stroke through a character stays
    (``"≠"`` is not ``"="``).

    Args:
        text: Any text.

    Returns:
        The folded text; "Behçet", "Behcet" and "Behc\u0327et" are all ``"behcet"``.
    """
    if text.isascii() and text.isprintable():
        return text.lower()
    text = _POWER.sub(lambda power: f"^{power[0]}", text.translate(_TRADE_MARKS))
    text = unicodedata.normalize("NFKC", _MIXED_FRACTION.sub(" ", text))
    text = text.casefold().translate(_TRANSLATE)
    kept = []
    for char in unicodedata.normalize("NFKD", text):
        if char.isspace():
            kept.append(" ")
        elif unicodedata.category(char) not in _INVISIBLE or _is_stroke(char):
            kept.append(char)
    return "".join(kept)


def _is_stroke(char: str) -> bool:
    """Return whether a combining character strikes out or forbids what it is combined with."""
    return (
        unicodedata.combining(char) == _OVERLAY
        or char == "\N{COMBINING ENCLOSING CIRCLE BACKSLASH}"
    )
