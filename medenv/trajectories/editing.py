"""Rewrite the thoughts of a set, episode by episode; resumable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from medenv.dialects.base import Dialect
from medenv.io import Journal
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.trajectories.filters import FilterContext, first_refusal
from medenv.trajectories.gate import ClosedError, Gate
from medenv.trajectories.records import Rewriting, Rollout
from medenv.trajectories.rewriting import rewritten
from medenv.trajectories.selection import Selection


class Editor(NamedTuple):
    """Rewriting model and filters.

    Attributes:
        folder: The set's folder.
        model: The model that rewrites.
        dialect: Text format of the episodes.
        bench: Filter context for the results.
        concurrency: Episodes rewritten concurrently.
    """

    folder: Path
    model: EndpointSettings
    dialect: Dialect
    bench: FilterContext
    concurrency: int


async def edit(
    selection: Selection,
    editor: Editor,
    run: Mapping[str, str],
    report: Callable[[int, int], None],
) -> Counter[str]:
    """Rewrite the thoughts of a set; resume from the journal.

    Args:
        selection: The set; its episodes are replaced by the results.
        editor: Settings.
        run: The run's identity by name.
        report: Receives the numbers of done and total episodes.

    Returns:
        Outcome to its number: ``"rewritten"``, or why it is unchanged.

    Raises:
        ModelUnavailableError: The model did not answer; resumable.
    """
    path, gate = editor.folder / "rewritings.jsonl", Gate(editor.concurrency)
    run = {**run, "model": editor.model.model}
    with Journal(path, run, Rewriting, key=attrgetter("key")) as journal:
        known = {one.key: one for one in journal.known}

        async def one(rollout: Rollout, endpoint: Endpoint) -> None:
            async with gate:
                made = await _rewriting(rollout, endpoint, editor)
                journal.append(made)
                known[made.key] = made
                report(len(known), len(selection.accepted))

        async with Endpoint(editor.model) as endpoint:
            left = [rollout for rollout in selection.accepted if rollout.key not in known]
            try:
                await gate.all_of([one(rollout, endpoint) for rollout in left])
            except ClosedError:
                raise gate.why() from None
    outcomes = Counter(known[rollout.key].reason or "rewritten" for rollout in selection.accepted)
    selection.accepted = [known[one.key].rollout or one for one in selection.accepted]
    return outcomes


async def _rewriting(rollout: Rollout, endpoint: Endpoint, editor: Editor) -> Rewriting:
    """Rewrite one episode, and apply all filters to the result."""
    trajectory, reason = await rewritten(
        rollout.scored.trajectory, endpoint, editor.dialect, editor.bench.names
    )
    scored = msgspec.structs.replace(rollout.scored, trajectory=trajectory)
    made = msgspec.structs.replace(rollout, scored=scored)
    if not reason and (refusal := first_refusal(made, editor.bench)):
        reason = str(refusal)
    return Rewriting(
        i=rollout.i, sample=rollout.sample, rollout=None if reason else made, reason=reason
    )
