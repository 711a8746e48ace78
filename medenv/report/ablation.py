"""The report of an offline ablation: several rewards applied to stored rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from medenv.ablation.offline import Ablation, VariantResult
from medenv.evaluation.statistics import Interval
from medenv.report.charts import Dots, dots
from medenv.report.formatting import Unit, number, show, span
from medenv.report.html import write_page
from medenv.reward import COMPONENTS, Composition

MEASURES: tuple[tuple[str, str, Unit, str], ...] = (
    ("reward", "Mean reward", "count", "What an episode earns on average."),
    (
        "dead",
        "Dead groups",
        "share",
        "Groups of one question in which all rewards are equal: they teach nothing.",
    ),
    (
        "phantom",
        "Phantom advantage",
        "share",
        "Among groups in which every answer is wrong, those in which rewards differ: they teach"
        " the policy the better wrong answer.",
    ),
    (
        "rank",
        "Rank correlation with accuracy",
        "count",
        "Spearman's, within groups that have right and wrong answers; 1 where the reward orders"
        " episodes exactly as accuracy does.",
    ),
)
"""Field of a `VariantResult`, heading, unit, and description."""


def write_ablation(path: Path | str, ablation: Ablation, title: str = "Reward ablation") -> None:
    """Write the report as one self-contained HTML file.

    Args:
        path: The HTML file.
        ablation: The results.
        title: Title of the page.
    """
    context = {
        "title": title,
        "ablation": ablation,
        "verdict": verdict(ablation.arms),
        "measures": MEASURES,
        "measured": [
            dots(
                heading,
                {arm.name: getattr(arm, field) for arm in ablation.arms},
                baseline=ablation.arms[0].name,
                unit=unit,
                note=note,
            )
            for field, heading, unit, note in MEASURES
        ],
        "shares": _share_charts(ablation),
        "components": {name: COMPONENTS.get(name) for name in ablation.raws},
        "weights": weights_of,
    }
    write_page(path, "ablation.html.j2", context)


def tables(ablation: Ablation) -> list[Table]:
    """Return the tables for a terminal: measures and advantage shares of each arm.

    Args:
        ablation: The results.
    """
    return [_measure_table(ablation), _share_table(ablation)]


def verdict(arms: Sequence[VariantResult]) -> str:
    """Return a summary, in a few sentences, of which arms are sound.

    Args:
        arms: The result of each arm.
    """
    phantom = [arm.name for arm in arms if arm.phantom is not None and arm.phantom.mean > 0]
    exploited = [arm.name for arm in arms if arm.exploit is not None and arm.exploit > 0]
    outranked = [arm.name for arm in arms if arm.margin <= 0]
    sentences = [
        _count_sentence("teach something where every answer is wrong", phantom, arms),
        _count_sentence("let a wrong answer outrank a right one", outranked, arms),
    ]
    if any(arm.exploit is not None for arm in arms):
        sentences.insert(1, _count_sentence("pay a cheater that does not answer", exploited, arms))
    return " ".join(sentences)


def weights_of(composition: Composition) -> str:
    """Return the weights, and the gates other than the default, as text.

    Args:
        composition: Weights and gates.
    """
    return ", ".join(
        f"{name} {number(weight)}"
        + (f" behind {composition.gates[name]}" if name in composition.gates else "")
        for name, weight in composition.weights.items()
    )


def _count_sentence(what: str, names: Sequence[str], arms: Sequence[VariantResult]) -> str:
    if not names:
        return f"None of {len(arms)} rewards would {what}."
    return f"{len(names)} of {len(arms)} would {what}: {', '.join(names)}."


def _share_charts(ablation: Ablation) -> list[Dots]:
    """Return one chart per component with its share in every arm that uses it."""
    charts = []
    for name in ablation.raws:
        rows = {
            arm.name: arm.shares.get(name)
            for arm in ablation.arms
            if name in arm.composition.weights
        }
        chart = dots(name, rows, baseline=ablation.arms[0].name)
        if chart is not None:
            charts.append(chart)
    return charts


def _measure_table(ablation: Ablation) -> Table:
    table = _table(
        "Rewards compared",
        f"{ablation.episodes} episodes, {ablation.groups} groups of {ablation.questions} questions;"
        " 95 % intervals from drawing questions.",
    )
    table.add_column("arm", no_wrap=True)
    for _, heading, _, _ in MEASURES:
        table.add_column(heading, justify="right")
    table.add_column("Margin", justify="right")
    table.add_column("Exploitable", justify="right")
    for arm in ablation.arms:
        cells = [_cell(getattr(arm, field), unit) for field, _, unit, _ in MEASURES]
        bad = "red" if arm.margin <= 0 else ""
        exploit = Text("–", "dim")
        if arm.exploit is not None:
            exploit = Text(f"{arm.exploit:.2f}", "red" if arm.exploit > 0 else "green")
        table.add_row(Text(arm.name), *cells, Text(number(arm.margin), bad), exploit)
    return table


def _share_table(ablation: Ablation) -> Table:
    table = _table("Share of the advantage within groups", "Signed; the shares of an arm sum to 1.")
    table.add_column("arm", no_wrap=True)
    names = [n for n in ablation.raws if any(n in arm.shares for arm in ablation.arms)]
    for name in names:
        table.add_column(Text(name), justify="right")
    for arm in ablation.arms:
        table.add_row(Text(arm.name), *(_cell(arm.shares.get(name), "share") for name in names))
    return table


def _table(title: str, caption: str) -> Table:
    table = Table(title=Text(title, style="bold"), box=box.SIMPLE_HEAD, pad_edge=False)
    table.caption = Text(caption)
    table.title_justify = table.caption_justify = "left"
    return table


def _cell(interval: Interval | None, unit: Unit) -> Text:
    if interval is None:
        return Text("–", "dim")
    return Text.assemble(show(interval.mean, unit), "\n", (span(interval, unit), "dim"))
