"""Tools for smolagents: the tools of an episode as its `Tool`.

    episode = Episode.begin("medenv/Research-v0", question="test:4")
    agent = ToolCallingAgent(
        tools=episode.tools(), model=model, step_callbacks=[episode.stop_if_failed]
    )
    agent.run(episode.question)
    episode.reward                                # None until the agent's final answer

Importing this module needs the extra ``smolagents``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from medenv.errors import require
from medenv.integrations.episode_tools import ANSWERED, ToolEpisode
from medenv.records import ToolSpec

require("smolagents", "smolagents", "tools for smolagents")

from smolagents import Tool  # noqa: E402 - named in one line where it is missing

__all__ = ["Episode"]


class Episode(ToolEpisode):
    """An episode whose tools an agent of smolagents calls.

    Args:
        parts: The parts of the environment.
        question: Id or number of the question; None draws one.
        seed: Seed of the draw.
        retries: How often a call is tried if the infrastructure fails.
    """

    def tools(self) -> list[Tool]:
        """Return the environment's tools, and `final_answer`, which ends the episode.

        The last one takes the place of the tool with which an agent of smolagents ends its run.

        Raises:
            UsageError: The environment has a tool of the name ``answer``.
        """
        *own, answer = self.specs
        text = answer.parameters["properties"]["text"]["description"]
        inputs = {"answer": {"type": "any", "description": text}}
        return [
            *(
                _EpisodeTool(spec.name, spec.description, _inputs(spec), self._make(spec))
                for spec in own
            ),
            _EpisodeTool("final_answer", answer.description, inputs, self._make_final_answer()),
        ]

    def stop_if_failed(self, step: Any) -> None:  # noqa: ARG002 - smolagents' interface
        """End the agent's run if the episode can have no score; one of its ``step_callbacks``.

        smolagents shows every exception of a tool to the model and goes on.

        Raises:
            InfraError: The infrastructure failed.
        """
        self._check()

    def _make(self, spec: ToolSpec) -> Callable[..., str]:
        """Return the function of a tool.

        It is a closure, since code that an agent writes can read the attributes of its tools, and
        none of them may lead to the episode with its gold answer.
        """
        names, required = tuple(spec.parameters["properties"]), spec.parameters.get("required", ())

        def forward(*given: Any, **named: Any) -> str:
            if len(given) > len(names):
                raise TypeError(f"{spec.name} takes {len(names)} arguments, got {len(given)}")
            arguments = dict(zip(names, given, strict=False)) | named
            stated = {n: v for n, v in arguments.items() if v is not None or n in required}
            return self.call(spec.name, stated)

        return forward

    def _make_final_answer(self) -> Callable[[Any], Any]:
        """Return the function of the tool that ends the episode."""

        def final_answer(answer: Any) -> Any:
            said = self.answer(answer)
            if not self.ended:
                raise ValueError(said)  # shown to the model, and the run goes on
            return answer if said == ANSWERED else said

        return final_answer


class _EpisodeTool(Tool):  # type: ignore[misc]  # smolagents is not checked
    """A tool whose function is given."""

    output_type = "string"
    skip_forward_signature_validation = True

    def __init__(
        self, name: str, description: str, inputs: dict[str, Any], forward: Callable[..., Any]
    ) -> None:
        super().__init__()
        self.name, self.description, self.inputs, self.forward = name, description, inputs, forward


def _inputs(spec: ToolSpec) -> dict[str, dict[str, Any]]:
    """Return the parameters of a tool in the form of smolagents: each has types of its own list."""
    schema = spec.parameters
    required, definitions = schema.get("required", ()), schema.get("$defs", {})
    found = {}
    for name, parameter in schema["properties"].items():
        given = {"description": "", **_resolved(parameter, definitions)}
        options = [_resolved(option, definitions) for option in given.pop("anyOf", ())]
        merged = {key: value for option in options for key, value in option.items()} | given
        kinds = list(dict.fromkeys(kind for one in options or [given] for kind in _kinds(one)))
        merged["type"] = kinds[0] if len(kinds) == 1 else kinds
        if "any" in kinds:
            merged["type"] = "any"
        if name not in required:
            merged["nullable"] = True  # how smolagents says that it may be left out
        found[name] = merged
    return found


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with what it refers to in its place."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return {**definitions.get(name, {}), **{k: v for k, v in schema.items() if k != "$ref"}}


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema accepts, by their names in smolagents."""
    kinds = schema.get("type", ())
    if not kinds and "enum" in schema and all(isinstance(v, str) for v in schema["enum"]):
        kinds = "string"
    return [kinds] if isinstance(kinds, str) else list(kinds) or ["any"]
