"""The table of attacks: what cheaters earn under every reward, held against their bounds."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from medenv.ablation.attack import HONEST, Finding


def attack_table(findings: Sequence[Finding]) -> Table:
    """Return the findings in one environment, attacks down and rewards across.

    Args:
        findings: What was found there.
    """
    scorings = list(dict.fromkeys(one.scoring for one in findings))
    cells = {(one.attack, one.scoring): one for one in findings}
    drawn = Table(
        title=Text(findings[0].env_id if findings else "nothing", style="bold"),
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    drawn.add_column("attack", no_wrap=True)
    for heading in ("bound", *scorings):
        drawn.add_column(Text(heading), justify="right")
    for attack in dict.fromkeys(one.attack for one in findings):
        row = [cells[attack, scoring] for scoring in scorings if (attack, scoring) in cells]
        bound = f"{'≥' if attack == HONEST else '≤'} {row[0].bound:g}"
        drawn.add_row(Text(attack), bound, *map(_cell, row))
    episodes = sum(one.episodes for one in cells.values() if one.scoring == scorings[0])
    drawn.caption = Text(
        f"Greatest share of what honest research earns on that question; {episodes} episodes"
    )
    return drawn


def _cell(finding: Finding) -> Text:
    text = "no score" if finding.unscored else f"{finding.worst:.2f}"
    return Text(text if finding.kept else f"{text} broken", "green" if finding.kept else "bold red")
