"""Small parts of sentences: lists, and names within a sentence."""

from __future__ import annotations

from collections.abc import Sequence


def joined(parts: Sequence[str], last: str = "and") -> str:
    """Join parts to a list in a sentence: ``"a, b and c"``.

    Args:
        parts: The parts, at least one.
        last: The word before the last part.
    """
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def lowered(name: str) -> str:
    """Return a name with a lower-case first letter, unless it starts with a symbol (X-linked)."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name
