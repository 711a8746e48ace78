"""Names to factories: medenv's own parts and those of installed packages.

Other packages add to it through Python entry points of the groups in `REGISTRIES`, e.g.

    [project.entry-points."medenv.tools"]
    drug_labels = "my_package.tools:DrugLabels"
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medenv.errors import UnknownNameError, UsageError, describe
from medenv.kg.sources import GROUP, SOURCES
from medenv.tools import Tool

Factory = Callable[..., Any]


Named = str | Mapping[str, Mapping[str, Any] | None]
"""A part by its name, or by its name and options, as ``{"bm25": {"analysis": "english"}}``."""


class Registry:
    """Names of one kind of part, medenv's own and those of installed packages.

    Args:
        kind: What the names name, for messages.
        group: Entry-point group in which other packages offer more.
        own: medenv's own, name to ``"module:attribute"``; imported when asked for.
    """

    def __init__(self, kind: str, group: str, own: Mapping[str, str] | None = None) -> None:
        self.kind, self.group = kind, group
        self._own = dict(own or {})

    def names(self) -> tuple[str, ...]:
        """Return all known names, sorted."""
        return tuple(sorted({*self._own, *self._offered()}))

    def load(self, name: str) -> Factory:
        """Return the factory of that name.

        Args:
            name: A known name.

        Raises:
            UnknownNameError: Nobody offers it.
            UsageError: It cannot be imported, or two packages offer it.
        """
        if name in self._own:
            module, _, attribute = self._own[name].partition(":")
            return _callable(getattr(importlib.import_module(module), attribute))
        offered = self._offered()
        if name not in offered:
            raise UnknownNameError(self.kind, name, self.names())
        if len(offered[name]) > 1:
            values = ", ".join(sorted(point.value for point in offered[name]))
            raise UsageError(f"{self.kind} {name!r} is offered more than once: {values}")
        point = offered[name][0]
        try:
            return _callable(point.load())
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"{self.kind} {name!r} cannot be imported from {point.value}: {error}"
            ) from error

    def _offered(self) -> dict[str, list[EntryPoint]]:
        offered: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            offered.setdefault(point.name, []).append(point)
        return offered


def load_object(kind: str, name: str) -> Any:
    """Import an object by ``package.module:object``.

    Modules in the folder where the command runs are found too, after those of installed packages:
    that folder is appended to `sys.path` here and nowhere else.

    Args:
        kind: What the object is, for messages.
        name: Module and object.

    Raises:
        UsageError: The module cannot be imported, or has no such object.
    """
    here = str(Path.cwd())
    if not {"", here} & {*sys.path}:
        sys.path.append(here)
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise UsageError(f"expected {kind} as package.module:object, got {name!r}")
    try:
        return pkgutil.resolve_name(name)
    except Exception as error:  # whatever a module of other people raises while it is imported
        raise UsageError(f"{kind} {name!r} cannot be imported: {describe(error)}") from error


def _callable(found: Any) -> Factory:
    """Return a factory: what was found if it makes something, else a function that returns it."""
    if isinstance(found, Tool) or not callable(found):
        return lambda: found
    factory: Factory = found
    return factory


def retriever_factory(retriever: Named) -> tuple[Factory, dict[str, Any]]:
    """Return what opens a corpus at a path, and the options that it is to be given.

    Args:
        retriever: A known name, or a mapping of it to options.

    Raises:
        UnknownNameError: Nobody offers it.
        UsageError: No or several names, or an option that it does not take.
    """
    if isinstance(retriever, str):
        return RETRIEVERS.load(retriever), {}
    if len(retriever) != 1:
        raise UsageError(f"expected one retriever with its options, got {dict(retriever)!r}")
    ((name, given),) = retriever.items()
    factory, options = RETRIEVERS.load(name), dict(given or {})
    try:
        inspect.signature(factory).bind("path", **options)
    except TypeError as error:
        raise UsageError(f"retriever {name!r} cannot take {options}: {error}") from error
    return factory, options


TOOLS = Registry(
    "tool",
    "medenv.tools",
    {
        "ask": "medenv.tools.ask:Ask",
        "diagnose": "medenv.tools.diagnose:Diagnose",
        "lookup": "medenv.tools.lookup:Lookup",
        "mcp": "medenv.tools.mcp:mcp_tools",
        "med_search": "medenv.tools.med_search:MedSearch",
        "read": "medenv.tools.read:Read",
        "search": "medenv.tools.search:Search",
        "visit": "medenv.tools.web.visit:Visit",
        "web_search": "medenv.tools.web.search:WebSearch",
    },
)
"""Tools: a `Tool`, or a callable that makes one or several. Parameters named ``retriever``,
``diseases``, ``facts`` or ``patients`` are passed what the environment has under that name."""

DIALECTS = Registry(
    "dialect",
    "medenv.dialects",
    {
        "hermes": "medenv.dialects.hermes:Hermes",
        "json": "medenv.dialects.plain_json:PlainJson",
        "llama3": "medenv.dialects.llama3:Llama3",
        "openai": "medenv.dialects.openai_tools:OpenAITools",
        "qwen_xml": "medenv.dialects.qwen_xml:QwenXml",
        "react": "medenv.dialects.react:ReAct",
        "search_r1": "medenv.dialects.search_r1:SearchR1",
    },
)
"""Dialects: callables that make a `Dialect`."""

RETRIEVERS = Registry(
    "retriever",
    "medenv.retrievers",
    {
        "bm25": "medenv.retrieval.bm25:open_bm25",
        "corpora": "medenv.retrieval.loaders:open_corpora",
        "milvus": "medenv.retrieval.milvus:MilvusRetriever",
        "remote": "medenv.retrieval.remote:RemoteRetriever",
    },
)
"""Retrievers: callables that make a `Retriever` of a path, and may take options by keyword."""

REWARDS = Registry("reward", "medenv.rewards")
"""Rewards of other packages, in the forms that `medenv.reward.custom.as_reward` takes; presets come
before them."""

REWARD_COMPONENTS = Registry("reward component", "medenv.reward_components")
"""Components of other packages, in the forms that `medenv.reward.custom.as_component` takes."""

KG_SOURCES = Registry("knowledge-graph source", GROUP, SOURCES)
"""Sources of knowledge graphs: callables that make a `medenv.kg.Graph` of a path."""

POLICIES = Registry("policy", "medenv.policies")
"""Policies of other packages: callables that make a `Policy`."""

REGISTRIES: Mapping[str, Registry] = MappingProxyType(
    {
        registry.group: registry
        for registry in (
            *(TOOLS, DIALECTS, RETRIEVERS, REWARDS),
            *(REWARD_COMPONENTS, KG_SOURCES, POLICIES),
        )
    }
)
"""All registries by their entry-point group."""
