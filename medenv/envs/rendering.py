"""Terminal output of conversations, for render modes and `medenv play`."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.text import Text

from medenv.records import Ending, Message, Score

WIDTH = 100
"""Width of a conversation rendered to a string, columns."""

_STYLES = {"system": "dim", "user": "bold", "assistant": "green", "tool": "cyan"}
_HARMLESS: dict[int, int | str] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    **dict.fromkeys([*range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
}
"""Replacements of characters that move the cursor or change colours or text direction."""


def panel(text: str, title: str, style: str = "") -> Panel:
    """Return a framed text without terminal control characters.

    Args:
        text: Any text.
        title: Title of the frame.
        style: Rich style of the frame.
    """
    plain = Text(text.replace("\r\n", "\n").translate(_HARMLESS))
    return Panel(plain, title=Text(title), title_align="left", border_style=style)


def conversation(messages: Sequence[Message], start: int = 0) -> Iterator[Panel]:
    """Yield each message of a conversation in a frame titled by its author.

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
    """Return a line with the ending and the reward of an episode.

    Args:
        ending: Reason for the end.
        score: The score, or None.
    """
    line = f"Ended: {ending}."
    if score is not None and score.total is not None:
        parts = ", ".join(f"{name} {part.weighted:+.2f}" for name, part in score.parts.items())
        line += f" Reward {score.total:.2f}{f' ({parts})' if parts else ''}."
    return Text(line, style="bold")


def show(items: Iterable[RenderableType]) -> None:
    """Print to the standard output.

    Args:
        items: The renderables to print.
    """
    console = Console()
    for item in items:
        console.print(item)


def ansi(items: Iterable[RenderableType]) -> str:
    """Return the output for a terminal of `WIDTH` columns, including colours.

    Args:
        items: The renderables.
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
    for item in items:
        console.print(item)
    return out.getvalue()
