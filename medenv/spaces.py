"""The space that observations and actions live in: any text, up to a length."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Tuple
from gymnasium.vector.utils import batch_differing_spaces

from medenv.errors import UsageError

_ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    " \n\t.,;:!?'\"()[]{}<>|/\\+-*=%&#@_~^$`"
    "αβγδλµΩåäéëöøüß±×≤≥→–—‹›…°²³½日本語中文العربيةकЖ😀🧬"
)
_SAMPLE_CHARS = 200


class UnicodeText(Space[str]):
    r"""All strings of Unicode scalar values up to a length, newlines and the empty one included.

    `gymnasium.spaces.Text` knows only the characters it is given, and by default neither a space
    nor ``"β"``; medical text has both.

    Args:
        max_length: Greatest length in characters, at least 1.
        seed: Seed of `sample`.

    Raises:
        UsageError: `max_length` below 1.

    Example:
        >>> "β-blocker 5 µg\n" in UnicodeText(20)
        True
    """

    def __init__(self, max_length: int, seed: int | np.random.Generator | None = None) -> None:
        if max_length < 1:
            raise UsageError(f"max_length must be at least 1, got {max_length}")
        self.max_length = int(max_length)
        super().__init__(dtype=str, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Whether samples can be flattened to an array; they cannot."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """Return a text of up to 200 characters from many scripts, with spaces and newlines.

        Args:
            mask: Not supported.
            probability: Not supported.

        Raises:
            UsageError: A mask or probability was given.
        """
        if mask is not None or probability is not None:
            raise UsageError("UnicodeText samples without mask or probability; leave them out")
        length = int(self.np_random.integers(0, min(self.max_length, _SAMPLE_CHARS) + 1))
        chosen = self.np_random.integers(0, len(_ALPHABET), length)
        return "".join(_ALPHABET[i] for i in chosen)

    def contains(self, x: Any) -> bool:
        """Return whether `x` is a string of the space; one with lone surrogates is not."""
        return isinstance(x, str) and len(x) <= self.max_length and is_unicode(x)

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    __hash__ = None  # type: ignore[assignment]  # equal by value and mutable, like all spaces


def is_unicode(text: str) -> bool:
    """Return whether a string can be written as UTF-8, which one with lone surrogates cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@batch_differing_spaces.register(UnicodeText)
def _batch_differing(  # type: ignore[misc]  # Gymnasium dispatches on the first space's type
    spaces: Sequence[UnicodeText],
) -> Tuple[Any]:
    """Batch spaces of different lengths; same ones Gymnasium batches, joins and allots itself."""
    return Tuple([deepcopy(space) for space in spaces], seed=deepcopy(spaces[0].np_random))
