"""Calls written as JSON objects, decoded strictly: name and arguments, or `MalformedCall`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Call = tuple[str, dict[str, Any]]
"""A well-formed call: name and arguments."""

DECODE_ERRORS = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)
"""What decoding JSON of a policy can raise."""


class MalformedCall(ValueError):
    """A call that cannot be read; its text goes on after ``"tool call 2"``."""


RawArguments = dict[str, Any] | str | None
"""Arguments as they come: an object, the text of one as in the chat API, or nothing."""


class NamedArguments(msgspec.Struct):
    """A call as most families write it."""

    name: str
    arguments: RawArguments


class NamedParameters(msgspec.Struct):
    """A call as Llama 3 writes it."""

    name: str
    parameters: RawArguments


_decode_arguments = msgspec.json.Decoder(NamedArguments).decode
_decode_parameters = msgspec.json.Decoder(NamedParameters).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_scan = json.JSONDecoder().raw_decode


def named_arguments(body: str) -> Call:
    """Read ``{"name": ..., "arguments": {...}}``.

    Raises:
        MalformedCall: It is something else.
    """
    try:
        call = _decode_arguments(body)
    except DECODE_ERRORS as error:
        raise malformed_call(error) from None
    return call.name, arguments_of(call.arguments)


def named_parameters(body: str) -> Call:
    """Read ``{"name": ..., "parameters": {...}}``, or with ``arguments`` as models also write.

    Raises:
        MalformedCall: It is something else.
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
    """Return the arguments of a call; none at all are an empty object.

    Args:
        given: As they came.

    Raises:
        MalformedCall: They are a text that is no JSON object.
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
    """Read one JSON object.

    Raises:
        MalformedCall: It is something else.
    """
    try:
        return _decode_object(body)
    except DECODE_ERRORS as error:
        raise malformed_call(error) from None


def write_object(value: Mapping[str, Any]) -> str:
    """Write a JSON object in which no tag and no control token can be read."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def malformed_call(error: Exception) -> MalformedCall:
    """Return the fault that a decoding error comes to, in words that follow ``"tool call 2"``."""
    if isinstance(error, msgspec.ValidationError):
        return MalformedCall(f": {str(error)[:300]}")
    return MalformedCall(f" is not valid JSON ({str(error)[:300]})")


def split_objects(text: str) -> Iterator[tuple[str, bool]]:
    """Cut a text into (piece, whether it is a JSON object) from left to right, in linear time.

    A brace that begins no JSON object makes one piece of all the rest: it may be one cut short.

    Args:
        text: Prose with objects in it.
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
