"""The messages of OpenEnv 0.10 as records, and the errors that a client may be sent.

A client sends one JSON object per WebSocket message, named by its ``type``, and receives one for
each. Bodies over HTTP are the same data without the envelope. Unknown fields of a reset or a step
request are ignored, as OpenEnv does; unknown fields of an action are refused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from medenv.errors import MedEnvError
from medenv.records import Message

ErrorCode = Literal[
    "INVALID_JSON",
    "UNKNOWN_TYPE",
    "VALIDATION_ERROR",
    "EXECUTION_ERROR",
    "CAPACITY_REACHED",
    "SESSION_ERROR",
]
"""OpenEnv's error codes, as far as this server uses them."""

_Id = Annotated[str, Meta(min_length=1, max_length=255)]
_Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Index = Annotated[int, Meta(ge=0, le=2**31)]


class RefusedError(MedEnvError):
    """A request that is not carried out; its message is shown to the client.

    Args:
        code: OpenEnv's code.
        message: One line that says what to do.
        status: HTTP status.
        wait: Seconds after which the request can succeed, or None.
    """

    def __init__(
        self, code: ErrorCode, message: str, status: int, wait: float | None = None
    ) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.status, self.wait = status, wait


class ResetData(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments of a reset.

    Args:
        seed: Draws the question; the same seed draws the same question as
            ``gymnasium.make(...).reset(seed=seed)``.
        episode_id: Id of the episode; random by default.
        split: Draw the question from this split only.
        index: Number of the question within the split, instead of a drawn one.
        resume: Continue the interrupted episode of this id instead of beginning one.
    """

    seed: _Seed | None = None
    episode_id: _Id | None = None
    split: str | None = None
    index: _Index | None = None
    resume: bool = False


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn of the policy.

    Args:
        text: The policy's text, with tool calls or an answer in the environment's dialect.
        metadata: Ignored.
    """

    text: str
    metadata: dict[str, Any] = {}


class StepData(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /step``.

    Args:
        action: The turn.
        episode_id: The episode, as ``POST /reset`` returned it.
        timeout_s: Longest wait for the turn's tools, seconds.
        request_id: Ignored.
    """

    action: Action
    episode_id: _Id
    timeout_s: Annotated[float, Meta(gt=0)] | None = None
    request_id: Annotated[str, Meta(max_length=255)] | None = None


class Observation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Observation of the policy.

    Args:
        text: After a reset the whole prompt, after a step the results of the tools.
        messages: After a reset the prompt as chat messages, after a resume the whole conversation.
        problems: What was wrong with the turn.
        turns_left: Turns that the policy still has.
        tokens_left: Tokens that the policy may still write, or null without a limit.
        metadata: The same as the metadata beside the observation.
    """

    text: str
    messages: tuple[Message, ...] = ()
    problems: tuple[str, ...] = ()
    turns_left: int
    tokens_left: int | None
    metadata: dict[str, Any] = {}


class PartShown(msgspec.Struct, frozen=True, kw_only=True):
    """One component of a score, without its reason, which may quote the answer.

    Args:
        raw: The component's own value.
        weight: Its weight.
        weighted: Its contribution to the total.
        gated: Whether a closed gate kept it from paying.
    """

    raw: float
    weight: float
    weighted: float
    gated: bool


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An observation with what OpenEnv puts beside it.

    Args:
        observation: The observation.
        reward: Null after a reset, 0 before the end, the total of the score at the end; null there
            if the episode could not be scored.
        done: Whether the episode is over.
        metadata: After a reset the episode's id and question number, after the end the ending and
            the parts of the score.
    """

    observation: Observation
    reward: float | None = None
    done: bool = False
    metadata: dict[str, Any] | UnsetType = UNSET


class State(msgspec.Struct, frozen=True, kw_only=True):
    """State of a session.

    Args:
        episode_id: Id of the episode, or null before the first.
        step_count: Steps of the episode so far.
        environment: Id of the environment.
        dialect: Format of the policy's text.
        max_turns: Turns of an episode.
        done: Whether the episode is over.
    """

    episode_id: str | None
    step_count: int
    environment: str
    dialect: str
    max_turns: int
    done: bool


class Reset(msgspec.Struct, tag_field="type", tag="reset", forbid_unknown_fields=True):
    """Begin an episode."""

    data: ResetData = ResetData()


class Step(msgspec.Struct, tag_field="type", tag="step", forbid_unknown_fields=True):
    """Take a turn."""

    data: Action


class AskState(msgspec.Struct, tag_field="type", tag="state", forbid_unknown_fields=True):
    """Ask for the state."""


class Close(msgspec.Struct, tag_field="type", tag="close", forbid_unknown_fields=True):
    """End the session; a running episode is discarded."""


class CallMCP(msgspec.Struct, tag_field="type", tag="mcp", forbid_unknown_fields=True):
    """A JSON-RPC request."""

    data: dict[str, Any]


Incoming = Reset | Step | AskState | Close | CallMCP
_TYPES = ("reset", "step", "state", "close", "mcp")
_decode = msgspec.json.Decoder(Incoming).decode


class NotJSONError(ValueError):
    """A text that is no JSON."""


def load_json(raw: str | bytes) -> Any:
    """Decode JSON of a client; lone surrogates, which a policy may write, become ``?``.

    Args:
        raw: The text.

    Raises:
        NotJSONError: It is no JSON.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        try:
            return json.loads(
                json.dumps(json.loads(raw), ensure_ascii=False).encode("utf-8", "replace")
            )
        except (ValueError, RecursionError):
            raise NotJSONError(f"expected JSON: {error}") from error


def decode_message(raw: str | bytes) -> Incoming:
    """Decode a WebSocket message.

    Args:
        raw: The message.

    Raises:
        RefusedError: It is no JSON, of no known type, or its data are invalid.
    """
    try:
        found: Incoming = _decode(raw)
        return found
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # the error depends on what it is
    try:
        loaded = load_json(raw)
    except NotJSONError as error:
        raise RefusedError("INVALID_JSON", str(error), 422) from error
    kind = loaded.get("type", "") if isinstance(loaded, dict) else None
    if kind is not None and not (isinstance(kind, str) and kind in _TYPES):
        message = f"unknown message type {kind!r:.80} (known: {', '.join(_TYPES)})"
        raise RefusedError("UNKNOWN_TYPE", message, 422)
    try:
        found = msgspec.convert(loaded, Incoming)
        return found
    except msgspec.ValidationError as error:
        raise RefusedError("VALIDATION_ERROR", f"invalid message: {error}", 422) from error


class _Envelope(msgspec.Struct, kw_only=True):
    type: str
    data: Any


_encode = msgspec.json.Encoder().encode


def encode_message(kind: Literal["observation", "state", "mcp"], data: Any) -> str:
    """Encode an answer to a WebSocket message.

    Args:
        kind: Its type.
        data: Its data.
    """
    return _encode(_Envelope(type=kind, data=data)).decode()


def encode_error(error: RefusedError) -> str:
    """Encode an error for a WebSocket.

    Args:
        error: The error.
    """
    data: dict[str, Any] = {"message": str(error), "code": error.code}
    if error.wait is not None:
        data["retry_after"] = error.wait
    return _encode(_Envelope(type="error", data=data)).decode()
