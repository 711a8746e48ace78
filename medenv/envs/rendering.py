"""Conversations as a terminal shows them: for render modes and for `medenv play`."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.text import Text

from medenv.records import Ending, Message, Score

WIDTH = 100
"""Columns of a conversation that is rendered to a string."""

_STYLES = {"system": "dim", "user": "bold", "assistant": "green", "tool": "cyan"}
_HARMLESS: dict[int, int | str] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    **dict.fromkeys([*range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
}
"""Characters that move the cursor, change colours or turn the direction of writing."""


def panel(text: str, title: str, style: str = "") -> Panel:
    """Return a framed text in which nothing commands the terminal.

    Args:
        text: Any text.
        title: What stands in the frame.
        style: Colour of the frame, as rich names it.
    """
    plain = Text(text.replace("\r\n", "\n").translate(_HARMLESS))
    return Panel(plain, title=Text(title), title_align="left", border_style=style)


def conversation(messages: Sequence[Message], start: int = 0) -> Iterator[Panel]:
    """Yield each message of a conversation in a frame that says who wrote it.

    Args:
        messages: The whole conversation.
        start: Number of the first message to yield.
    """
    turn = 0
    for number, message in enumerate(messages):
        role = message["role"]
        turn += role == "assistant"
        title = {"system": "System", "user": "Question", "assistant": f"Turn {turn}"}.get(role)
        if number >= start:
            yield panel(message["content"], title or f"Results of turn {turn}", _STYLES[role])


def outcome(ending: Ending, score: Score | None) -> Text:
    """Return a line that says how an episode ended and what it earned.

    Args:
        ending: Why it ended.
        score: What it earned, or None where it was not scored.
    """
    line = f"Ended: {ending}."
    if score is not None and score.total is not None:
        parts = ", ".join(f"{name} {part.weighted:+.2f}" for name, part in score.parts.items())
        line += f" Reward {score.total:.2f}{f' ({parts})' if parts else ''}."
    return Text(line, style="bold")


def show(shown: Iterable[RenderableType]) -> None:
    """Print to the standard output.

    Args:
        shown: What to print.
    """
    console = Console()
    for one in shown:
        console.print(one)


def ansi(shown: Iterable[RenderableType]) -> str:
    """Return what a terminal of `WIDTH` columns would be sent, colours included.

    Args:
        shown: What to render.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        width=WIDTH,
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
        no_color=False,
    )
    for one in shown:
        console.print(one)
    return out.getvalue()
