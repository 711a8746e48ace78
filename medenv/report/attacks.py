"""The table of attacks: rewards of cheating policies under every reward, with their bounds."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from medenv.ablation.attack import HONEST, Finding


def attack_table(findings: Sequence[Finding]) -> Table:
    """Return a table of the findings in one environment: one row per attack, one column per reward.

    Args:
        findings: The findings.
    """
    scorings = list(dict.fromkeys(finding.scoring for finding in findings))
    cells = {(finding.attack, finding.scoring): finding for finding in findings}
    table = Table(
        title=Text(findings[0].env_id if findings else "nothing", style="bold"),
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("attack", no_wrap=True)
    for heading in ("bound", *scorings):
        table.add_column(Text(heading), justify="right")
    for attack in dict.fromkeys(finding.attack for finding in findings):
        row = [cells[attack, scoring] for scoring in scorings if (attack, scoring) in cells]
        texts = []
        for finding in row:
            text = "no score" if finding.unscored else f"{finding.worst:.2f}"
            texts.append(
                Text(text, "green") if finding.kept else Text(f"{text} broken", "bold red")
            )
        table.add_row(Text(attack), f"{'≥' if attack == HONEST else '≤'} {row[0].bound:g}", *texts)
    episodes = sum(cell.episodes for cell in cells.values() if cell.scoring == scorings[0])
    table.caption = Text(
        f"Greatest share of what honest research earns on that question; {episodes} episodes"
    )
    return table
