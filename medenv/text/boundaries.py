"""Word boundaries in folded text."""

from __future__ import annotations

import re

from medenv.text.folding import fold

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Return the folded words of a text, including single characters and digits.

    Args:
        text: Any text.
    """
    return _WORD.findall(fold(text))


def occurs(name: str, text: str) -> bool:
    """Return whether a name occurs in a text as whole words.

    Args:
        name: The folded name; an empty name does not occur.
        text: The folded text.
    """
    start = text.find(name) if name else -1
    while start >= 0:
        end = start + len(name)
        begins = start == 0 or not _in_word(text[start - 1])
        if begins and (end == len(text) or not _in_word(text[end])):
            return True
        start = text.find(name, start + 1)
    return False


def whole_words(*names: str) -> str:
    """Return a regular expression that matches some names as whole words, the longest first.

    Args:
        *names: The names, at least one.
    """
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"


def _in_word(char: str) -> bool:
    r"""Return whether a character matches ``\w``."""
    return char.isalnum() or char == "_"
