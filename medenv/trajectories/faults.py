"""Tool failures that the agent sees: it has to notice them and to go on all the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from medenv.io import digest
from medenv.tools import Tool, ToolBox, ToolOutput
from medenv.tools.faults import FAULTS, Faulty, InjectedError
from medenv.trajectories.records import InjectedFault

FAILED = "The tool gave no answer"
"""Beginning of the message about a failed call; policies read it, code reads the status."""


class FaultLog(Faulty):
    """A tool of which a part of the calls fails, with a message that the agent reads.

    `Faulty` raises where a backend fails, and the driver tries again unseen. Here the agent reads
    an error message instead, so that an episode can show how one recovers. The failure is a part of
    the episode, made on purpose, and no failure of the infrastructure.

    Args:
        inner: The tool.
        rate: Share of calls that go wrong, in [0, 1].
        kinds: What can go wrong, each alike.
        seed: Seed of the draws.

    Attributes:
        events: The faults so far.
    """

    def __init__(
        self, inner: Tool, rate: float, kinds: Sequence[str] = FAULTS, *, seed: int = 0
    ) -> None:
        super().__init__(inner, rate, kinds, seed=seed)
        self.events: list[InjectedFault] = []

    def before(self, arguments: tuple[Any, ...]) -> ToolOutput | None:
        """Answer with an error message, where the draw says so."""
        try:
            return super().before(arguments)
        except InjectedError as error:
            self.events.append(InjectedFault(tool=self.name, kind=error.kind))
            why = "it took too long" if error.kind == "timeout" else "an error inside it"
            return ToolOutput(text=f"{FAILED} ({why}). Try again.", status="failed")

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:
        """Spoil the output, where the draw says so."""
        spoilt = super().after(arguments, output)
        if spoilt is not output:
            kind = self.drawn_fault(digest((self.name, arguments)))
            if kind is not None:
                self.events.append(InjectedFault(tool=self.name, kind=kind))
        return spoilt


def faulty_box(tools: Iterable[Tool], rate: float, seed: int) -> tuple[ToolBox, list[FaultLog]]:
    """Return a box whose tools fail now and then, the same way whenever it is made.

    Args:
        tools: The tools.
        rate: Share of calls that go wrong, in [0, 1].
        seed: Seed of the draws, one for each episode.

    Returns:
        The box, and its tools with the faults so far.
    """
    wrapped = [FaultLog(tool, rate, seed=seed) for tool in tools]
    return ToolBox(wrapped), wrapped
