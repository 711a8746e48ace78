"""What the data cards of questions and of trajectories share: words, tables and figures."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medenv.io import atomic_path, write_json, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOTICE = "For research use. Not medical advice: do not use it to make decisions about patients."
_METADATA: Mapping[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}


class Card(Protocol):
    """A data card with the terms of the graph that its set was made from."""

    @property
    def licence(self) -> str:
        """Terms of the source."""
        ...

    @property
    def acknowledgement(self) -> str:
        """The sentence that users of the data have to show."""
        ...


def write_card_files(folder: Path, card: Card, title: str, parts: Iterable[str]) -> None:
    """Write ``card.json`` and ``README.md``.

    Args:
        folder: Where to.
        card: The card.
        title: Heading of the page.
        parts: Its paragraphs and tables; empty ones are left out. `terms` should be among them.
    """
    write_json(folder / "card.json", card)
    shown = [part for part in parts if part and (can_draw() or not part.startswith("!["))]
    page = [f"# {title}", _NOTICE, *shown]
    write_text(folder / "README.md", "\n\n".join(page) + "\n")


def terms(card: Card) -> tuple[str, str, str]:
    """Return the paragraphs about the terms of a set."""
    return "## Terms", card.acknowledgement, card.licence


def counted(values: Iterable[str]) -> dict[str, int]:
    """Return how often each value occurs, in the order of the values."""
    return dict(sorted(Counter(values).items()))


def count_table(name: str, counts: Mapping[str, int], what: str) -> str:
    """Return a table in Markdown, empty where nothing was counted.

    Args:
        name: Heading of the values.
        counts: Value to its number.
        what: Heading of the numbers.
    """
    rows = "\n".join(f"| {value} | {count:,} |" for value, count in counts.items())
    return f"| {name} | {what} |\n|---|---:|\n{rows}" if counts else ""


def can_draw() -> bool:
    """Return whether cards get figures: matplotlib comes with the extra `analysis`."""
    return find_spec("matplotlib") is not None


@contextlib.contextmanager
def figure(path: Path, height: float = 3.0) -> Iterator[Axes]:
    """Write what is drawn on the axes as a file; the same drawing gives the same bytes.

    Args:
        path: The file, PNG or SVG by its suffix.
        height: In inches, 6 wide.
    """
    import matplotlib
    from matplotlib.figure import Figure

    kind = path.suffix[1:]
    with matplotlib.rc_context({"svg.hashsalt": "medenv", "svg.fonttype": "none"}):
        drawn = Figure(figsize=(6, height), layout="constrained")
        axes = drawn.add_subplot()
        yield axes
        axes.spines[["top", "right"]].set_visible(False)
        with atomic_path(path) as partial:
            drawn.savefig(partial, format=kind, dpi=110, metadata=_METADATA[kind])
