"""Faults on purpose: a part of all calls fails, hangs, is cut short or answers something else."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from medenv.errors import ToolUnavailableError, UnknownNameError, UsageError
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.wrapper import Wrapper, content_key

Fault = Literal["error", "timeout", "truncated", "irrelevant"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

_KEPT = 8


class InjectedError(ToolUnavailableError):
    """A failure of the infrastructure, made on purpose.

    Args:
        tool: Name of the tool.
        kind: What went wrong.
    """

    def __init__(self, tool: str, kind: Fault) -> None:
        super().__init__(f"{kind} of tool {tool!r}, injected on purpose")
        self.tool, self.kind = tool, kind

    def __reduce__(self) -> tuple[type[InjectedError], tuple[str, Fault]]:
        """Pickle by the constructor's own arguments, so the error crosses process borders."""
        return type(self), (self.tool, self.kind)


class Faulty(Wrapper):
    """A tool of which a part of the calls goes wrong, decided by seed and arguments alone.

    ``"error"`` and ``"timeout"`` are failures of the infrastructure: the driver tries again, which
    is a new draw, and never scores them. ``"truncated"`` keeps the first
    half of the text and of the passages. ``"irrelevant"`` gives what an earlier, other call got.

    Args:
        inner: The tool.
        rate: Share of calls that go wrong, in [0, 1].
        kinds: What can go wrong, each alike.
        seed: Seed of the draws.

    Raises:
        UsageError: A rate outside [0, 1], or no kinds.
        UnknownNameError: An unknown kind.
    """

    def __init__(
        self,
        inner: Tool,
        rate: float,
        kinds: Sequence[str] = FAULTS,
        *,
        seed: int = 0,
    ) -> None:
        if not 0 <= rate <= 1 or not kinds:
            raise UsageError(f"faults need a rate in [0, 1] and kinds, got {rate}, {list(kinds)}")
        for kind in kinds:
            if kind not in FAULTS:
                raise UnknownNameError("kind of fault", kind, FAULTS)
        super().__init__(inner)
        self._rate, self._seed = rate, seed
        self._kinds = tuple(fault for kind in kinds for fault in FAULTS if fault == kind)
        self._asked: Counter[str] = Counter()
        self._earlier: deque[tuple[tuple[Any, ...], ToolOutput]] = deque(maxlen=_KEPT)

    def before(self, arguments: tuple[Any, ...]) -> ToolOutput | None:
        """Fail, where the draw says so."""
        key = content_key(self.name, arguments)
        self._asked[key] += 1
        kind = self.drawn(key)
        if kind == "error" or kind == "timeout":
            raise InjectedError(self.name, kind)
        return None

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:
        """Spoil the output, where the draw says so."""
        kind = self.drawn(content_key(self.name, arguments))
        others = [one for asked, one in self._earlier if asked != arguments]
        self._earlier.append((arguments, output))
        if kind == "truncated":
            shown = output.passages[: (len(output.passages) + 1) // 2]
            text = output.text[: len(output.text) // 2]
            return msgspec.structs.replace(output, text=text, passages=shown)
        if kind == "irrelevant":
            return others[0] if others else ToolOutput(text="Nothing was found.", status="empty")
        return output

    def drawn(self, key: str) -> Fault | None:
        """Return the fault of the latest call of a key, or None.

        Args:
            key: The call's `content_key`.
        """
        rng = np.random.default_rng([self._seed, int(key[:15], 16), self._asked[key]])
        if rng.random() >= self._rate:
            return None
        return self._kinds[int(rng.integers(len(self._kinds)))]
