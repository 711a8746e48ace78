"""The OpenAPI description of a served environment, from the table of its endpoints."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from medenv.serving.protocol import Action, Observation, State

_FIELD = re.compile(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", re.MULTILINE)

API_VERSION = "1.0.0"
"""Version of OpenEnv's HTTP interface."""

_ERRORS = {
    "400": "Unknown split or number",
    "401": "No valid token",
    "404": "Unknown environment or episode",
    "409": "The episode has ended, or a step is in progress",
    "413": "The request is too long",
    "422": "The request is invalid",
    "429": "A quota of the client is used up",
    "503": "No session is free, a tool did not answer, or the server is stopping",
    "504": "The step was not finished within timeout_s",
}


class Endpoint(NamedTuple):
    """A row of the table from which routes and the description are made.

    Attributes:
        method: HTTP method.
        path: Path with parameters in braces.
        call: Answers a request of a client, by name, with what it takes.
        takes: Type of the body, or of the query.
        gives: Type of the answer.
        summary: One line.
    """

    method: str
    path: str
    call: Callable[[str, Any], Awaitable[Any]]
    takes: type[msgspec.Struct]
    gives: Any
    summary: str


def message_schemas() -> dict[str, Any]:
    """Return the JSON schemas of actions, observations and states, as `/schema` has them."""
    seen = _described(msgspec.json.schema(Observation), "$defs")
    fields = seen["$defs"]["Observation"]["properties"]
    fields["done"] = {"type": "boolean", "description": "Whether the episode is over."}
    fields["reward"] = {"type": ["number", "null"], "description": "The reward of the step."}
    return {
        "action": _described(msgspec.json.schema(Action), "$defs"),
        "observation": seen,
        "reset_observation": seen,
        "state": _described(msgspec.json.schema(State), "$defs"),
    }


def _described(schema: dict[str, Any], place: str) -> dict[str, Any]:
    """Move what a record's docstring says of its fields to the fields."""
    for definition in schema[place].values():
        summary, _, arguments = definition.get("description", "").partition("\n\n    Args:\n")
        definition["description"] = " ".join(summary.split())
        for name, text in _FIELD.findall(arguments):
            field = definition["properties"][name]
            definition["properties"][name] = {**field, "description": " ".join(text.split())}
    return schema


def describe_api(name: str, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description.

    Args:
        name: Name of the environment.
        endpoints: What is served beside /mcp, /metrics and /openapi.json.
    """
    types = [type_ for one in endpoints for type_ in (one.takes, one.gives)]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    _described({"schemas": components}, "schemas")
    paths: dict[str, Any] = {}
    for i, one in enumerate(endpoints):
        taken, given = schemas[2 * i], schemas[2 * i + 1]
        operation: dict[str, Any] = {
            "summary": one.summary,
            "operationId": one.path.strip("/").replace("{env_name}/", "") or "root",
            "responses": {
                "200": {"description": "Done", "content": _json(given)},
                **{code: {"description": text} for code, text in _ERRORS.items()},
            },
        }
        parameters = []
        if "{env_name}" in one.path:
            parameters.append(_parameter("env_name", "path", {"type": "string", "enum": [name]}))
        if one.method == "POST":
            operation["requestBody"] = {"content": _json(taken)}
        else:
            fields = components[one.takes.__name__].get("properties", {})
            parameters += [_parameter(field, "query", schema) for field, schema in fields.items()]
        if parameters:
            operation["parameters"] = parameters
        paths.setdefault(one.path, {})[one.method.lower()] = operation
    rpc = {"type": "object", "required": ["jsonrpc", "method"]}
    answered = {"200": {"description": "A JSON-RPC answer", "content": _json({"type": "object"})}}
    paths["/mcp"] = {
        "post": {
            "summary": "The tools of an episode as JSON-RPC",
            "requestBody": {"content": _json(rpc)},
            "responses": answered,
        }
    }
    figures = {"200": {"description": "Figures", "content": {"text/plain": {}}}}
    paths["/metrics"] = {"get": {"summary": "Figures for Prometheus", "responses": figures}}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"medenv: {name}", "version": API_VERSION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _parameter(name: str, place: str, schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}
