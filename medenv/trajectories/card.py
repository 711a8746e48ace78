"""The data card of a set of trajectories: contents, provenance and terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from medenv.errors import UsageError
from medenv.kg.graph import GraphInfo
from medenv.records import Record
from medenv.report.cards import can_draw, count_table, counted, figure, terms, write_card_files
from medenv.retrieval.filtered import answer_kind
from medenv.trajectories.filters import token_count
from medenv.trajectories.records import Rollout
from medenv.trajectories.selection import Selection

K = TypeVar("K", int, str)

COLOURS = {"guided": "#3b6ea5", "exploration": "#d98a3d"}
"""Colours of the parts in figures."""


class Distribution(Record, frozen=True, kw_only=True):
    """Mean and quantiles of a number over a set.

    Args:
        mean: Mean.
        least: Minimum.
        median: Median.
        p95: 95th percentile.
        most: Maximum.
    """

    mean: float
    least: float
    median: float
    p95: float
    most: float


class TrajectoryCard(Record, frozen=True, kw_only=True):
    """Statistics of a trajectory set.

    Args:
        source: Source and version of the graph.
        licence: Terms of the source.
        acknowledgement: Sentence that users of the data must show.
        teachers: Part to the name of its teacher.
        wanted: Number of trajectories requested.
        parts: Number of trajectories by part.
        specialties: Number by specialty.
        hops: Number by hops of the gold path, ``"none"`` where there is none.
        levels: Number by obfuscation level.
        kinds: Number by answer kind.
        tools: Calls by tool, nonexistent tools included.
        calls: Tool calls per trajectory.
        turns: Assistant turns per trajectory.
        tokens: Tokens per trajectory, at four characters each.
        thought_words: Words per thought.
        judged: Number of episodes judged.
        rejected: Rejected episodes by reason.
        faults: Tool failures injected, by kind, among the episodes judged.
        failed_calls: Share of the calls judged that had a fault.
        leaks: Leaks detected in the set.
        recovered: Trajectories with a failed tool call.
        pairs: Number of preference pairs.
        rewritten: Rewriting outcome to its number.
    """

    source: str
    licence: str
    acknowledgement: str
    teachers: dict[str, str]
    wanted: int
    parts: dict[str, int]
    specialties: dict[str, int]
    hops: dict[str, int]
    levels: dict[str, int]
    kinds: dict[str, int]
    tools: dict[str, int]
    calls: Distribution
    turns: Distribution
    tokens: Distribution
    thought_words: Distribution
    judged: int
    rejected: dict[str, int]
    faults: dict[str, int]
    failed_calls: float
    leaks: int
    recovered: int
    pairs: int
    rewritten: dict[str, int] = msgspec.field(default_factory=dict)


class Provenance(Record, frozen=True, kw_only=True):
    """Card fields that the set does not hold.

    Args:
        info: The graph's source and terms.
        teachers: Part to the name of its teacher.
        wanted: Number of trajectories requested.
        leaks: Leaks detected in the set.
        prompt_chars: Characters of the system message.
        rewritten: Rewriting outcome to its number; empty without rewriting.
    """

    info: GraphInfo
    teachers: dict[str, str]
    wanted: int
    leaks: int
    prompt_chars: int = 0
    rewritten: dict[str, int] = msgspec.field(default_factory=dict)


def trajectory_card(selection: Selection, provenance: Provenance) -> TrajectoryCard:
    """Return the card of a set.

    Args:
        selection: The set.
        provenance: Card fields beyond the set.

    Raises:
        UsageError: The set is empty.
    """
    kept = selection.accepted
    if not kept:
        reasons = ", ".join(f"{why}: {count}" for why, count in selection.rejected.most_common(3))
        raise UsageError(f"no trajectory was accepted of {selection.judged} ({reasons or 'none'})")
    questions = [one.scored.trajectory.question for one in kept]
    turns = [turn for one in kept for turn in one.scored.trajectory.turns]
    thoughts = [len(turn.parsed.thought.split()) for turn in turns]
    tokens = [token_count(one.scored.trajectory, provenance.prompt_chars) for one in kept]
    return TrajectoryCard(
        source=provenance.info.label,
        licence=provenance.info.licence,
        acknowledgement=provenance.info.acknowledgement,
        teachers=provenance.teachers,
        wanted=provenance.wanted,
        parts=counted(one.part for one in kept),
        specialties=counted(one.specialty or "none" for one in questions),
        hops=counted(str(len(one.path) or "none") for one in questions),
        levels=counted(str(one.level) for one in questions),
        kinds=counted(answer_kind(one) for one in questions),
        tools=counted(call.name for turn in turns for call in turn.calls),
        calls=_distribution([one.calls for one in kept]),
        turns=_distribution([len(one.scored.trajectory.turns) for one in kept]),
        tokens=_distribution(tokens),
        thought_words=_distribution(thoughts),
        judged=selection.judged,
        rejected=dict(selection.rejected.most_common()),
        faults=counted(selection.faults.elements()),
        failed_calls=selection.faults.total() / max(selection.calls, 1),
        leaks=provenance.leaks,
        recovered=sum(bool(one.faults) for one in kept),
        pairs=len(selection.pairs),
        rewritten=provenance.rewritten,
    )


def write_card(folder: Path, card: TrajectoryCard, kept: Sequence[Rollout]) -> None:
    """Write ``card.json``, ``README.md`` and the figures.

    Args:
        folder: Output.
        card: The card.
        kept: The set.
    """
    total = sum(card.parts.values())
    title = f"{total:,} trajectories over {card.source}"
    write_card_files(folder, card, title, _parts(card, total))
    parts = {part: [one for one in kept if one.part == part] for part in COLOURS}
    _bars(folder / "specialties.png", "trajectories", _by(parts, _specialty))
    _bars(folder / "hops.png", "trajectories", _by(parts, _hops), "hops of the gold path")
    _bars(folder / "calls.png", "trajectories", _by(parts, _calls), "tool calls")
    _bars(folder / "tools.png", "calls", {"guided": card.tools})
    if card.rejected:
        _bars(folder / "rejected.png", "episodes", {"guided": card.rejected})


def _specialty(rollout: Rollout) -> str:
    return rollout.scored.trajectory.question.specialty or "none"


def _hops(rollout: Rollout) -> int:
    return len(rollout.scored.trajectory.question.path)


def _calls(rollout: Rollout) -> int:
    return rollout.calls


def _by(
    parts: Mapping[str, Sequence[Rollout]], key: Callable[[Rollout], K]
) -> dict[str, dict[str, int]]:
    """Count each part's rollouts by a key; sort the keys."""
    found = sorted({key(one) for kept in parts.values() for one in kept})
    names = [str(one) for one in found]
    numbers = [int(one) for one in found if not isinstance(one, str)]
    if numbers:
        names = [str(one) for one in range(numbers[0], numbers[-1] + 1)]
    counts = {part: Counter(str(key(one)) for one in kept) for part, kept in parts.items()}
    return {part: {name: counted[name] for name in names} for part, counted in counts.items()}


def _distribution(values: Sequence[int]) -> Distribution:
    numbers = np.array(values or [0], dtype=float)
    low, middle, high = np.quantile(numbers, [0.0, 0.5, 0.95])
    return Distribution(
        mean=round(float(numbers.mean()), 2),
        least=float(low),
        median=float(middle),
        p95=float(high),
        most=float(numbers.max()),
    )


def _parts(card: TrajectoryCard, total: int) -> list[str]:
    made = ", ".join(f"{n:,} {part} ({n / total:.0%})" for part, n in card.parts.items())
    return [
        f"{made}; {card.wanted:,} asked for. Teachers: "
        + ", ".join(f"{name} ({part})" for part, name in card.teachers.items())
        + ".",
        f"Tool failures injected into {card.failed_calls:.1%} of all calls; {card.recovered:,} of "
        f"the trajectories recovered from one. Leaks found in the set: {card.leaks}. Preference "
        f"pairs: {card.pairs:,}.",
        _distributions(card),
        "![Specialties](specialties.png)",
        _table("Specialty", card.specialties),
        "![Hops](hops.png)",
        _table("Hops of the gold path", card.hops),
        "![Tool calls](calls.png)",
        "![Tools](tools.png)",
        _table("Tool", card.tools, "Calls"),
        _table("Obfuscation level", card.levels),
        _table("Kind of answer", card.kinds),
        "## Episodes that were refused",
        f"{card.judged:,} were judged; each refused one counts under the first filter it failed.",
        "![Reasons](rejected.png)" if card.rejected else "",
        _table("Reason", card.rejected, "Episodes"),
        _table("Injected failure", card.faults, "Calls"),
        _table("Rewriting of thoughts", card.rewritten),
        *terms(card),
    ]


def _distributions(card: TrajectoryCard) -> str:
    rows = [
        ("tool calls", card.calls),
        ("assistant turns", card.turns),
        ("tokens (4 characters each)", card.tokens),
        ("words of a thought", card.thought_words),
    ]
    lines = [
        f"| {name} | {one.mean:,.2f} | {one.least:,.0f} | {one.median:,.0f} | {one.p95:,.0f} | "
        f"{one.most:,.0f} |"
        for name, one in rows
    ]
    head = "| | mean | least | median | 95 % | most |\n|---|---:|---:|---:|---:|---:|"
    return "\n".join([head, *lines])


def _table(name: str, counts: Mapping[str, int], what: str = "Trajectories") -> str:
    return count_table(name, counts, what)


def _bars(path: Path, what: str, counts: Mapping[str, Mapping[str, int]], axis: str = "") -> None:
    """Draw stacked bars, where they can be: vertical with a numeric axis, else horizontal."""
    if not can_draw():
        return
    names = list(next(iter(counts.values())))
    with figure(path, 3 if axis else 0.8 + 0.26 * len(names)) as axes:
        base = np.zeros(len(names))
        for part, numbers in counts.items():
            values = np.array([numbers[name] for name in names], dtype=float)
            look: dict[str, Any] = {"color": COLOURS[part], "label": part}
            if axis:
                axes.bar(names, values, bottom=base, **look)
            else:
                axes.barh(names[::-1], values[::-1], left=base[::-1], **look)
            base += values
        if axis:
            axes.set(xlabel=axis, ylabel=what)
        else:
            axes.set(xlabel=what)
        if len(counts) > 1:
            place = {"frameon": False, "ncols": len(counts), "loc": "outside upper center"}
            axes.figure.legend(**place)
