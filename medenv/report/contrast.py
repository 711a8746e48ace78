"""The table of memory against research, for a terminal and in Markdown."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from medenv.evaluation.memory import Contrast, ContrastRow
from medenv.report.formatting import markdown_row, show, show_difference, span


def contrast_table(contrast: Contrast) -> Table:
    """Return the table for a terminal.

    Args:
        contrast: Two evaluations that differ in what memory can do.
    """
    table = Table(title=Text(contrast_title(contrast)), caption=contrast.note)
    table.add_column("share of answers or questions")
    table.add_column("mean", justify="right")
    table.add_column("95 % interval", justify="right")
    for row in contrast.rows:
        table.add_row(*contrast_cells(row))
    return table


def contrast_markdown(contrast: Contrast) -> list[str]:
    """Return the lines of a section in Markdown.

    Args:
        contrast: Two evaluations that differ in what memory can do.
    """
    lines = [f"## {contrast_title(contrast)}", "", contrast.note, ""]
    lines += markdown_row("share of answers or questions", "mean", "95 % interval", head=True)
    for row in contrast.rows:
        lines += markdown_row(*contrast_cells(row))
    return lines


def contrast_title(contrast: Contrast) -> str:
    """Return the heading: what is held against what, over how many questions.

    Args:
        contrast: Two evaluations that differ in what memory can do.
    """
    left_out = f"; {contrast.dropped:,} that only one of them has are left out"
    return f"{contrast.title}, {contrast.questions:,} questions" + left_out * (contrast.dropped > 0)


def contrast_cells(row: ContrastRow) -> tuple[str, str, str]:
    """Return label, mean and interval of a row as text.

    Args:
        row: A row of the table.
    """
    shown = show_difference if row.difference else show
    ends = span(row.value, "share", signed=row.difference)
    return row.label, shown(row.value.mean, "share"), ends
