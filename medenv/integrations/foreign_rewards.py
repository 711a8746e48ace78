"""Rewards of other libraries, restricted to what the policy wrote.

A reward that searches a whole transcript for an answer also finds the answer that a document
states. Each wrapper here returns a reward of the same form that sees tool results and user messages
empty:

    reward = for_verl(compute_score, dialect="search_r1")    # text
    reward = for_trl(reward)                                 # lists of messages
    reward = for_verifiers(reward)                           # one list of messages

Neither verl nor TRL nor verifiers is imported.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from medenv.errors import UnknownNameError, UsageError

Reward = Callable[..., Any]

MARKERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "hermes": ("<tool_response>", "</tool_response>"),
        "qwen_xml": ("<tool_response>", "</tool_response>"),
        "search_r1": ("<information>", "</information>"),
    }
)
"""Dialect to the markers around a tool's result in a decoded transcript."""

_ONLY_POLICY = "assistant"
_KEPT = ("role", "name", "tool_call_id")


def policy_text(text: str, markers: tuple[str, str]) -> str:
    """Return a transcript with everything between the markers of tool results removed.

    A result ends at the last closing marker before the next opening one, so that a closing marker
    in a document ends nothing; without a closing marker it ends with the text. A document with a
    closing and an opening marker reads like two results: the environment that writes the transcript
    must neutralise them, as those of medenv do.

    Args:
        text: The transcript, without the prompt.
        markers: The opening and closing marker; they are kept.
    """
    opening, closing = markers
    first, *rest = text.split(opening)
    kept = [first]
    for part in rest:
        end = part.rfind(closing)
        kept.append(opening + (part[end:] if end >= 0 else ""))
    return "".join(kept)


def policy_messages(messages: Sequence[Any]) -> list[Any]:
    """Return a conversation in which every message but the assistant's is empty.

    Args:
        messages: Mappings, or records of pydantic as newer versions of verifiers have; their form,
            number and order stay.
    """
    return [_policy_message(message) for message in messages]


def for_verl(
    reward: Reward, dialect: str = "search_r1", markers: tuple[str, str] | None = None
) -> Reward:
    """Return a reward of verl that sees only the text of the policy.

    Args:
        reward: ``compute_score(data_source, solution_str, ground_truth, extra_info)``, or any
            function with a parameter ``solution_str``; it may be asynchronous.
        dialect: Dialect of the transcripts, a key of `MARKERS`.
        markers: The markers around a tool's result, in place of the dialect's.

    Raises:
        UnknownNameError: The dialect has no markers in text.
        UsageError: The reward has no parameter ``solution_str``.
    """
    around = _markers(dialect, markers)
    return _wrapped(reward, "solution_str", lambda text: policy_text(text, around), ())


def for_trl(
    reward: Reward, dialect: str = "hermes", markers: tuple[str, str] | None = None
) -> Reward:
    """Return a reward of TRL that sees only what the policy wrote.

    The columns ``completion_ids`` and ``environments``, which hold the results of tools too, are
    not passed on.

    Args:
        reward: ``reward(completions, **columns)``; completions are texts or lists of messages.
        dialect: Dialect of completions that are texts, a key of `MARKERS`.
        markers: The markers around a tool's result in such texts, in place of the dialect's.

    Raises:
        UnknownNameError: The dialect has no markers in text.
        UsageError: The reward has no parameter ``completions``, or needs a withheld column.
    """
    around = _markers(dialect, markers)

    def seen(completions: Sequence[Any]) -> list[Any]:
        return [_completion(one, around) for one in completions]

    return _wrapped(reward, "completions", seen, ("completion_ids", "environments"))


def for_verifiers(
    reward: Reward, dialect: str = "hermes", markers: tuple[str, str] | None = None
) -> Reward:
    """Return a reward of a verifiers rubric that sees only what the policy wrote.

    The argument ``state``, which holds the results of tools too, is not passed on.

    Args:
        reward: ``reward(completion=..., answer=..., ...)``; the completion is a text or a list of
            messages.
        dialect: Dialect of a completion that is a text, a key of `MARKERS`.
        markers: The markers around a tool's result in such a text, in place of the dialect's.

    Raises:
        UnknownNameError: The dialect has no markers in text.
        UsageError: The reward has no parameter ``completion``, or needs ``state``.
    """
    around = _markers(dialect, markers)
    return _wrapped(reward, "completion", lambda one: _completion(one, around), ("state",))


def _markers(dialect: str, markers: tuple[str, str] | None) -> tuple[str, str]:
    if markers is not None:
        if not all(markers):
            raise UsageError(f"markers must not be empty, got {markers!r}")
        return markers
    if dialect not in MARKERS:
        raise UnknownNameError("dialect with markers in text", dialect, MARKERS)
    return MARKERS[dialect]


def _completion(completion: Any, markers: tuple[str, str]) -> Any:
    if isinstance(completion, str):
        return policy_text(completion, markers)
    return policy_messages(completion)


def _policy_message(message: Any) -> Any:
    if not isinstance(message, Mapping):
        if message.role == _ONLY_POLICY:
            return message
        return message.model_copy(update={"content": _empty(message.content)})
    if message.get("role") == _ONLY_POLICY:
        return dict(message)
    kept = {name: message[name] for name in _KEPT if name in message}
    return kept | {"content": _empty(message.get("content"))}


def _empty(content: Any) -> Any:
    """Return the empty content of the same type."""
    return [] if isinstance(content, list) else ""


def _wrapped(
    reward: Reward, argument: str, seen: Callable[[Any], Any], withheld: Sequence[str]
) -> Reward:
    """Return the reward with one argument replaced by what the policy wrote of it.

    Args:
        reward: The reward.
        argument: Name of the argument.
        seen: What the reward sees of the argument's value.
        withheld: Names of the arguments that are not passed on.
    """
    signature = inspect.signature(reward)
    name = getattr(reward, "__name__", type(reward).__name__)
    if argument not in signature.parameters:
        raise UsageError(f"the reward {name} has no parameter {argument!r}: {signature}")
    for one in withheld:
        given = signature.parameters.get(one)
        if given is not None and given.default is inspect.Parameter.empty:
            raise UsageError(
                f"the reward {name} needs {one!r}, which holds text of tools: read {argument!r}"
            )

    def call(*given: Any, **named: Any) -> Any:
        passed = {key: value for key, value in named.items() if key not in withheld}
        bound = signature.bind(*given, **passed)
        for one in withheld:
            bound.arguments.pop(one, None)
        bound.arguments[argument] = seen(bound.arguments[argument])
        return reward(*bound.args, **bound.kwargs)

    if not inspect.iscoroutinefunction(reward):
        return functools.wraps(reward)(call)

    async def call_async(*given: Any, **named: Any) -> Any:
        return await call(*given, **named)

    return functools.wraps(reward)(call_async)
