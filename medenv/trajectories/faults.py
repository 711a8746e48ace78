"""Tool failures that the agent sees: it has to notice them and to go on all the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from medenv.tools import Tool, ToolBox, ToolOutput
from medenv.tools.faults import FAULTS, Faulty, InjectedError

FAILED = "The tool gave no answer"
"""How the message begins that stands for a failed call."""


class FaultLog(Faulty):
    """A tool of which a part of the calls goes wrong, and the agent is told so.

    `Faulty` raises where a backend fails, and the driver tries again unseen. Here the agent reads
    an error message instead, so that an episode can show how one recovers. Nothing of that is an
    infrastructure failure: the failure is a part of the episode, made on purpose.

    Args:
        inner: The tool.
        rate: Share of calls that go wrong, in [0, 1].
        kinds: What can go wrong, each alike.
        seed: Seed of the draws.

    Attributes:
        events: The faults so far, e.g. ``"search: timeout"``.
    """

    def __init__(
        self, inner: Tool, rate: float, kinds: Sequence[str] = FAULTS, *, seed: int = 0
    ) -> None:
        super().__init__(inner, rate, kinds, seed=seed)
        self.events: list[str] = []

    def before(self, arguments: tuple[Any, ...]) -> ToolOutput | None:
        """Answer with an error message, where the draw says so."""
        try:
            return super().before(arguments)
        except InjectedError as error:
            self.events.append(f"{self.name}: {error.kind}")
            why = "it took too long" if error.kind == "timeout" else "an error inside it"
            return ToolOutput(text=f"{FAILED} ({why}). Try again.", status="empty")

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:
        """Spoil the output, where the draw says so."""
        spoilt = super().after(arguments, output)
        if spoilt is not output:
            kind = "truncated" if output.text.startswith(spoilt.text) else "irrelevant"
            self.events.append(f"{self.name}: {kind}")
        return spoilt


def faulty_box(tools: Iterable[Tool], rate: float, seed: int) -> tuple[ToolBox, list[FaultLog]]:
    """Return a box whose tools fail now and then, the same way whenever it is made.

    Args:
        tools: The tools.
        rate: Share of calls that go wrong, in [0, 1].
        seed: Seed of the draws, one for each episode.

    Returns:
        The box, and its tools, which tell what went wrong.
    """
    told = [FaultLog(tool, rate, seed=seed) for tool in tools]
    return ToolBox(told), told
