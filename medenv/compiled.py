"""Inner loops in Python that are compiled by numba once that pays.

A loop over the built-in world is done before numba is imported; over large data it takes 17 to 240
times as long as compiled (measured: graph search over 32,000 entities, BM25 over 20,000 passages).
So a loop runs in Python until it has taken half a second in all, or is given a large array; from
then on it is compiled, once for each machine. Both return the same to the last bit. Without numba,
the extra `fast`, loops are never compiled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from time import perf_counter
from types import ModuleType
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

_PATIENCE = 0.5
"""Seconds that a loop may take in all before it is compiled."""

_LARGE = 100_000
"""Entries of an array from which on a loop is compiled at once."""


class Loop(Generic[_T]):
    """A function over arrays that becomes compiled.

    Args:
        function: The function.
        signature: Takes numba's types and returns those of the arguments and the result.
        parts: The functions that it calls, in an order in which each calls earlier ones only.

    Attributes:
        ready: The compiled function, once it is.
    """

    def __init__(
        self,
        function: Callable[..., _T],
        signature: Callable[[ModuleType], object],
        parts: Sequence[Callable[..., Any]] = (),
    ) -> None:
        self._function, self._signature, self._parts = function, signature, parts
        self._left = _PATIENCE if find_spec("numba") is not None else float("inf")
        self.ready: Callable[..., _T] | None = None
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: Any) -> _T:
        """Call the function, compiled where it is or has to be."""
        if self.ready is None and self._pays(arguments):
            self.compile()
        if self.ready is not None:
            return self.ready(*arguments)
        begin = perf_counter()
        found = self._function(*arguments)
        self._left -= perf_counter() - begin
        return found

    def compile(self) -> None:
        """Compile the function, with a cache on disk where one can be written."""
        import numba  # type: ignore[import-untyped]  # ships no types

        for part in self._parts:
            numba.extending.register_jitable(part)
        types = self._signature(numba.types)
        try:
            self.ready = numba.njit(types, nogil=True, cache=True)(self._function)
        except RuntimeError:  # neither beside the source nor in the home folder can be written
            self.ready = numba.njit(types, nogil=True)(self._function)

    def _pays(self, arguments: Sequence[Any]) -> bool:
        if self._left == float("inf"):
            return False
        return self._left < 0 or any(getattr(one, "size", 0) > _LARGE for one in arguments)


def warn_if_slow(what: str, size: int, most: int) -> None:
    """Warn that loops over something large cannot be compiled.

    Args:
        what: What they do, with its number.
        size: How large it is.
        most: Up to which size nobody would notice.
    """
    if size > most and find_spec("numba") is None:
        warnings.warn(
            f"{what} is much faster with numba: pip install 'medenv-rl[fast]'",
            stacklevel=3,
        )
