"""From what a policy wrote to the calls that are made, and from calls to their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medenv.dialects.base import typed
from medenv.records import Parsed, ToolCall, ToolResult

MAX_CALLS = 64
"""Calls of one turn that are made, whatever the budget."""


def allowed_calls(
    parsed: Parsed, turn: int, left: int, schemas: Mapping[str, Mapping[str, bool]]
) -> tuple[tuple[ToolCall, ...], tuple[str, ...]]:
    """Number the calls that the budget allows, and note the ones that it does not.

    Args:
        parsed: What the policy wrote.
        turn: Number of its turn.
        left: How many calls may still be made.
        schemas: Tool name to what may come as the text of its JSON, see `json_parameters`.

    Returns:
        The calls, and all problems of the turn.
    """
    written = parsed.calls
    if len(written) == 1 and left > 0:
        ((name, arguments),) = written
        if name in schemas:
            arguments = typed(arguments, schemas[name])
        return (ToolCall(id=f"{turn}.0", name=name, arguments=arguments),), parsed.problems
    calls = tuple(
        [
            ToolCall(
                id=f"{turn}.{number}", name=name, arguments=typed(given, schemas.get(name, {}))
            )
            for number, (name, given) in enumerate(written)
        ]
    )
    made = min(left, MAX_CALLS)
    if len(calls) <= made:
        return calls, parsed.problems
    why = "the budget is used up" if made == left else f"a turn makes at most {MAX_CALLS}"
    refused = f"the last {len(calls) - made} of your calls were not made: {why}"
    return calls[:made], (*parsed.problems, refused)


def answered(calls: Sequence[ToolCall], results: Sequence[ToolResult]) -> bool:
    """Return whether the results are those of the calls, in their order.

    Args:
        calls: What was asked for.
        results: What came.
    """
    if len(calls) == 1 == len(results):
        return calls[0].id == results[0].call_id
    return [call.id for call in calls] == [result.call_id for result in results]


def mismatch(calls: Sequence[ToolCall], results: Sequence[ToolResult]) -> str:
    """Return what to tell a driver whose results are not those of the calls.

    Args:
        calls: What was asked for.
        results: What came.
    """
    return (
        f"observe expects the results of calls {[call.id for call in calls]} in this order, "
        f"got results of {[result.call_id for result in results]}"
    )
