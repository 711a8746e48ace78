"""One folding of Unicode text: every spelling of one word folds to the same string."""

from __future__ import annotations

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
}
_TRANSLATE = str.maketrans(_SPELLED)
_INVISIBLE = frozenset(("Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"))


def fold(text: str) -> str:
    """Return the text lower-cased, without accents and in compatibility form.

    Composed and decomposed spellings, full-width forms, typographic quotes and dashes fold alike.
    Invisible characters are dropped and each white-space character becomes a space. Letters of
    other scripts, Greek included, are kept.

    Args:
        text: Any text.

    Returns:
        The folded text; "Behçet", "Behcet" and "Behc\u0327et" are all ``"behcet"``.
    """
    if text.isascii() and text.isprintable():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).casefold().translate(_TRANSLATE)
    kept = []
    for char in unicodedata.normalize("NFKD", text):
        if char.isspace():
            kept.append(" ")
        elif unicodedata.category(char) not in _INVISIBLE:
            kept.append(char)
    return "".join(kept)
