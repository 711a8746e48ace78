"""Components of evidence: was the gold path seen, and is what was cited what supports it.

Both are held against the question's certificate, so that no judge is needed. A passage was seen
where a result of this episode lists its id; what its text says is not looked at.
"""

from __future__ import annotations

import re

from medenv.records import Hop, Trajectory, Turn
from medenv.reward.contract import Knowledge, Value, final_answer, once

_CITATION = re.compile(r"\[([^\[\]\n]{1,200})\]")


def evidence_recall(trajectory: Trajectory, _: Knowledge) -> Value:
    """Pay the share of the gold path's hops of which a supporting passage was shown.

    Known exploit: fetching passages by the dozen, which shows every hop sooner or later;
    `efficiency` charges the calls, and the gate `correct` asks for the answer besides.

    Args:
        trajectory: A finished episode.
    """
    first = first_seen(trajectory)
    if not first:
        return Value(0.0, "no hop of the gold path has a passage")
    seen = sum(turn is not None for turn in first)
    return Value(seen / len(first), f"{seen} of {len(first)} hops seen")


def citation_precision(trajectory: Trajectory, _: Knowledge) -> Value:
    """Pay the share of the passages cited that were shown in this episode and support a hop.

    A citation is a passage id in square brackets, ``[OMIM:607208#0]``, that the policy wrote in
    the turn of its answer, outside the answer itself.

    Known exploit: citing a single safe passage; recall is what `evidence_recall` is for.

    Args:
        trajectory: A finished episode.
    """
    cited = citations(trajectory)
    if not cited:
        return Value(0.0, "nothing was cited")
    shown = frozenset[str]().union(*(shown_in(turn) for turn in trajectory.turns))
    supporting = {one for hop in hops_with_passages(trajectory) for one in hop.passages}
    good = cited & shown & supporting
    return Value(len(good) / len(cited), f"{len(good)} of {len(cited)} citations support a hop")


def citations(trajectory: Trajectory) -> frozenset[str]:
    """Return what the policy cited in the turn of its answer.

    Args:
        trajectory: A finished episode.
    """
    if final_answer(trajectory) is None:
        return frozenset()
    marks = _CITATION.findall(trajectory.turns[-1].text)
    return frozenset(one for mark in marks for part in mark.split(",") if (one := part.strip()))


@once
def first_seen(trajectory: Trajectory) -> tuple[int | None, ...]:
    """Return for each hop that has passages the first turn that showed one of them, or None.

    Args:
        trajectory: A finished episode.
    """
    shown = [shown_in(turn) for turn in trajectory.turns]
    return tuple(
        next((i for i, ids in enumerate(shown) if not ids.isdisjoint(hop.passages)), None)
        for hop in hops_with_passages(trajectory)
    )


def hops_with_passages(trajectory: Trajectory) -> list[Hop]:
    """Return the hops of the gold path that some passage states.

    Args:
        trajectory: An episode.
    """
    return [hop for hop in trajectory.question.certificate.path if hop.passages]


def shown_in(turn: Turn) -> frozenset[str]:
    """Return the ids of the passages that a turn's results showed.

    Args:
        turn: A turn.
    """
    return frozenset(
        passage for result in turn.results if result.status == "ok" for passage in result.passages
    )
