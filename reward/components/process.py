"""The component of process: what each turn brought, and a reward for each turn."""

from __future__ import annotations

from medenv.errors import UsageError
from medenv.records import Score, Trajectory
from medenv.reward.components.contract import ComponentScore, Knowledge
from medenv.reward.components.cost import spent_in
from medenv.reward.components.evidence import first_seen, selectivity

REPEAT_COST = 0.1
"""What a repeated question takes from its turn, in shares of the gold path."""

MALFORMED_COST = 0.1
"""What a turn that could not be read in full costs, in shares of the gold path."""


def process(trajectory: Trajectory, _: Knowledge) -> ComponentScore:
    """Pay the sum of what the turns brought, not below 0: hops first seen, less waste.

    Known exploit: fetching passages up to the free amounts of `selectivity`; beyond them hops pay
    less, and the gate `correct` asks for the answer besides.

    Args:
        trajectory: A finished episode.
    """
    values = turn_values(trajectory)
    raw = min(1.0, max(0.0, sum(values)))
    useful = sum(value > 0 for value in values)
    return ComponentScore(raw, f"{useful} of {len(values)} turns brought new evidence")


def turn_values(trajectory: Trajectory) -> list[float]:
    """Return what each turn brought, in shares of the gold path's hops.

    A turn earns ``selectivity / hops`` for each hop of which it is the first to show a supporting
    passage, and loses `REPEAT_COST` for each repeated question and `MALFORMED_COST` where it could
    not be read. The sum is the evidence recall less the costs, whatever the order of the turns.

    Args:
        trajectory: A finished episode.
    """
    values = [-MALFORMED_COST if turn.parsed.problems else 0.0 for turn in trajectory.turns]
    first, selective = first_seen(trajectory), selectivity(trajectory)
    for turn in first:
        if turn is not None:
            values[turn] += selective / len(first)
    _, repeats = spent_in(trajectory)
    if repeats:
        for number, one in enumerate(trajectory.turns):
            values[number] -= REPEAT_COST * sum([repeats.get(call.id, 0) for call in one.calls])
    return values


def turn_rewards(trajectory: Trajectory, score: Score) -> list[float]:
    """Spread a score over the turns of its trajectory, for credit turn by turn.

    What `process` contributed goes to the turns in the amounts that they brought, all the rest to
    the last turn. The rewards add up to the total.

    Args:
        trajectory: A finished episode.
        score: Its score.

    Returns:
        One reward per turn; none where there is no turn.

    Raises:
        UsageError: The score has no total.
    """
    if score.total is None:
        raise UsageError(
            f"the score of question {trajectory.question.id!r} has no total to spread over turns;"
            " mask the trajectory instead"
        )
    part = score.parts.get("process")
    rewards = [0.0] * len(trajectory.turns)
    if part is not None and part.weighted > 0:
        values = turn_values(trajectory)
        scale = part.weighted / sum(values)
        rewards = [value * scale for value in values]
    if rewards:
        rewards[-1] += score.total - sum(rewards)
    return rewards
