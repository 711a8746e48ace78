"""From settings to a whole environment, through the names of `medenv.build.plugins`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import msgspec
from gymnasium.wrappers import TimeLimit

from medenv.build.knowledge import knowledge_of
from medenv.build.plugins import (
    DIALECTS,
    POLICIES,
    REGISTRIES,
    RETRIEVERS,
    REWARDS,
    TOOLS,
    retriever_factory,
)
from medenv.build.resources import OF_THE_GRAPH, RESOURCES, Resources
from medenv.build.scoring import Scoring, make_scoring
from medenv.build.settings import ScoringSettings
from medenv.dialects.base import Dialect, PromptStyle, ToolSpecificDialect
from medenv.envs.env import MedResearchEnv
from medenv.envs.kinds import ENVIRONMENT_CLASSES
from medenv.envs.vector import MedResearchVectorEnv
from medenv.episodes.episode import Budget, EpisodeRules
from medenv.errors import UnknownNameError, UsageError
from medenv.kg.questions.sets import QuestionSet
from medenv.records import Passage, Question, Record, Retriever, RewardFn
from medenv.retrieval.filtered import FilteredRetriever, withhold
from medenv.reward import check_questions
from medenv.rollouts.driver import RolloutRetryPolicy, Rollouts
from medenv.tools import Tool, ToolBox

__all__ = [
    "DIALECTS",
    "POLICIES",
    "REGISTRIES",
    "RETRIEVERS",
    "REWARDS",
    "TOOLS",
    "MakeSettings",
    "Parts",
    "make_dialect",
    "make_env",
    "make_parts",
    "make_vector_env",
]


class MakeSettings(Record, frozen=True, kw_only=True):
    """What an environment is made of; the keyword arguments of ``gymnasium.make``.

    Args:
        questions: The folder of a question set, a file of questions that medenv wrote, a JSONL or
            CSV file of one's own, see `medenv.kg.read_own_questions`, a published benchmark such as
            ``"pubmedqa:FILE"``, questions, or None for the toy graph's. A set brings its graph and
            corpus along.
        split: Which of them are asked, ``"train"``, ``"test"`` or ``""`` for all.
        corpus: A saved index, a JSONL file of passages or a folder of documents, a `Retriever`, or
            None for the documents of the graph, or for the passages in a file of one's own
            questions.
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
            questions and corpus, and gives no answer away that the corpus has not. The toy graph
            never stands in where questions or a corpus are given.
        cassette: Options of `medenv.tools.cassette.Cassette` around every tool, or None.
        faults: Options of `medenv.tools.faults.Faulty` around every tool, or None.
        scoring: Name of a reward preset or of a registered reward, ``package.module:object``,
            weights by component, a `Composition`, `ScoringSettings`, or a `RewardFn`.
        verdicts: Folder of a judge's verdicts, where `scoring` has a judge.
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
    verdicts: str = ""
    budget: Any = Budget()
    prompt_style: PromptStyle = "full"
    env_id: str = ""


class Parts(NamedTuple):
    """What settings come to: all that env, rollouts and teachers are made of."""

    questions: tuple[Question, ...]
    rules: EpisodeRules
    toolbox: ToolBox
    scoring: Scoring
    retriever: Retriever | None

    @property
    def reward(self) -> RewardFn:
        """The reward, before any training."""
        return self.scoring.reward

    def env(self, render_mode: str | None = None) -> MedResearchEnv:
        """Return the Gymnasium environment.

        Args:
            render_mode: How it shows itself; see `MedResearchEnv.render`.
        """
        made = ENVIRONMENT_CLASSES.get(self.rules.env_id, MedResearchEnv)
        return made(self.questions, self.toolbox, self.reward, self.rules, render_mode)

    def rollouts(self, patience: RolloutRetryPolicy | None = None) -> Rollouts:
        """Return the driver of whole episodes.

        Args:
            patience: How often failures are tried again.
        """
        return Rollouts(
            self.rules,
            self.toolbox,
            self.reward,
            patience or RolloutRetryPolicy(),
            threads=self.scoring.threads,
        )


def registered_parts(env_id: str, **settings: Any) -> Parts:
    """Make the parts of a registered environment.

    Args:
        env_id: Its id.
        settings: Fields of `MakeSettings` that differ from the id's.

    Raises:
        UnknownNameError: No environment of medenv has the id.
        UsageError: An unknown field, name or value.
    """
    known = {name for name, spec in gymnasium.registry.items() if "env_id" in spec.kwargs}
    if env_id not in known:
        raise UnknownNameError("environment", env_id, known)
    return make_parts(**{**gymnasium.registry[env_id].kwargs, **settings})


def make_env(render_mode: str | None = None, **settings: Any) -> MedResearchEnv:
    """Make the environment that `MakeSettings` of these values describe.

    Args:
        render_mode: How it shows itself; see `MedResearchEnv.render`.
        settings: Fields of `MakeSettings`.

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
        settings: Fields of `MakeSettings`.

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
        settings: Fields of `MakeSettings`.

    Raises:
        UsageError: An unknown field, name or value.
    """
    for name in settings:
        if name not in MakeSettings.__struct_fields__:
            raise UnknownNameError("setting", name, MakeSettings.__struct_fields__)
    chosen = _with_set(MakeSettings(**settings))
    opened, options = retriever_factory(chosen.retriever)
    given, passages = _given(chosen)
    world = Resources(
        chosen.graph,
        passages or None if chosen.corpus is None else chosen.corpus,
        opened,
        chosen.cases,
        options,
        toy=given is None or all(one.certificate is not None for one in given),
    )
    questions = _of_split(
        [case.question for case in world.cases] if given is None else given, chosen.split
    )
    if chosen.withhold:
        questions, hidden = withhold(questions, chosen.withhold)
        world.retriever = FilteredRetriever(world.retriever, hidden)
    wanted = _wanted(chosen, questions)
    tool_options = wanted if isinstance(wanted, Mapping) else None
    made = (_made(item, tool_options, world, _has_graph(chosen)) for item in wanted)
    tools = (tool for some in made for tool in some)
    toolbox = ToolBox(_wrapped(tool, chosen) for tool in tools)
    dialect = make_dialect(chosen.dialect)
    of_questions = chosen.graph is None and chosen.questions is not None
    knowledge = None if of_questions else knowledge_of(world.graph)
    verdicts = Path(chosen.verdicts) if chosen.verdicts else None
    scoring = make_scoring(chosen.scoring, knowledge, verdicts)
    check_questions(scoring.reward, questions)
    rules = EpisodeRules(
        dialect.for_tools(toolbox.specs) if isinstance(dialect, ToolSpecificDialect) else dialect,
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
        scoring.asks,
    )
    retriever = world.retriever if wanted else None
    return Parts(questions, rules, toolbox, scoring, retriever)


def _with_set(settings: MakeSettings) -> MakeSettings:
    """Return settings with the questions, graph and corpus of a question set that they name."""
    named = settings.questions
    if not isinstance(named, str | Path) or not Path(named).is_dir():
        return settings
    found = QuestionSet.open(named)
    return msgspec.structs.replace(
        settings,
        questions=found.questions(settings.split),
        graph=found.graph if settings.graph is None else settings.graph,
        corpus=found.corpus if settings.corpus is None else settings.corpus,
    )


def make_dialect(dialect: str | Dialect) -> Dialect:
    """Return the dialect of that name, or the dialect itself.

    Args:
        dialect: A known name, or a dialect.

    Raises:
        UnknownNameError: Nobody offers it.
    """
    made: Dialect = DIALECTS.load(dialect)() if isinstance(dialect, str) else dialect
    return made


def _given(settings: MakeSettings) -> tuple[Sequence[Question] | None, Sequence[Passage]]:
    """Return the questions, None where cases are asked about, and the passages among them."""
    given = settings.questions
    if given is None and settings.cases is not None:
        return None, ()
    if given is None:
        from medenv.kg import toy_questions

        made = toy_questions()
        return (*made.train, *made.test), ()
    if isinstance(given, str | Path):
        from medenv.kg.questions.named import read_set

        found = read_set(str(given))
        return found.questions, tuple(found.passages)
    return given, ()


def _of_split(questions: Sequence[Question], split: str) -> tuple[Question, ...]:
    """Return the questions of a split, of all where it is ``""``."""
    chosen = tuple(q for q in questions if split in ("", q.split))
    if not chosen:
        raise UsageError(f"no question is of split {split!r} among {len(questions)}")
    return chosen


def _has_graph(settings: MakeSettings) -> bool:
    """Return whether the questions are about a graph that is there: given, or the toy's.

    Cases are made from the diseases of a graph, whatever corpus they are researched in.
    """
    toy = settings.questions is None and (settings.corpus is None or settings.cases is not None)
    return settings.graph is not None or toy


def _wanted(settings: MakeSettings, questions: Sequence[Question]) -> Iterable[str | Tool]:
    """Return what to make tools of."""
    wanted: Iterable[str | Tool] = settings.tools
    if wanted != "all":
        return (wanted,) if isinstance(wanted, str) else wanted
    # Where a question has no answer in the corpus, the graph would still give it away.
    answerable = all(question.answers for question in questions)
    names = ["search", "read", "med_search"]
    if answerable and _has_graph(settings):
        names += ["diagnose", "lookup"]
    if settings.cases is not None:
        names.append("ask")
    return names


def _made(
    item: str | Tool,
    options: Mapping[str, Mapping[str, Any]] | None,
    world: Resources,
    has_graph: bool,
) -> Sequence[Tool]:
    """Make what one entry of the tools names: a tool, or all those of a factory of several."""
    if isinstance(item, Tool):
        return (item,)
    factory = TOOLS.load(item)
    arguments = dict((options or {}).get(item) or {})
    for name in inspect.signature(factory).parameters:
        if name in RESOURCES and name not in arguments:
            if name in OF_THE_GRAPH and not has_graph:
                raise UsageError(
                    f"{item} needs a graph: set graph to the one that questions and corpus are"
                    " about, or leave the tool out"
                )
            arguments[name] = getattr(world, name)
    try:
        made: Tool | Sequence[Tool] = factory(**arguments)
    except TypeError as error:
        raise UsageError(f"tool {item!r} cannot be made with {arguments}: {error}") from error
    return (made,) if isinstance(made, Tool) else made


def _wrapped(tool: Tool, settings: MakeSettings) -> Tool:
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


def _described(scoring: Any) -> Any:
    """Return what of a scoring goes into the settings' hash."""
    if isinstance(scoring, ScoringSettings):
        scoring = msgspec.structs.replace(scoring, shuffle_seed=None)
        if scoring.preset and scoring == ScoringSettings(preset=scoring.preset):
            return scoring.preset
    if isinstance(scoring, str | msgspec.Struct):
        return scoring
    return dict(scoring) if isinstance(scoring, Mapping) else type(scoring).__qualname__
