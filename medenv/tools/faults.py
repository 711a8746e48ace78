"""Fault injection: a share of calls fails, times out, is truncated or returns another output."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from medenv.errors import ToolUnavailableError, UnknownNameError, UsageError
from medenv.io import digest
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.wrapper import Wrapper

Fault = Literal["error", "timeout", "truncated", "irrelevant"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

_EARLIER_OUTPUTS = 8


class InjectedError(ToolUnavailableError):
    """An injected infrastructure failure.

    Args:
        tool: Name of the tool.
        kind: Kind of fault.
    """

    def __init__(self, tool: str, kind: Fault) -> None:
        super().__init__(f"{kind} of tool {tool!r}, injected on purpose")
        self.tool, self.kind = tool, kind

    def __reduce__(self) -> tuple[type[InjectedError], tuple[str, Fault]]:
        """Pickle the constructor's arguments, so that the error can be sent between processes."""
        return type(self), (self.tool, self.kind)


class Faulty(Wrapper):
    """Wrapper that injects faults, determined by the seed and the arguments of each call.

    ``"error"`` and ``"timeout"`` are infrastructure failures: the driver retries, which is a new
    draw, and never scores them. ``"truncated"`` keeps the first half of the text and of the
    passages. ``"irrelevant"`` returns the output of an earlier call with other arguments.

    Args:
        inner: The tool.
        rate: Share of faulty calls, in [0, 1].
        kinds: Kinds of faults, drawn uniformly.
        seed: Seed of the draws.

    Raises:
        UsageError: A rate outside [0, 1], or no kinds.
        UnknownNameError: Unknown kind.
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
        self._attempts: Counter[str] = Counter()
        self._earlier: deque[tuple[tuple[Any, ...], ToolOutput]] = deque(maxlen=_EARLIER_OUTPUTS)

    def before(self, arguments: tuple[Any, ...]) -> ToolOutput | None:
        """Raise an injected failure if one is drawn."""
        key = digest((self.name, arguments))
        self._attempts[key] += 1
        kind = self.drawn_fault(key)
        if kind == "error" or kind == "timeout":
            raise InjectedError(self.name, kind)
        return None

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:
        """Truncate or replace the output if such a fault is drawn."""
        kind = self.drawn_fault(digest((self.name, arguments)))
        others = [earlier for given, earlier in self._earlier if given != arguments]
        self._earlier.append((arguments, output))
        if kind == "truncated":
            shown = output.passages[: (len(output.passages) + 1) // 2]
            text = output.text[: len(output.text) // 2]
            return msgspec.structs.replace(output, text=text, passages=shown)
        if kind == "irrelevant":
            return others[0] if others else ToolOutput(text="Nothing was found.", status="empty")
        return output

    def drawn_fault(self, key: str) -> Fault | None:
        """Return the fault of the latest call with a key, or None.

        Args:
            key: Digest of the tool's name and the arguments.
        """
        rng = np.random.default_rng([self._seed, int(key[:15], 16), self._attempts[key]])
        if rng.random() >= self._rate:
            return None
        return self._kinds[int(rng.integers(len(self._kinds)))]
