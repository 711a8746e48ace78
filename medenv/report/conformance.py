"""A report of checks for a terminal, and its badge."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from medenv.conformance import Report

_STYLES = {"passed": "green", "failed": "bold red", "not applicable": "dim"}
_CHARACTER = 6.6
"""Width of a character of the badge, pixels."""


def check_table(report: Report) -> Table:
    """Return a table with a row for each check.

    Args:
        report: The report.
    """
    table = Table(
        "check", "outcome", "seen", title=Text(report.target, "bold"), title_justify="left"
    )
    for one in report.results:
        table.add_row(Text(one.name), Text(one.outcome, _STYLES[one.outcome]), Text(one.told))
    return table


def badge(report: Report) -> str:
    """Return a badge as SVG: how many of the checks that apply were passed.

    Args:
        report: The report.
    """
    passed, failed = report.counted("passed"), report.counted("failed")
    name, told = "medenv check", f"{passed} of {passed + failed} passed"
    left, right = (int(len(text) * _CHARACTER) + 12 for text in (name, told))
    colour = "#2e7d32" if report.passed else "#b3261e"
    title = escape(f"{report.target}: {told}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">{name}</text>'
        f'<text x="{left + right / 2:g}" y="14">{told}</text></g></svg>\n'
    )
