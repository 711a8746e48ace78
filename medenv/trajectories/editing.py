"""The thoughts of a whole set rewritten, episode by episode, with a journal of its own."""

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
    """Who rewrites, and what holds for the result.

    Attributes:
        folder: The set's folder.
        model: The model that rewrites.
        dialect: In which the episodes are written.
        bench: What a rewritten episode is held against.
        concurrency: Episodes rewritten at the same time.
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
    """Rewrite the thoughts of a set, going on where the journal ends.

    Args:
        selection: The set; its episodes are replaced by what came of them.
        editor: Who rewrites.
        run: What tells this run from others, by name.
        report: Receives the numbers of episodes done and to do.

    Returns:
        Outcome to its number: ``"rewritten"``, or why an episode stays as it was.

    Raises:
        ModelUnavailableError: The model did not answer; the same run goes on later.
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
    """Rewrite one episode, and hold the result against all filters once more."""
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
