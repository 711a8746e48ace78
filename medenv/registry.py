"""The composition root: names to factories, and settings to a whole environment.

Other packages add to it through Python entry points of the groups in `REGISTRIES`, e.g.

    [project.entry-points."medenv.tools"]
    drug_labels = "my_package.tools:DrugLabels"
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from medenv.dialects.base import Dialect, PromptStyle
from medenv.env import MedResearchEnv
from medenv.episode import Budget, EpisodeRules
from medenv.errors import UnknownNameError, UsageError
from medenv.records import Question, Record, Retriever, RewardFn
from medenv.rollout import Patience, Rollouts
from medenv.tools import Tool, ToolBox
from medenv.vector import MedResearchVectorEnv

if TYPE_CHECKING:
    from medenv.reward import EntityNames

Factory = Callable[..., Any]


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


def _callable(found: Any) -> Factory:
    """Return a factory: what was found if it makes something, else a function that returns it."""
    if isinstance(found, Tool) or not callable(found):
        return lambda: found
    factory: Factory = found
    return factory


TOOLS = Registry(
    "tool",
    "medenv.tools",
    {"search": "medenv.tools.search:Search", "read": "medenv.tools.read:Read"},
)
"""Tools: a `Tool`, or a callable that makes one; ``retriever`` is passed where it asks for it."""

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

RETRIEVERS = Registry("retriever", "medenv.retrievers", {"bm25": "medenv.corpus.bm25:open_bm25"})
"""Retrievers: callables that make a `Retriever` of a path."""

REWARDS = Registry("reward", "medenv.rewards")
"""Rewards of other packages: callables that make a `RewardFn`. Presets come before them."""

KG_SOURCES = Registry("knowledge-graph source", "medenv.kg_sources")
"""Sources of other packages: callables that make a `medenv.kg.Graph` of a path."""

POLICIES = Registry("policy", "medenv.policies")
"""Policies of other packages: callables that make a `Policy`."""

REGISTRIES: Mapping[str, Registry] = MappingProxyType(
    {
        registry.group: registry
        for registry in (TOOLS, DIALECTS, RETRIEVERS, REWARDS, KG_SOURCES, POLICIES)
    }
)
"""All registries by their entry-point group."""


class EnvSettings(Record, frozen=True, kw_only=True):
    """What an environment is made of; the keyword arguments of ``gymnasium.make``.

    Args:
        questions: A JSONL file of questions, questions, or None for the toy graph's.
        split: Which of them are asked, ``"train"``, ``"test"`` or ``""`` for all.
        corpus: A saved index, a JSONL file of passages, a `Retriever`, or None for the toy graph's
            documents.
        retriever: Name of the retriever that opens a `corpus` given as a path.
        graph: A saved graph whose names tell misspelt answers from other entities, or None.
        dialect: Name of the dialect, or a `Dialect`.
        tools: Tools by name or themselves, or a mapping of names to options.
        scoring: Name of a reward preset or reward, weights by component, or a `RewardFn`.
        budget: What one episode may use up.
        prompt_style: How much the system message explains.
        env_id: Versioned id of the environment.
    """

    questions: Any = None
    split: str = ""
    corpus: Any = None
    retriever: str = "bm25"
    graph: Any = None
    dialect: Any = "hermes"
    tools: Any = ("search", "read")
    scoring: Any = "composite"
    budget: Any = Budget()
    prompt_style: PromptStyle = "full"
    env_id: str = ""


class Parts(NamedTuple):
    """What settings come to: all that env, rollouts and teachers are made of."""

    questions: tuple[Question, ...]
    rules: EpisodeRules
    toolbox: ToolBox
    reward: RewardFn
    retriever: Retriever | None

    def env(self) -> MedResearchEnv:
        """Return the Gymnasium environment."""
        return MedResearchEnv(self.questions, self.toolbox, self.reward, self.rules)

    def rollouts(self, patience: Patience | None = None) -> Rollouts:
        """Return the driver of whole episodes.

        Args:
            patience: How often failures are tried again.
        """
        return Rollouts(self.rules, self.toolbox, self.reward, patience or Patience())


def make_env(**settings: Any) -> MedResearchEnv:
    """Make the environment that `EnvSettings` of these values describe.

    Args:
        settings: Fields of `EnvSettings`.

    Raises:
        UsageError: An unknown field, name or value.
    """
    return make_parts(**settings).env()


def make_vector_env(
    num_envs: int = 1, autoreset_mode: str = "NextStep", **settings: Any
) -> MedResearchVectorEnv:
    """Make environments that step together and share questions, tools and reward.

    Args:
        num_envs: How many.
        autoreset_mode: What happens after the end of an episode; see `MedResearchVectorEnv`.
        settings: Fields of `EnvSettings`.

    Raises:
        UsageError: An unknown field, name or value.
    """
    return MedResearchVectorEnv(make_parts(**settings).env, num_envs, autoreset_mode)


def make_parts(**settings: Any) -> Parts:
    """Make the parts of which env and rollouts of these settings consist.

    Args:
        settings: Fields of `EnvSettings`.

    Raises:
        UsageError: An unknown field, name or value.
    """
    for name in settings:
        if name not in EnvSettings.__struct_fields__:
            raise UnknownNameError("setting", name, EnvSettings.__struct_fields__)
    chosen = EnvSettings(**settings)
    questions = _questions(chosen)
    options = chosen.tools if isinstance(chosen.tools, Mapping) else None
    retriever = _retriever(chosen) if chosen.tools else None
    toolbox = ToolBox(_tool(item, options, retriever) for item in chosen.tools)
    rules = EpisodeRules(
        make_dialect(chosen.dialect),
        toolbox.specs,
        _budget(chosen.budget),
        chosen.prompt_style,
        chosen.env_id,
        {"tools": options or {}, "scoring": _described(chosen.scoring)},
    )
    return Parts(questions, rules, toolbox, _reward(chosen), retriever)


def make_dialect(dialect: str | Dialect) -> Dialect:
    """Return the dialect of that name, or the dialect itself.

    Args:
        dialect: A known name, or a dialect.

    Raises:
        UnknownNameError: Nobody offers it.
    """
    made: Dialect = DIALECTS.load(dialect)() if isinstance(dialect, str) else dialect
    return made


def _questions(settings: EnvSettings) -> tuple[Question, ...]:
    """Return the questions of the split."""
    given = settings.questions
    if given is None:
        from medenv.kg import toy_questions

        made = toy_questions()
        given = (*made.train, *made.test)
    elif isinstance(given, str | Path):
        from medenv.kg import read_questions

        given = read_questions(given)
    chosen = tuple(q for q in given if settings.split in ("", q.split))
    if not chosen:
        raise UsageError(f"no question is of split {settings.split!r} among {len(given)}")
    return chosen


def _retriever(settings: EnvSettings) -> Retriever:
    """Open the corpus."""
    given = settings.corpus
    opened: Retriever
    if given is None:
        from medenv.corpus import BM25Retriever
        from medenv.kg import Documents, toy_graph

        return BM25Retriever(Documents(toy_graph()).passages)
    is_path = isinstance(given, str | Path)
    opened = RETRIEVERS.load(settings.retriever)(given) if is_path else given
    return opened


def _tool(
    item: str | Tool, options: Mapping[str, Mapping[str, Any]] | None, retriever: Retriever | None
) -> Tool:
    """Make one tool."""
    if isinstance(item, Tool):
        return item
    factory = TOOLS.load(item)
    arguments = dict((options or {}).get(item) or {})
    if "retriever" in inspect.signature(factory).parameters:
        arguments["retriever"] = retriever
    try:
        made: Tool = factory(**arguments)
    except TypeError as error:
        raise UsageError(f"tool {item!r} cannot be made with {arguments}: {error}") from error
    return made


def _budget(budget: Any) -> Budget:
    """Return the budget, checked where it comes as a mapping."""
    if isinstance(budget, Budget):
        return budget
    try:
        return msgspec.convert(dict(budget), Budget)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise UsageError(f"budget: {error}; got {budget!r}") from error


def _reward(settings: EnvSettings) -> RewardFn:
    """Make the reward."""
    from medenv.reward import PRESETS, Composition, compose

    scoring = settings.scoring
    reward: RewardFn
    if isinstance(scoring, str) and scoring not in PRESETS:
        if scoring not in REWARDS.names():
            raise UnknownNameError("reward", scoring, (*PRESETS, *REWARDS.names()))
        reward = REWARDS.load(scoring)()
        return reward
    if callable(scoring):
        reward = scoring
        return reward
    if isinstance(scoring, Mapping):
        scoring = Composition(weights={name: float(weight) for name, weight in scoring.items()})
    return compose(scoring, _entity_names(settings))


def _entity_names(settings: EnvSettings) -> EntityNames | None:
    """Return the index of all names, where the graph is known."""
    from medenv.reward import EntityNames

    if settings.graph is None and settings.questions is not None:
        return None
    from medenv.kg import Graph, toy_graph

    graph = toy_graph() if settings.graph is None else Graph.load(settings.graph)
    return EntityNames(graph.entity(node) for node in range(len(graph)))


def _described(scoring: Any) -> Any:
    """Return what of a scoring goes into the settings' hash."""
    if isinstance(scoring, str | msgspec.Struct):
        return scoring
    return dict(scoring) if isinstance(scoring, Mapping) else type(scoring).__qualname__
