"""Injected tool failures that the agent sees and must recover from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from medenv.io import digest
from medenv.tools import Tool, ToolBox, ToolOutput
from medenv.tools.faults import FAULTS, Faulty, InjectedError
from medenv.trajectories.records import InjectedFault

FAILED = "The tool gave no answer"
"""Prefix of a failed call's message, for policies; code reads the status."""


class FaultLog(Faulty):
    """A tool that fails for a share of its calls, with a message to the agent.

    `Faulty` raises an error, and the driver retries without the agent seeing it. Here the agent
    reads an error message, so that an episode can show recovery. The failure is part of the
    episode, made on purpose, not a failure of the infrastructure.

    Args:
        inner: The tool.
        rate: Share of calls that fail, in [0, 1].
        kinds: Fault kinds, equally likely.
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
        """Return an error message if a fault is drawn."""
        try:
            return super().before(arguments)
        except InjectedError as error:
            self.events.append(InjectedFault(tool=self.name, kind=error.kind))
            why = "it took too long" if error.kind == "timeout" else "an error inside it"
            return ToolOutput(text=f"{FAILED} ({why}). Try again.", status="failed")

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:
        """Corrupt the output if a fault is drawn."""
        spoilt = super().after(arguments, output)
        if spoilt is not output:
            kind = self.drawn_fault(digest((self.name, arguments)))
            if kind is not None:
                self.events.append(InjectedFault(tool=self.name, kind=kind))
        return spoilt


def faulty_box(tools: Iterable[Tool], rate: float, seed: int) -> tuple[ToolBox, list[FaultLog]]:
    """Return a box of tools with reproducible faults.

    Args:
        tools: The tools.
        rate: Share of calls that fail, in [0, 1].
        seed: Seed of the draws, one per episode.

    Returns:
        The box, and its tools with their faults.
    """
    wrapped = [FaultLog(tool, rate, seed=seed) for tool in tools]
    return ToolBox(wrapped), wrapped
