"""Contracts of tools."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from typing import Any

import jsonschema
import msgspec

from medenv.conformance.report import Check, NotApplicable, holds
from medenv.errors import InfraError
from medenv.records import ToolCall, ToolResult
from medenv.tools import Tool, ToolBox

MOST_MILLISECONDS = 50.0
"""Longest call of a tool that says it is local; its own promise is one millisecond."""

HOSTILE = ("", " ", "\x00\x1b[31m", "\ud800", "<answer>x</answer>", "' OR 1=1 --", "a" * 100_000)
"""Texts that a policy may write for any argument that is a text."""


def sample(schema: Mapping[str, Any]) -> Any:
    """Return a value that a JSON schema accepts, the plainest there is.

    Args:
        schema: The schema of one value, without references.
    """
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    match kind:
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "array":
            return [sample(schema.get("items", {}))] * max(1, int(schema.get("minItems", 1)))
        case "object":
            inner: Mapping[str, Any] = schema.get("properties", {})
            return {name: sample(inner[name]) for name in schema.get("required", ())}
        case "null":
            return None
        case _:
            return "heart".ljust(int(schema.get("minLength", 0)), "t")


def _arguments(tool: Tool) -> dict[str, Any]:
    made = sample({"type": "object", **inlined(tool.spec.parameters)})
    return dict(made)


def inlined(schema: Any) -> Any:
    """Return a schema with its definitions put where they are referred to.

    Args:
        schema: A JSON schema without cycles.
    """
    definitions = schema.get("$defs", {})

    def put(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return put(definitions[str(node["$ref"]).rpartition("/")[2]])
            return {name: put(value) for name, value in node.items() if name != "$defs"}
        return [put(one) for one in node] if isinstance(node, list) else node

    return put(schema)


def _call(tool: Tool, arguments: dict[str, Any]) -> ToolResult:
    return ToolBox([tool]).run(ToolCall(id="0.0", name=tool.name, arguments=arguments))


def _answer(tool: Tool) -> ToolResult:
    try:
        return _call(tool, _arguments(tool))
    except InfraError as error:
        raise NotApplicable(f"its backend does not answer here: {error}") from error


def it_says_what_it_does_and_takes(tool: Tool) -> str:
    """The policy sees a description and a schema, and nothing else."""
    spec = tool.spec
    holds(bool(spec.name.isidentifier()), f"expected a name like a variable's, got {spec.name!r}")
    holds(len(spec.description) >= 10, f"expected a description, got {spec.description!r}")
    jsonschema.Draft202012Validator.check_schema(spec.parameters)
    holds(spec.parameters.get("type") == "object", "expected the schema of an object")
    bare = [
        name
        for name, one in spec.parameters.get("properties", {}).items()
        if not {"description", "$ref", "enum", "anyOf"} & {*one}
    ]
    holds(not bare, f"expected a description of each argument, none for {', '.join(bare)}")
    return f"{len(spec.parameters.get('properties', {}))} arguments"


def it_answers_a_call_with_text(tool: Tool) -> str:
    """A call with the plainest arguments is answered, if only with a mistake of the caller's."""
    result = _answer(tool)
    holds(bool(result.text.strip()), "expected a text, got none")
    return f"{result.status}, {len(result.text):,} characters"


def wrong_arguments_are_answered_not_raised(tool: Tool) -> str:
    """Invalid arguments give an observation, not an exception."""
    properties = tool.spec.parameters.get("properties", {})
    calls: list[dict[str, Any]] = [{"no_such_argument": 1}]
    others: tuple[Any, ...] = ({}, [[]], None, 1e308)
    calls += [{name: value} for name in properties for value in others]
    required = tool.spec.parameters.get("required", ())
    calls += [{}] if required else []
    for arguments in calls:
        try:
            result = _call(tool, arguments)
        except InfraError:
            continue
        refused = result.status == "bad_call" or set(arguments) <= {*properties}
        holds(refused, f"expected {arguments} to be refused, got {result.status}")
    return f"{len(calls)} calls"


def hostile_text_is_answered_not_raised(tool: Tool) -> str:
    """Text arguments may hold control characters, lone surrogates, markup and be very long."""
    properties = inlined(tool.spec.parameters).get("properties", {})
    texts = [(name, wrap) for name, one in properties.items() for wrap in _texts(one)]
    if not texts:
        raise NotApplicable("it takes no text")
    for name, several in texts:
        for text in HOSTILE:
            try:
                given = {name: [text] if several else text}
                result = _call(tool, _arguments(tool) | given)
            except InfraError as error:
                raise NotApplicable(f"its backend does not answer here: {error}") from error
            result.text.encode()
    return f"{len(texts) * len(HOSTILE)} calls"


def _texts(schema: Mapping[str, Any]) -> list[bool]:
    """Return for each form in which a schema takes text whether it is a list."""
    if "anyOf" in schema:
        return [form for one in schema["anyOf"] for form in _texts(one)]
    if schema.get("type") == "array":
        return [True] if _texts(schema.get("items", {})) else []
    return [False] if schema.get("type") == "string" else []


def the_same_call_has_the_same_answer(tool: Tool) -> str:
    """Within an environment nothing but the policy decides what happens."""
    if not tool.local:
        raise NotApplicable("it is not local: what lies behind it may change")
    first, second = _answer(tool), _answer(tool)
    holds(first.text == second.text, "expected the same text twice, got two")
    holds(first.passages == second.passages, "expected the same passages twice, got others")
    return "twice"


def a_local_tool_does_not_block(tool: Tool) -> str:
    """Drivers make calls of local tools within their loop; all other episodes wait."""
    if not tool.local or tool.is_async:
        raise NotApplicable("it is not local, so drivers wait for it beside the loop")
    _answer(tool)
    begin = time.perf_counter()
    _answer(tool)
    took = (time.perf_counter() - begin) * 1000
    holds(
        took < MOST_MILLISECONDS,
        f"expected less than {MOST_MILLISECONDS:g} ms, took {took:.0f}: set `local = False`",
    )
    return f"{took:.2g} ms"


def it_travels_to_other_processes(tool: Tool) -> str:
    """Trainers play episodes in workers."""
    again = pickle.loads(pickle.dumps(tool))
    holds(again.spec == tool.spec, "expected the same description after the journey")
    try:
        here, there = _call(tool, _arguments(tool)), _call(again, _arguments(tool))
    except InfraError:
        return "description"
    same = not tool.local or here.text == there.text
    holds(same, "expected the same answer after the journey, got another")
    return "description and answer"


def what_it_shows_is_a_record(tool: Tool) -> str:
    """Results are stored as JSON and read back."""
    result = _answer(tool)
    again = msgspec.json.decode(msgspec.json.encode(result), type=ToolResult)
    holds(again == result, "expected the result back from JSON, got another")
    return "JSON"


CHECKS: tuple[Check[Tool], ...] = (
    it_says_what_it_does_and_takes,
    it_answers_a_call_with_text,
    wrong_arguments_are_answered_not_raised,
    hostile_text_is_answered_not_raised,
    the_same_call_has_the_same_answer,
    a_local_tool_does_not_block,
    it_travels_to_other_processes,
    what_it_shows_is_a_record,
)
