"""The space of observations and actions: any text up to a maximum length."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from copy import deepcopy
from ctypes import c_char, c_int64
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Tuple, flatten, flatten_space, unflatten
from gymnasium.vector.utils import (
    batch_differing_spaces,
    create_empty_array,
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)
from gymnasium.wrappers.utils import create_zero_array

from medenv.errors import UsageError

_ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    " \n\t.,;:!?'\"()[]{}<>|/\\+-*=%&#@_~^$`"
    "αβγδλµΩåäéëöøüß±×≤≥→–—‹›…°²³½日本語中文العربيةकЖ😀🧬"
)
_SAMPLE_CHARS = 200


class UnicodeText(Space[str]):
    r"""Space of all Unicode strings up to a maximum length, including newlines and the empty one.

    `gymnasium.spaces.Text` accepts only a given set of characters, by default neither a space nor
    ``"β"``; medical text has both.

    Args:
        max_length: Maximum length in characters, at least 1.
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
        """Whether samples can be flattened to an array; always False."""
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
            raise UsageError("UnicodeText.sample does not support mask or probability")
        length = int(self.np_random.integers(0, min(self.max_length, _SAMPLE_CHARS) + 1))
        chosen = self.np_random.integers(0, len(_ALPHABET), length)
        return "".join(_ALPHABET[i] for i in chosen)

    def contains(self, x: Any) -> bool:
        """Return whether `x` is a string of the space; strings with lone surrogates are not."""
        return isinstance(x, str) and len(x) <= self.max_length and is_unicode(x)

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    __hash__ = None  # type: ignore[assignment]  # equal by value and mutable, like all spaces


def is_unicode(text: str) -> bool:
    """Return whether a string can be encoded as UTF-8, i.e. has no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class SharedTexts(Sequence[str]):
    """Shared memory with one text for each environment of an `AsyncVectorEnv`.

    Gymnasium reads this view once and copies it after every step; a copy is a tuple of strings.

    Args:
        count: Number of texts.
        max_length: Maximum length of a text in characters.
        context: The ``multiprocessing`` context of the processes.
    """

    def __init__(self, count: int, max_length: int, context: Any) -> None:
        self._room = 4 * max_length  # bytes; no character takes more in UTF-8
        self._sizes = context.RawArray(c_int64, count)
        self._bytes = context.RawArray(c_char, count * self._room)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self)[index]
        number = range(len(self))[index]
        start = number * self._room
        raw: bytes = self._bytes[start : start + self._sizes[number]]
        return raw.decode()

    def write(self, index: int, text: str) -> None:
        """Replace a text.

        Args:
            index: Number of the environment.
            text: The new text.

        Raises:
            UsageError: The text exceeds the maximum length.
        """
        raw = text.encode("utf-8", "replace")
        if len(raw) > self._room:
            raise UsageError(
                f"expected an observation of at most {self._room // 4:,} characters, "
                f"got {len(text):,}"
            )
        start = index * self._room
        self._bytes[start : start + len(raw)] = raw
        self._sizes[index] = len(raw)

    def __deepcopy__(self, memo: Any) -> tuple[str, ...]:
        return tuple(self)


# Gymnasium's functions dispatch on the type of their first argument. Its defaults for custom spaces
# batch, concatenate and iterate over spaces of one kind.


@batch_differing_spaces.register(UnicodeText)
def _batch_differing(  # type: ignore[misc]  # Gymnasium dispatches on the first space's type
    spaces: Sequence[UnicodeText],
) -> Tuple[Any]:
    return Tuple([deepcopy(space) for space in spaces], seed=deepcopy(spaces[0].np_random))


@create_shared_memory.register(UnicodeText)
def _shared(space: UnicodeText, n: int = 1, ctx: Any = multiprocessing) -> Any:
    return SharedTexts(n, space.max_length, ctx)


create_empty_array.register(UnicodeText, lambda _, n=1, **__: ("",) * n)
create_zero_array.register(UnicodeText, lambda _: "")
flatten_space.register(UnicodeText, lambda space: space)
flatten.register(UnicodeText, lambda _, text: text)
unflatten.register(UnicodeText, lambda _, text: text)
read_from_shared_memory.register(UnicodeText, lambda _, shared, **__: shared)
write_to_shared_memory.register(
    UnicodeText, lambda _, index, text, shared: shared.write(index, text)
)
