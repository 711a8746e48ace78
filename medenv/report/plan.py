"""The plan of a training for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from medenv.integrations.verl.plan import TrainingPlan


def plan_table(plan: TrainingPlan) -> RenderableType:
    """Return what a training needs, part by part, and whether it fits.

    Args:
        plan: The plan.
    """
    several = "s" * (plan.accelerators != 1)
    on = f"{plan.accelerators} accelerator{several} of {plan.each:g} GiB"
    on = on if plan.phases else "processors"
    shown: list[RenderableType] = [
        Text(f"{plan.policy}: {plan.parameters / 1e9:.2f} billion parameters, on {on}")
    ]
    if plan.phases:
        table = Table("GiB on each accelerator", box=box.SIMPLE_HEAD, pad_edge=False)
        for phase in plan.phases:
            table.add_column(phase.name, justify="right")
        names = dict.fromkeys(name for phase in plan.phases for name in phase.parts)
        for name in names:
            sizes = (phase.parts.get(name) for phase in plan.phases)
            table.add_row(name, *("" if size is None else f"{size:.1f}" for size in sizes))
        table.add_section()
        table.add_row("together", *(f"{phase.total:.1f}" for phase in plan.phases), style="bold")
        shown.append(table)
    needs = Table.grid(padding=(0, 2))
    for name, size in plan.memory.items():
        needs.add_row(f"memory of a node: {name}", f"{size:.1f} GiB")
    needs.add_row("disk: checkpoints", f"{plan.disk:.1f} GiB")
    for name, number in plan.step.items():
        needs.add_row(f"a step: {name}", f"{number:,.4g}" if number % 1 else f"{number:,.0f}")
    shown.append(needs)
    shown += [Text(f"note: {note}", style="yellow") for note in plan.notes]
    shown += [Text(f"does not fit: {problem}", style="red") for problem in plan.problems]
    if not plan.problems:
        shown.append(Text("fits", style="green"))
    return Group(*shown)
