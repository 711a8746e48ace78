"""Components of evidence: was the gold path seen, and is what was cited what supports it.

Both are held against the question's certificate, so that no judge is needed. A passage was seen
where a result of this episode lists its id; what its text says is not looked at.
"""

from __future__ import annotations

import re

from medenv.records import Hop, Trajectory
from medenv.reward.components.contract import (
    ComponentScore,
    Knowledge,
    final_answer,
    notes_of,
    once,
)
from medenv.reward.components.cost import spent_in

FREE_PASSAGES = 10
"""Free passages per hop of the gold path; one hop is added to the path's own."""

FREE_QUESTIONS = 4
"""Free questions per needed call; one call is added to the certificate's own."""

_CITATION = re.compile(r"\[([^\[\]\n]{1,200})\]")
_TAIL = 500  # characters of an answer in which citations at its end are looked for
_TRAILING = re.compile(r"(?:\s*\[[^\[\]\n]{1,200}\])+[\s.]*$")


def evidence_recall(trajectory: Trajectory, _: Knowledge) -> ComponentScore:
    """Pay the share of the gold path's hops of which a supporting passage was shown.

    Fetching by the dozen shows every hop sooner or later, so the share is multiplied by
    `selectivity`.

    Known exploit: fetching passages up to the free amounts; `efficiency` charges the calls, and the
    gate `correct` asks for the answer besides.

    Args:
        trajectory: A finished episode.
    """
    first = first_seen(trajectory)
    if not first:
        return ComponentScore(0.0, "no hop of the gold path has a passage")
    seen, selective = sum(turn is not None for turn in first), selectivity(trajectory)
    said = f"{seen} of {len(first)} hops seen"
    if selective < 1.0:
        said += (
            f", of which {selective:.0%} count: {len(first_shown(trajectory))} passages were shown"
            f" for {spent_in(trajectory)[0]} questions"
        )
    return ComponentScore(selective * seen / len(first), said)


def citation_precision(trajectory: Trajectory, _: Knowledge) -> ComponentScore:
    """Pay the share of the passages cited that were shown in this episode and support a hop.

    `citations` defines what counts as a citation.

    Known exploit: citing a single safe passage; recall is what `evidence_recall` is for.

    Args:
        trajectory: A finished episode.
    """
    cited = citations(trajectory)
    if not cited:
        return ComponentScore(0.0, "nothing was cited")
    supporting = {one for hop in hops_with_passages(trajectory) for one in hop.passages}
    good = cited & first_shown(trajectory).keys() & supporting
    return ComponentScore(
        len(good) / len(cited), f"{len(good)} of {len(cited)} citations support a hop"
    )


def citations(trajectory: Trajectory) -> frozenset[str]:
    """Return the ids of the passages that the policy cited in the turn of its answer.

    A citation stands in square brackets, several in one pair parted by commas: among the notes of
    that turn, or at the end of the answer itself. It is a passage id, ``[OMIM:607208#0]``, or a
    number, ``[2]``: the second passage of the last result before the answer that numbered its
    passages. A number that no passage was shown under stays as it is, and supports nothing.

    Args:
        trajectory: A finished episode.
    """
    answer = final_answer(trajectory)
    if answer is None:
        return frozenset()
    trailing = _TRAILING.search(answer[-_TAIL:]) if "]" in answer[-2:] else None
    notes = notes_of(trajectory.turns[-1])
    marks = _CITATION.findall(f"{notes}\n{trailing[0]}" if trailing else notes)
    cited = {one for mark in marks for part in mark.split(",") if (one := part.strip())}
    listed = {str(n): one for n, one in enumerate(_last_numbered(trajectory), 1)}
    shown = first_shown(trajectory)
    return frozenset(one if one in shown else listed.get(one, one) for one in cited)


def selectivity(trajectory: Trajectory) -> float:
    """Return the factor by which evidence is paid: 1 up to the free amounts, then free / used.

    ``FREE_PASSAGES * (hops + 1)`` different passages and ``FREE_QUESTIONS * (min_calls + 1)``
    questions are free; the smaller factor counts.

    Args:
        trajectory: A finished episode.

    Returns:
        A factor in (0, 1].
    """
    free_passages = FREE_PASSAGES * (len(hops_with_passages(trajectory)) + 1)
    free_questions = FREE_QUESTIONS * (trajectory.question.proof.min_calls + 1)
    passages, asked = len(first_shown(trajectory)), spent_in(trajectory)[0]
    return min(1.0, free_passages / max(1, passages), free_questions / max(1, asked))


@once
def first_seen(trajectory: Trajectory) -> tuple[int | None, ...]:
    """Return for each hop that has passages the first turn that showed one of them, or None.

    Args:
        trajectory: A finished episode.
    """
    shown = first_shown(trajectory)
    return tuple(
        min((shown[one] for one in hop.passages if one in shown), default=None)
        for hop in hops_with_passages(trajectory)
    )


@once
def first_shown(trajectory: Trajectory) -> dict[str, int]:
    """Return the ids of the passages that results showed, each with its first turn.

    Args:
        trajectory: A finished episode.
    """
    shown: dict[str, int] = {}
    for number, turn in enumerate(trajectory.turns):
        for result in turn.results:
            if result.status == "ok":
                for passage in result.passages:
                    shown.setdefault(passage, number)
    return shown


def hops_with_passages(trajectory: Trajectory) -> list[Hop]:
    """Return the hops of the gold path that some passage states.

    Args:
        trajectory: An episode.
    """
    return [hop for hop in trajectory.question.proof.path if hop.passages]


def _last_numbered(trajectory: Trajectory) -> tuple[str, ...]:
    """Return the passages of the last result that numbered them, in that order."""
    for turn in reversed(trajectory.turns):
        for result in reversed(turn.results):
            if result.numbered and result.passages and result.status == "ok":
                return result.passages
    return ()
