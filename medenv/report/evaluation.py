"""The page of one evaluation: how good, where it fails and why, and every episode turn by turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from medenv.evaluation.failures import HELP, FailureClass, failure_of
from medenv.evaluation.flow import LOST_BEFORE
from medenv.evaluation.measures import MEASURES, Measure, calls, is_missing
from medenv.evaluation.memory import Contrast
from medenv.evaluation.official import figure_text
from medenv.evaluation.selective import Selective
from medenv.evaluation.statistics import Interval
from medenv.evaluation.summary import SPENT, ComponentScore, Summary, means_of, summarise
from medenv.io import write_text
from medenv.records import Record, Scored
from medenv.report.charts import Chart, Dots, Series, dots
from medenv.report.contrast import contrast_markdown
from medenv.report.episodes import passages_of, path_steps
from medenv.report.flow import draw_flow
from medenv.report.formatting import markdown_row, show, span
from medenv.report.html import escaped_json, write_page

PAGE = "page.html"
"""The page of an evaluation, in its folder."""

MARKDOWN = "report.md"
"""Its figures in Markdown, likewise."""

LONGEST = 4_000
"""Characters of a turn or an observation that the page holds; the rest is in the rollout file."""


class EvaluationReport(Record, frozen=True, kw_only=True):
    """The data of an evaluation's page.

    Args:
        sampled: Sampled episodes; may be empty.
        greedy: Greedy ones; may be empty, but not both.
        facts: Policy, folder and settings: name to text.
        contrast: Memory against research, beside another evaluation; else None.
        title: Title of the page.
        seed: Seed of the bootstrap intervals.
    """

    sampled: Sequence[Scored]
    greedy: Sequence[Scored]
    facts: Mapping[str, str]
    contrast: Contrast | None = None
    title: str = "Evaluation"
    seed: int = 0


def write_evaluation(
    path: Path | str, report: EvaluationReport, markdown: Path | str | None = None
) -> None:
    """Write the page as one self-contained HTML file, and its figures in Markdown.

    Args:
        path: The HTML file.
        report: The data.
        markdown: The Markdown file, or None for none.

    Raises:
        UsageError: No episode has a score, or one has no accuracy part.
    """
    main = report.sampled or report.greedy
    summary = summarise(main, seed=report.seed)
    other = summarise(report.greedy, seed=report.seed) if report.sampled and report.greedy else None
    failures = _failure_shares(main, report.seed)
    said = verdict(summary, other)
    context = {
        "title": report.title,
        "verdict": said,
        "summary": summary,
        "measures": _measures(summary),
        "spent": _spent(summary),
        "flow": draw_flow(summary.flow),
        "proof": _proof(summary),
        "contrast": report.contrast,
        "charts": _charts(summary, failures),
        "official": [
            (f"{name}: {figure}", figure_text(figure, value))
            for name, figures in summary.official.items()
            for figure, value in figures.items()
        ],
        "selective": _selective_chart(summary.selective),
        "failures": [
            (str(why), summary.failures[why], LOST_BEFORE[why], HELP[why]) for why in failures
        ],
        "facts": report.facts,
        "data": Markup(escaped_json(episodes_of(report.sampled, report.greedy))),
    }
    write_page(path, "evaluation.html.j2", context, script="evaluation.js.j2")
    if markdown is not None:
        write_text(markdown, _markdown(report, summary, said))


def _markdown(report: EvaluationReport, summary: Summary, said: str) -> str:
    """Return the figures of the page in Markdown."""
    lines = [f"# {report.title}", "", said, "", *_measure_lines(summary)]
    if report.contrast is not None:
        lines += ["", *contrast_markdown(report.contrast)]
    lines += ["", *_lost_lines(summary)]
    for name, groups in summary.by.items():
        lines += ["", f"## Accuracy by {name}", ""]
        lines += markdown_row(name, "accuracy", "95 % interval", "episodes", head=True)
        for group, found in groups.items():
            cells = show(found.mean, "share"), span(found, "share"), f"{found.n:,}"
            lines += markdown_row(group, *cells)
    lines += ["", "## Setup", "", *(f"- {name}: {text}" for name, text in report.facts.items())]
    return "\n".join(lines) + "\n"


def _measure_lines(summary: Summary) -> list[str]:
    """Return the measures and the costs in Markdown."""
    lines = ["## Measures", ""]
    lines += markdown_row("measure", "mean", "95 % interval", head=True)
    for label, measure, found in _measures(summary):
        lines += markdown_row(label, show(found.mean, measure.unit), span(found, measure.unit))
    for k, found in summary.pass_at.items():
        for label, one in ((f"pass@{k}", found), (f"pass^{k}", summary.pass_hat[k])):
            lines += markdown_row(label, show(one.mean, "share"), span(one, "share"))
    if summary.per_right:
        lines += ["", "## Spent for each right answer, wrong episodes included", ""]
        lines += markdown_row("spent", "mean", "95 % interval", head=True)
        for label, found in _spent(summary):
            lines += markdown_row(label, show(found.mean, "count"), span(found, "count"))
    return lines


def _lost_lines(summary: Summary) -> list[str]:
    """Return where episodes are lost, and why, in Markdown."""
    lines = ["## Where episodes are lost", "", _proof(summary), ""]
    lines += markdown_row("stage", "episodes", "share", "lost before the next", head=True)
    for stage in summary.flow:
        lost = "; ".join(f"{why} {count:,}" for why, count in stage.lost.items())
        share = show(stage.episodes / summary.flow[0].episodes, "share")
        lines += markdown_row(stage.name, f"{stage.episodes:,}", share, lost)
    if summary.failures:
        lines += ["", "## Why not right", ""]
        lines += markdown_row("reason", "episodes", "lost before", "what would help", head=True)
        for name, count in sorted(summary.failures.items(), key=lambda pair: (-pair[1], pair[0])):
            why = FailureClass(name)
            lines += markdown_row(name, f"{count:,}", LOST_BEFORE[why], HELP[why])
    return lines


def _measures(summary: Summary) -> list[tuple[str, Measure, Interval]]:
    """Return label, measure and mean of all measures, money with its currency."""
    return [
        (_with_currency(one.label, one.name, summary), one, summary.measures[one.name])
        for one in MEASURES
        if one.name in summary.measures
    ]


def _spent(summary: Summary) -> list[tuple[str, Interval]]:
    """Return label and mean of what right answers cost, money with its currency."""
    return [
        (_with_currency(SPENT[name], name, summary), found)
        for name, found in summary.per_right.items()
    ]


def _with_currency(label: str, name: str, summary: Summary) -> str:
    return f"{label} ({summary.currency})" if name == "money" and summary.currency else label


def spent_in_words(summary: Summary) -> str:
    """Return what right answers cost in one line.

    Args:
        summary: The figures of an evaluation.
    """
    return ", ".join(
        f"{show(found.mean, 'count')} {label[0].lower()}{label[1:]}"
        for label, found in _spent(summary)
    )


def _proof(summary: Summary) -> str:
    """Return how to read the flow, and how many right answers rest on evidence."""
    said = "An episode leaves where its reason says; right ones go through, whatever they read."
    shown = summary.measures.get("shown_proof")
    if shown is None:
        return said
    return f"{said} {show(shown.mean, 'share')} of the right ones were shown every step."


def verdict(summary: Summary, greedy: Summary | None = None) -> str:
    """Return in a few sentences how good the policy is, and what it is bad at.

    Args:
        summary: The figures of the main episodes.
        greedy: Those of greedy answers beside sampled ones, or None.
    """
    found = summary.measures["accuracy"]
    said = (
        f"{show(found.mean, 'share')} of the answers are right (95 % {span(found, 'share')}; "
        f"{summary.questions:,} questions, {summary.episodes:,} episodes); a blind guess "
        f"would be in {show(summary.chance, 'share')}."
    )
    if greedy is not None:
        said += f" Greedy answers: {show(greedy.measures['accuracy'].mean, 'share')}."
    if summary.failures:
        wrong = sum(summary.failures.values())
        why = max(sorted(summary.failures), key=summary.failures.__getitem__)
        said += (
            f" Most often it failed as “{why}” ({summary.failures[why]:,} of {wrong:,} that are "
            f"not right); what would help: {HELP[FailureClass(why)]}."
        )
    if summary.missing:
        are = (
            "episode is missing and counts"
            if summary.missing == 1
            else "episodes are missing and count"
        )
        said += f" {summary.missing:,} {are} as not right."
    return said


def episodes_of(sampled: Sequence[Scored], greedy: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return every episode as the page's script shows it.

    Args:
        sampled: Sampled episodes.
        greedy: Greedy ones.
    """
    return [
        _episode(one, name)
        for name, side in (("sampled", sampled), ("greedy", greedy))
        for one in side
    ]


def _failure_shares(scored: Sequence[Scored], seed: int) -> dict[FailureClass, Interval]:
    """Return the share of episodes in each class that occurs, the most frequent first."""
    why = {id(one): found.why for one in scored if (found := failure_of(one))}

    def is_of(wanted: FailureClass) -> ComponentScore:
        return lambda one: float(why.get(id(one)) == wanted)

    classes = sorted(set(why.values()))
    shares = means_of({one.value: is_of(one) for one in classes}, scored, seed)
    return {one: shares[one.value] for one in sorted(classes, key=lambda one: -shares[one].mean)}


def _charts(summary: Summary, failures: Mapping[FailureClass, Interval]) -> list[Dots]:
    """Return where episodes are lost, and the accuracy of each group of questions."""
    lost = {str(why): share for why, share in failures.items()}
    made = [dots("Why not right, share of all episodes", lost)] if lost else []
    made += [dots(f"Accuracy by {name}", dict(groups)) for name, groups in summary.by.items()]
    return [chart for chart in made if chart is not None]


def _selective_chart(found: Selective | None) -> Chart | None:
    """Return accuracy against the share of questions that is answered, or None."""
    if found is None or len(found.levels) < 2:
        return None
    points = tuple((level.coverage * 100, level.accuracy) for level in found.levels)
    note = (
        "Each point answers only where at least so many samples agree; further right, fewer have "
        f"to. Mean risk over all coverages (AURC) {show(found.aurc, 'share')}, calibration error "
        f"{show(found.calibration, 'share')}."
    )
    return Chart(
        "Right where its samples agree",
        (Series("accuracy", points, "after"),),
        "accuracy, %",
        x_label="questions answered, %",
        percent=True,
        note=note,
    )


def _episode(one: Scored, side: str) -> dict[str, Any]:
    trajectory, question = one.trajectory, one.trajectory.question
    failure = failure_of(one)
    return {
        "id": question.id,
        "side": f"{side} {one.sample + 1}" if side == "sampled" else side,
        "asks": question.text,
        "kind": question.kind,
        "hops": len(question.path),
        "specialty": question.specialty,
        "set": question.question_set or "",
        "right": failure is None,
        "why": str(failure.why) if failure else "",
        "turn": failure.turn if failure else -1,
        "detail": failure.detail if failure else "",
        "ending": "missing" if is_missing(one) else str(trajectory.ending),
        "answer": trajectory.answer,
        "gold": [
            *(answer.name for answer in question.answers),
            *(f"{one.points:+g}: {one.text}" for one in question.rubric or ()),
        ],
        "path": path_steps(question),
        "evidence": passages_of(question),
        "calls": sum(1 for _ in calls(one)),
        "total": one.score.total,
        "turns": [
            {
                "text": _cut(turn.text),
                "tokens": turn.tokens,
                "problems": list(turn.parsed.problems),
                "tools": [f"{result.tool}: {result.status}" for result in turn.results],
                "shown": _cut(
                    turn.observation or "\n".join(result.text for result in turn.results)
                ),
            }
            for turn in trajectory.turns
        ],
        "parts": [
            [name, part.raw, part.weight, part.weighted, part.gated, part.reason]
            for name, part in one.score.parts.items()
        ],
    }


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n… and {len(text) - LONGEST:,} more characters"
