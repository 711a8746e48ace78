"""The composition root: settings to a whole environment, through the names of `medenv.build.plugins`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from gymnasium.wrappers import TimeLimit

from medenv.dialects.base import Dialect, Fitted, PromptStyle
from medenv.envs.env import MedResearchEnv
from medenv.envs.kinds import ENVIRONMENT_CLASSES
from medenv.episodes.episode import Budget, EpisodeRules
from medenv.errors import UnknownNameError, UsageError
from medenv.build.plugins import (
    DIALECTS,
    POLICIES,
    REGISTRIES,
    RETRIEVERS,
    REWARDS,
    TOOLS,
    retriever_factory,
)
from medenv.records import Question, Record, Retriever, RewardFn
from medenv.build.resources import RESOURCES, Resources
from medenv.rollouts.driver import RetryPolicy, Rollouts
from medenv.tools import Tool, ToolBox
from medenv.envs.vector import MedResearchVectorEnv
from medenv.retrieval.filtered import FilteredRetriever, withhold

__all__ = [
    "DIALECTS",
    "POLICIES",
    "REGISTRIES",
    "RETRIEVERS",
    "REWARDS",
    "TOOLS",
    "EnvSettings",
    "Parts",
    "make_dialect",
    "make_env",
    "make_parts",
    "make_vector_env",
]


class EnvSettings(Record, frozen=True, kw_only=True):
    """What an environment is made of; the keyword arguments of ``gymnasium.make``.

    Args:
        questions: A JSONL file of questions, questions, or None for the toy graph's.
        split: Which of them are asked, ``"train"``, ``"test"`` or ``""`` for all.
        corpus: A saved index, a JSONL file of passages, a `Retriever`, or None for the documents of
            the graph.
        retriever: Name of the retriever that opens a `corpus` given as a path, or a mapping of it
            to options, as ``{"bm25": {"analysis": "english"}}``; an analysis holds for the
            documents of the graph as well.
        graph: A saved graph, a `medenv.kg.Graph`, or None for the toy graph. Rewards know its
            names, hierarchy and contraindications, and so do tools.
        cases: Patients to diagnose instead of `questions`: a number of simulated ones, or a file or
            folder of real ones.
        withhold: Share of the questions to which the corpus is made to hold no answer.
        dialect: Name of the dialect, or a `Dialect`.
        tools: Tools by name or themselves, a mapping of names to options, or ``"all"``: every tool
            of this package that needs no network, those of the graph only where it is the graph of
            questions and corpus, and gives no answer away that the corpus has not.
        cassette: Options of `medenv.tools.cassette.Cassette` around every tool, or None.
        faults: Options of `medenv.tools.faults.Faulty` around every tool, or None.
        scoring: Name of a reward preset or reward, weights by component, or a `RewardFn`.
        budget: What one episode may use up.
        prompt_style: How much the system message explains.
        env_id: Versioned id of the environment.
    """

    questions: Any = None
    split: str = ""
    corpus: Any = None
    retriever: Any = "bm25"
    graph: Any = None
    cases: Any = None
    withhold: float = 0.0
    dialect: Any = "hermes"
    tools: Any = ("search", "read")
    cassette: Any = None
    faults: Any = None
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

    def env(self, render_mode: str | None = None) -> MedResearchEnv:
        """Return the Gymnasium environment.

        Args:
            render_mode: How it shows itself; see `MedResearchEnv.render`.
        """
        made = ENVIRONMENT_CLASSES.get(self.rules.env_id, MedResearchEnv)
        return made(self.questions, self.toolbox, self.reward, self.rules, render_mode)

    def rollouts(self, patience: RetryPolicy | None = None) -> Rollouts:
        """Return the driver of whole episodes.

        Args:
            patience: How often failures are tried again.
        """
        return Rollouts(self.rules, self.toolbox, self.reward, patience or RetryPolicy())


def make_env(render_mode: str | None = None, **settings: Any) -> MedResearchEnv:
    """Make the environment that `EnvSettings` of these values describe.

    Args:
        render_mode: How it shows itself; see `MedResearchEnv.render`.
        settings: Fields of `EnvSettings`.

    Raises:
        UsageError: An unknown field, name or value.
    """
    return make_parts(**settings).env(render_mode)


make_env.metadata = MedResearchEnv.metadata  # type: ignore[attr-defined]  # where Gymnasium looks for the render modes


def make_vector_env(
    num_envs: int = 1,
    autoreset_mode: str = "NextStep",
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    **settings: Any,
) -> MedResearchVectorEnv:
    """Make environments that step together and share questions, tools and reward.

    Args:
        num_envs: How many.
        autoreset_mode: What happens after the end of an episode; see `MedResearchVectorEnv`.
        render_mode: How each environment shows itself; see `MedResearchEnv.render`.
        max_episode_steps: Steps after which each episode is cut, in addition to its budget.
        settings: Fields of `EnvSettings`.

    Raises:
        UsageError: An unknown field, name or value.
    """
    parts = make_parts(**settings)

    def make() -> Any:
        env = parts.env(render_mode)
        return TimeLimit(env, max_episode_steps) if max_episode_steps else env

    return MedResearchVectorEnv(make, num_envs, autoreset_mode)


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
    opened, options = retriever_factory(chosen.retriever)
    world = Resources(chosen.graph, chosen.corpus, opened, chosen.cases, options)
    questions = _questions(chosen, world)
    if chosen.withhold:
        questions, hidden = withhold(questions, chosen.withhold)
        world.retriever = FilteredRetriever(world.retriever, hidden)
    wanted = _wanted(chosen, questions)
    tool_options = wanted if isinstance(wanted, Mapping) else None
    tools = (tool for item in wanted for tool in _made(item, tool_options, world))
    toolbox = ToolBox(_wrapped(tool, chosen) for tool in tools)
    dialect = make_dialect(chosen.dialect)
    reward = _reward(chosen, world)
    rules = EpisodeRules(
        dialect.fitted(toolbox.specs) if isinstance(dialect, Fitted) else dialect,
        toolbox.specs,
        _budget(chosen.budget),
        chosen.prompt_style,
        chosen.env_id,
        {
            "tools": tool_options or {},
            "scoring": _described(chosen.scoring),
            "withhold": chosen.withhold,
            "faults": chosen.faults,
        },
        getattr(reward, "asks", ()),
    )
    retriever = world.retriever if wanted else None
    return Parts(questions, rules, toolbox, reward, retriever)


def make_dialect(dialect: str | Dialect) -> Dialect:
    """Return the dialect of that name, or the dialect itself.

    Args:
        dialect: A known name, or a dialect.

    Raises:
        UnknownNameError: Nobody offers it.
    """
    made: Dialect = DIALECTS.load(dialect)() if isinstance(dialect, str) else dialect
    return made


def _questions(settings: EnvSettings, world: Resources) -> tuple[Question, ...]:
    """Return the questions of the split."""
    given = settings.questions
    if given is None and settings.cases is not None:
        given = [case.question for case in world.cases]
    elif given is None:
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


def _wanted(settings: EnvSettings, questions: Sequence[Question]) -> Iterable[str | Tool]:
    """Return what to make tools of."""
    wanted: Iterable[str | Tool] = settings.tools
    if wanted != "all":
        return (wanted,) if isinstance(wanted, str) else wanted
    own_world = settings.questions is None and settings.corpus is None
    # Where a question has no answer in the corpus, the graph would still give it away.
    answerable = all(question.answers for question in questions)
    names = ["search", "read", "med_search"]
    if answerable and (own_world or settings.graph is not None):
        names += ["diagnose", "lookup"]
    if settings.cases is not None:
        names.append("ask")
    return names


def _made(
    item: str | Tool, options: Mapping[str, Mapping[str, Any]] | None, world: Resources
) -> Sequence[Tool]:
    """Make what one entry of the tools names: a tool, or all those of a factory of several."""
    if isinstance(item, Tool):
        return (item,)
    factory = TOOLS.load(item)
    arguments = dict((options or {}).get(item) or {})
    for name in inspect.signature(factory).parameters:
        if name in RESOURCES and name not in arguments:
            arguments[name] = getattr(world, name)
    try:
        made: Tool | Sequence[Tool] = factory(**arguments)
    except TypeError as error:
        raise UsageError(f"tool {item!r} cannot be made with {arguments}: {error}") from error
    return (made,) if isinstance(made, Tool) else made


def _wrapped(tool: Tool, settings: EnvSettings) -> Tool:
    """Put a cassette and faults around a tool, where they are asked for."""
    from medenv.tools.cassette import Cassette
    from medenv.tools.faults import Faulty

    for wrapper, options in ((Cassette, settings.cassette), (Faulty, settings.faults)):
        if options is not None:
            try:
                tool = wrapper(tool, **options)
            except TypeError as error:
                raise UsageError(f"{wrapper.__name__} cannot take {options!r}: {error}") from error
    return tool


def _budget(budget: Any) -> Budget:
    """Return the budget, checked where it comes as a mapping."""
    if isinstance(budget, Budget):
        return budget
    try:
        return msgspec.convert(dict(budget), Budget)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise UsageError(f"budget: {error}; got {budget!r}") from error


def _reward(settings: EnvSettings, world: Resources) -> RewardFn:
    """Make the reward."""
    from medenv.reward import PRESETS, Checked, Composition, compose

    scoring = settings.scoring
    reward: RewardFn
    if isinstance(scoring, str) and scoring not in PRESETS:
        if scoring not in REWARDS.names():
            raise UnknownNameError("reward", scoring, (*PRESETS, *REWARDS.names()))
        return Checked(scoring, REWARDS.load(scoring)())
    if callable(scoring):
        reward = scoring
        return reward
    if isinstance(scoring, Mapping):
        scoring = Composition(weights={name: float(weight) for name, weight in scoring.items()})
    if settings.graph is None and settings.questions is not None:
        return compose(scoring)
    from medenv.build.knowledge import knowledge_of

    return compose(scoring, knowledge_of(world.graph))


def _described(scoring: Any) -> Any:
    """Return what of a scoring goes into the settings' hash."""
    if isinstance(scoring, str | msgspec.Struct):
        return scoring
    return dict(scoring) if isinstance(scoring, Mapping) else type(scoring).__qualname__
