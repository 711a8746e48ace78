"""The registries of medenv's parts.

Other packages add to them through Python entry points of the groups in `REGISTRIES`, e.g.

    [project.entry-points."medenv.tools"]
    drug_labels = "my_package.tools:DrugLabels"

A local object is added by a decorator of `medenv.plugins`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from medenv.errors import UsageError
from medenv.kg.sources import KG_SOURCES
from medenv.registry import Factory, Registry
from medenv.retrieval.encoders import ENCODERS
from medenv.reward import PRESETS

Named = str | Mapping[str, Mapping[str, Any] | None]
"""A part by its name, or by its name and options, as ``{"bm25": {"analysis": "english"}}``."""


def retriever_factory(retriever: Named) -> tuple[Factory, dict[str, Any]]:
    """Return what opens a corpus at a path, and the options that it is to be given.

    Args:
        retriever: A known name, or a mapping of it to options.

    Raises:
        UnknownNameError: No retriever with that name is registered.
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
        "dense": "medenv.retrieval.dense:open_dense",
        "hybrid": "medenv.retrieval.dense:open_hybrid",
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

POLICIES = Registry("policy", "medenv.policies")
"""Policies of other packages: callables that make a `Policy`."""

REGISTRIES: Mapping[str, Registry] = MappingProxyType(
    {
        registry.group: registry
        for registry in (
            *(TOOLS, DIALECTS, RETRIEVERS, ENCODERS, REWARDS),
            *(REWARD_COMPONENTS, KG_SOURCES, POLICIES),
        )
    }
)
"""All registries by their entry-point group."""


def list_tools() -> tuple[str, ...]:
    """Return the names of all tools, sorted."""
    return TOOLS.names()


def list_rewards() -> tuple[str, ...]:
    """Return the names of all reward presets and rewards, sorted."""
    return tuple(sorted({*PRESETS, *REWARDS.names()}))
