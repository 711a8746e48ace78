"""What is measured of one episode: small named functions, read off records and never off text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import msgspec
from msgspec import UnsetType

from medenv.errors import UsageError
from medenv.records import Cost, Question, Scored, Status, ToolCall, Trajectory
from medenv.report.formatting import Unit


class Measure(NamedTuple):
    """One row of a summary.

    Args:
        name: Key, e.g. ``"accuracy"``.
        label: What a reader sees.
        unit: How the number is shown.
        better: 1 where more is better, -1 where less is better, 0 where neither is.
        value: The number of one episode, or None where the episode does not count here.
        missing: What a missing episode counts as, see `is_missing`; None where it does not count.
    """

    name: str
    label: str
    unit: Unit
    better: Literal[-1, 0, 1]
    value: Callable[[Scored], float | None]
    missing: float | None = None

    def of(self, scored: Scored) -> float | None:
        """Return the number of one episode, which may be missing.

        Args:
            scored: The episode.
        """
        return self.missing if is_missing(scored) else self.value(scored)


class WastedCalls(NamedTuple):
    """Tool calls of one episode that could not help, each counted once under its first fault.

    Args:
        refused: Calls refused as malformed.
        repeated: Calls that an earlier call of the episode had made word for word.
        empty: Calls that found nothing.
        beyond: Useful calls beyond the fewest that show the whole gold path; 0 where none is known.
    """

    refused: int
    repeated: int
    empty: int
    beyond: int


def is_missing(scored: Scored) -> bool:
    """Return whether there is no score: the infrastructure failed, or the episode never came.

    In an evaluation a missing answer counts as not right, since a policy can make an episode
    missing, and wrong ones may go missing more often than right ones.
    """
    return scored.score.total is None or scored.trajectory.ending == "unavailable"


def accuracy(scored: Scored) -> float:
    """Return 1 where the answer is right, which is a raw accuracy part of 1, and 0 otherwise.

    Raises:
        UsageError: The score has no part named ``"accuracy"``.
    """
    part = scored.score.parts.get("accuracy")
    if part is None:
        known = ", ".join(sorted(scored.score.parts)) or "none"
        raise UsageError(
            f"expected a score part named 'accuracy' for question "
            f"{scored.trajectory.question.id!r}, got {known}; name the answer's component so"
        )
    return float(part.raw >= 1.0)


def waste(scored: Scored) -> WastedCalls:
    """Return the wasted tool calls of an episode by their first fault."""
    refused = repeated = empty = useful = 0
    seen: set[bytes] = set()
    for call, status in calls(scored):
        key = msgspec.json.encode((call.name, call.arguments), order="deterministic")
        again = key in seen
        seen.add(key)
        if status == "bad_call":
            refused += 1
        elif again:
            repeated += 1
        elif status == "empty":
            empty += 1
        elif status == "ok":
            useful += 1
    proof = scored.trajectory.question.certificate
    beyond = 0 if proof is None else max(0, useful - proof.min_calls)
    return WastedCalls(refused, repeated, empty, beyond)


def chance_of(question: Question) -> float:
    """Return the probability that a blind guess is right; 0 where nothing says what to guess."""
    if question.certificate is not None:
        return question.certificate.chance
    return len(question.answers) / len(question.options) if question.options else 0.0


def calls(scored: Scored) -> Iterator[tuple[ToolCall, Status | None]]:
    """Yield every call of an episode with its result's status, or None where none came back."""
    for turn in scored.trajectory.turns:
        status = {result.call_id: result.status for result in turn.results}
        for call in turn.calls:
            yield call, status.get(call.id)


def searched(trajectory: Trajectory) -> bool:
    """Return whether a tool answered any call, with something or with nothing found.

    Args:
        trajectory: The episode.
    """
    results = (result for turn in trajectory.turns for result in turn.results)
    return any(result.status in ("ok", "empty") for result in results)


def _searched(scored: Scored) -> float:
    return float(searched(scored.trajectory))


def _accuracy_searched(scored: Scored) -> float | None:
    return accuracy(scored) if searched(scored.trajectory) else None


def _accuracy_unsearched(scored: Scored) -> float | None:
    return None if searched(scored.trajectory) else accuracy(scored)


def _answered(scored: Scored) -> float:
    return float(scored.trajectory.ending == "answered")


def _well_formed(scored: Scored) -> float:
    return float(not any(turn.parsed.problems for turn in scored.trajectory.turns))


def _tool_calls(scored: Scored) -> float:
    return float(sum(1 for _ in calls(scored)))


def _wasted_calls(scored: Scored) -> float:
    return float(sum(waste(scored)))


def _turns(scored: Scored) -> float:
    return float(len(scored.trajectory.turns))


def _tokens(scored: Scored) -> float | None:
    """Return the policy's tokens, or None where nobody counted them."""
    return float(sum(turn.tokens for turn in scored.trajectory.turns)) or None


def _cost(read: Callable[[Cost], float | None]) -> Callable[[Scored], float | None]:
    """Return a function that reads a number off an episode's cost, None where it is unknown."""

    def value(scored: Scored) -> float | None:
        return None if isinstance(scored.cost, UnsetType) else read(scored.cost)

    return value


def _shown_proof(scored: Scored) -> float | None:
    """Return whether a right answer was shown its proof; None where wrong or without passages."""
    path = scored.trajectory.question.path
    if not path or not all(hop.passages for hop in path) or not accuracy(scored):
        return None
    shown = {
        passage
        for turn in scored.trajectory.turns
        for result in turn.results
        for passage in result.passages
    }
    return float(all(shown & set(hop.passages) for hop in path))


MEASURES: tuple[Measure, ...] = (
    Measure("accuracy", "Accuracy", "share", 1, accuracy, missing=0.0),
    Measure("well_formed", "Well-formed episodes (format)", "share", 1, _well_formed),
    Measure("answered", "Episodes that ended in an answer", "share", 1, _answered),
    Measure("tool_calls", "Tool calls per episode", "count", 0, _tool_calls),
    Measure("searched", "Episodes that searched", "share", 0, _searched),
    Measure("accuracy_searched", "Accuracy where it searched", "share", 1, _accuracy_searched),
    Measure(
        "accuracy_unsearched", "Accuracy where it did not search", "share", 1, _accuracy_unsearched
    ),
    Measure("shown_proof", "Right answers that were shown every step", "share", 1, _shown_proof),
    Measure("wasted_calls", "Wasted tool calls per episode", "count", -1, _wasted_calls),
    Measure("turns", "Turns per episode", "count", 0, _turns),
    Measure("tokens", "Policy tokens per episode", "count", 0, _tokens),
    Measure(
        "tokens_read",
        "Tokens read per episode",
        "count",
        0,
        _cost(lambda cost: float(cost.tokens_read) or None),
    ),
    Measure(
        "run_seconds",
        "Seconds of the evaluation per episode",
        "count",
        0,
        _cost(lambda cost: cost.run_seconds),
    ),
    Measure(
        "seconds",
        "Seconds from begin to end of an episode",
        "count",
        0,
        _cost(lambda cost: cost.seconds),
    ),
    Measure(
        "policy_seconds",
        "Seconds of it waiting for the policy",
        "count",
        0,
        _cost(lambda cost: cost.policy_seconds),
    ),
    Measure(
        "tool_seconds",
        "Seconds of it in tools and the environment",
        "count",
        0,
        _cost(lambda cost: cost.tool_seconds),
    ),
    Measure("money", "Money per episode", "count", 0, _cost(lambda cost: cost.money)),
)
"""All measures, in the order of the headline table."""

MISSING = Measure(
    "missing",
    "Missing episodes (their answers count as not right)",
    "share",
    -1,
    lambda _: 0.0,
    missing=1.0,
)
"""What tables show besides `MEASURES` where an episode is missing."""
