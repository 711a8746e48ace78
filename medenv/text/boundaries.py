"""Where words begin and end in folded text."""

from __future__ import annotations

import re

from medenv.text.folding import fold

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Return the words of a text, folded; single characters and digits are words too.

    Args:
        text: Any text.
    """
    return _WORD.findall(fold(text))


def occurs(name: str, text: str) -> bool:
    """Return whether a name occurs in a text as whole words.

    Args:
        name: The name, folded as the text is; an empty one does not occur.
        text: The text, folded.
    """
    at = text.find(name) if name else -1
    while at >= 0:
        end = at + len(name)
        begins = at == 0 or not _in_word(text[at - 1])
        if begins and (end == len(text) or not _in_word(text[end])):
            return True
        at = text.find(name, at + 1)
    return False


def whole_words(*names: str) -> str:
    """Return a regular expression that matches some names as whole words, the longest first.

    Args:
        *names: The names, at least one.
    """
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"


def _in_word(char: str) -> bool:
    """Return whether a regular expression counts a character as part of a word."""
    return char.isalnum() or char == "_"
