"""Strict decoding of calls that are JSON objects with a name and arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Call = tuple[str, dict[str, Any]]
"""A well-formed call: name and arguments."""

DECODE_ERRORS = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)
"""Exceptions that decoding a policy's JSON can raise."""


class MalformedCall(ValueError):
    """A call that cannot be decoded; the message is appended to ``"tool call 2"``."""


RawArguments = dict[str, Any] | str | None
"""Undecoded arguments: an object, a string of JSON as in the chat API, or None."""


class NamedArguments(msgspec.Struct):
    """A call with ``arguments``, the most common format."""

    name: str
    arguments: RawArguments


class NamedParameters(msgspec.Struct):
    """A call with ``parameters``, the format of Llama 3."""

    name: str
    parameters: RawArguments


_decode_arguments = msgspec.json.Decoder(NamedArguments).decode
_decode_parameters = msgspec.json.Decoder(NamedParameters).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_scan = json.JSONDecoder().raw_decode


def named_arguments(body: str) -> Call:
    """Decode ``{"name": ..., "arguments": {...}}``.

    Raises:
        MalformedCall: The text has another form.
    """
    try:
        call = _decode_arguments(body)
    except DECODE_ERRORS as error:
        raise malformed_call(error) from None
    return call.name, arguments_of(call.arguments)


def named_parameters(body: str) -> Call:
    """Decode ``{"name": ..., "parameters": {...}}``, or the same with ``arguments``.

    Raises:
        MalformedCall: The text has another form.
    """
    try:
        call = _decode_parameters(body)
    except DECODE_ERRORS as error:
        try:
            return named_arguments(body)
        except MalformedCall:
            raise malformed_call(error) from None
    return call.name, arguments_of(call.parameters)


def arguments_of(given: RawArguments) -> dict[str, Any]:
    """Decode the arguments of a call; missing arguments are an empty object.

    Args:
        given: The undecoded arguments.

    Raises:
        MalformedCall: The arguments are a string that is not a JSON object.
    """
    if isinstance(given, dict):
        return given
    if given is None or given.strip() in ("", "null"):
        return {}
    try:
        return json_object(given)
    except MalformedCall as error:
        raise MalformedCall(f": the text of its arguments{error}") from None


def json_object(body: str) -> dict[str, Any]:
    """Decode one JSON object.

    Raises:
        MalformedCall: The text is not a JSON object.
    """
    try:
        return _decode_object(body)
    except DECODE_ERRORS as error:
        raise malformed_call(error) from None


def write_object(value: Mapping[str, Any]) -> str:
    """Encode a JSON object without the character ``<``, hence without tags and control tokens."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def malformed_call(error: Exception) -> MalformedCall:
    """Convert a decoding error to a `MalformedCall`."""
    if isinstance(error, msgspec.ValidationError):
        return MalformedCall(f": {str(error)[:300]}")
    return MalformedCall(f" is not valid JSON ({str(error)[:300]})")


def split_objects(text: str) -> Iterator[tuple[str, bool]]:
    """Split a text into pairs (piece, is JSON object) from left to right, in linear time.

    After a brace that begins no JSON object, the rest of the text is one piece and counts as an
    object, since it may be truncated.

    Args:
        text: Prose that contains objects.
    """
    position = 0
    while (start := text.find("{", position)) >= 0:
        if start > position:
            yield text[position:start], False
        try:
            _, end = _scan(text, start)
        except (ValueError, RecursionError):
            yield text[start:], True
            return
        yield text[start:end], True
        position = end
    if position < len(text):
        yield text[position:], False
