"""What each part of a reward moves: arms that differ in it alone, compared by every measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from medenv.evaluation.measures import MEASURES, MISSING, Measure
from medenv.evaluation.statistics import Interval
from medenv.records import Record
from medenv.report.dots import Dots, dots
from medenv.report.formatting import show, show_difference, span
from medenv.reward.analysis.variants import Contrast

if TYPE_CHECKING:
    from medenv.report.sweep import Sweep


class Effect(Record, frozen=True, kw_only=True):
    """What one thing did to every measure.

    Args:
        contrast: The two arms, and the thing in which they differ.
        moved: Name of a measure to the difference that the thing makes, paired by question; without
            measures that no episode of either arm counts for.
        seeds: Name of a measure to the same difference for each seed that both arms have.
    """

    contrast: Contrast
    moved: dict[str, Interval]
    seeds: dict[str, dict[int, float]]

    @property
    def label(self) -> str:
        """The thing and where it was added."""
        return f"{self.contrast.what}, added to {self.contrast.before}"


def effects(sweep: Sweep, contrasts: Sequence[Contrast]) -> list[Effect]:
    """Return the effect of each contrast whose arms are both in a sweep.

    Args:
        sweep: The runs.
        contrasts: Pairs of arms.
    """
    known = [one for one in contrasts if {one.before, one.after} <= set(sweep.arms)]
    return [_effect(sweep, one) for one in known]


def in_words(effect: Effect) -> str:
    """Say in a sentence what moved, which is where the interval excludes zero.

    Args:
        effect: The effect.
    """
    said = []
    for one in (*MEASURES, MISSING):
        found = effect.moved.get(one.name)
        if found is not None and found.excludes_zero:
            change = (
                f"{show_difference(found.mean, one.unit)}, {span(found, one.unit, signed=True)}"
            )
            said.append(f"{one.label[0].lower()}{one.label[1:]} ({change})")
    return f"{effect.label}: {', '.join(said) if said else 'nothing moved clearly'}."


def effect_charts(found: Sequence[Effect]) -> list[Dots]:
    """Return one chart per measure: the effect of each thing with its interval.

    Args:
        found: The effects.
    """
    charts = []
    for one in (*MEASURES, MISSING):
        rows = {effect.label: effect.moved.get(one.name) for effect in found}
        chart = dots(one.label, rows, unit=one.unit, signed=True)
        if chart is not None:
            charts.append(chart)
    return charts


def sweep_markdown(
    sweep: Sweep, found: Sequence[Effect], facts: Mapping[str, str], verdict: str
) -> str:
    """Return the sweep in Markdown: verdict, arms, effects, setup.

    Args:
        sweep: The runs.
        found: The effects.
        facts: Configuration, machine, versions: name to text.
        verdict: What came out, in a sentence.
    """
    first = sweep.arms[0]
    lines = ["# Rewards, trained with", "", verdict, "", "## After training", ""]
    lines += [f"95 % intervals from drawing questions; Δ is the difference from {first}.", ""]
    lines += _row("measure", *sweep.arms, head=True)
    for one in sweep.measures:
        lines += _row(one.label, *(_arm_cell(sweep, arm, one) for arm in sweep.arms))
    if found:
        lines += ["", "## What moves what", "", *(f"- {in_words(one)}" for one in found), ""]
        lines += _row("measure", *(effect.label for effect in found), head=True)
        for one in sweep.measures:
            lines += _row(one.label, *(_effect_cell(effect, one) for effect in found))
    lines += ["", "## Setup", "", *(f"- {name}: {text}" for name, text in facts.items())]
    return "\n".join(lines) + "\n"


def _row(*cells: str, head: bool = False) -> list[str]:
    rule = [f"|{'---|' * len(cells)}"] if head else []
    return [f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |", *rule]


def _arm_cell(sweep: Sweep, arm: str, one: Measure) -> str:
    cell = sweep.compared(arm, one)
    if cell.mean is None:
        return "–"
    text = f"{show(cell.mean.mean, one.unit)} ({span(cell.mean, one.unit)})"
    if cell.difference is not None and arm != sweep.arms[0]:
        text += f"; Δ {_change(cell.difference, one)}"
    return text


def _effect_cell(effect: Effect, one: Measure) -> str:
    if one.name not in effect.moved:
        return "–"
    seeds = ", ".join(show_difference(mean, one.unit) for mean in effect.seeds[one.name].values())
    return f"{_change(effect.moved[one.name], one)}; by seed {seeds or '–'}"


def _change(found: Interval, one: Measure) -> str:
    """Return a difference with its interval, in bold where that excludes zero."""
    text = f"{show_difference(found.mean, one.unit)} ({span(found, one.unit, signed=True)})"
    return f"**{text}**" if found.excludes_zero else text


def _effect(sweep: Sweep, contrast: Contrast) -> Effect:
    moved, seeds = {}, {}
    for one in sweep.measures:
        after = sweep.compared(contrast.after, one, contrast.before)
        if after.difference is not None:
            before = sweep.by_seed(contrast.before, one)
            both = sorted(after.seeds.keys() & before.keys())
            moved[one.name] = after.difference
            seeds[one.name] = {seed: after.seeds[seed] - before[seed] for seed in both}
    return Effect(contrast=contrast, moved=moved, seeds=seeds)
