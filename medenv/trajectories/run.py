"""From settings to a finished set on disk: what ``recipes/trajectories.py`` does, as a function.

The folder holds

    rollouts.jsonl        the journal: every episode that was played
    trajectories.jsonl    the set, one `Rollout` a line
    preferences.jsonl     better and worse episodes of one question
    chat.jsonl            the set as chat messages
    card.json, README.md and figures
    rewritings.jsonl      where thoughts were rewritten: their journal

The same call goes on where an earlier one ended, however that was; a larger n extends the set.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from medenv.dialects.base import PromptStyle
from medenv.endpoint import Endpoint, EndpointSettings
from medenv.errors import UsageError
from medenv.jsonl import write_records
from medenv.kg import Graph, read_questions
from medenv.kg.archive import fingerprint
from medenv.kg.run import SynthesisSettings, synthesize_set
from medenv.kg.sources import open_source
from medenv.records import Question, Record
from medenv.registry import Parts, make_parts
from medenv.rollout import Patience
from medenv.trajectories.card import Told, TrajectoryCard, trajectory_card, write_card
from medenv.trajectories.editing import Editor, edit
from medenv.trajectories.exports import to_dataset, write_chat, write_preferences
from medenv.trajectories.filters import Bench, Limits
from medenv.trajectories.journal import Journal
from medenv.trajectories.leaks import Names, leaks
from medenv.trajectories.making import Plan, Studio, Teaching
from medenv.trajectories.records import Part, Rollout
from medenv.trajectories.selection import Selection
from medenv.trajectories.served import Served, ServedSettings, described
from medenv.trajectories.teachers import Explorer, Hasty, Thinker
from medenv.workspace import WorkspaceSettings, open_workspace

KINDS = ("oracle", "openai")
EXPORTS = ("chat", "datasets", "preferences")


class EnvOptions(Record, frozen=True, kw_only=True):
    """The environment in which is played; see `medenv.registry.EnvSettings`.

    Args:
        env_id: Versioned id.
        dialect: How policies write.
        prompt_style: How much the system message explains.
        retriever: Name of the retriever.
        tools: Tool name to its options.
        budget: What one episode may use up.
        turn_tokens: Most tokens of one turn, for trainers.
    """

    env_id: str = "medenv/Research-v0"
    dialect: str = "hermes"
    prompt_style: PromptStyle = "full"
    retriever: str = "bm25"
    tools: dict[str, dict[str, Any] | None] = msgspec.field(
        default_factory=lambda: {"search": {"k": 5}, "read": {}}
    )
    budget: dict[str, Any] = msgspec.field(default_factory=dict)
    turn_tokens: int = 1024


class TeacherSettings(Record, frozen=True, kw_only=True):
    """Who teaches.

    Args:
        kind: ``"oracle"`` for the scripted teachers, ``"openai"`` for a served model.
        seed: Decides, with an episode's number, what a teacher can decide.
        thoughts: Whether scripted teachers think aloud.
        base_url: Where a model is served, e.g. ``"http://localhost:8000/v1"``.
        model: Its name.
        key_variable: Environment variable that holds the API key.
        timeout: Longest wait for a reply, seconds.
        attempts: Tries of one request.
        backoff: Wait before the second try, seconds; doubled before each further one.
        options: Further fields of every request, e.g. ``{"temperature": 0.6}``.
        tool_role: The role in which observations are sent.
        seeded: Whether requests carry a seed.
    """

    kind: str = "oracle"
    seed: int = 0
    thoughts: bool = True
    base_url: str = ""
    model: str = ""
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    attempts: int = 8
    backoff: float = 0.5
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    tool_role: str = "user"
    seeded: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.kind not in KINDS:
            raise UsageError(f"unknown teacher {self.kind!r} (known: {', '.join(KINDS)})")
        if self.kind == "openai" and not (self.base_url and self.model):
            raise UsageError(
                "teacher=openai needs teacher.base_url=... and teacher.model=..., got "
                f"{self.base_url!r} and {self.model!r}"
            )

    def endpoint(self) -> Endpoint:
        """Return the client of the served model."""
        return Endpoint(
            EndpointSettings(
                url=self.base_url,
                model=self.model,
                key_variable=self.key_variable,
                attempts=self.attempts,
                backoff=self.backoff,
                timeout=self.timeout,
                options=self.options,
            )
        )


class TrajectorySettings(Record, frozen=True, kw_only=True):
    """A set of trajectories.

    Args:
        folder: Where it is written.
        plan: What is played.
        limits: What an episode may be.
        env: The environment.
        teacher: Who teaches.
        questions: A set of proved questions; made where it is missing. Training questions alone
            are played.
        world: A workspace whose training questions are played instead, or None.
        workspaces: Folder of all workspaces.
        rewrite: The model that rewrites thoughts, or None.
        exports: Further forms to write, of `EXPORTS`.
    """

    folder: str
    plan: Plan = Plan()
    limits: Limits = Limits()
    env: EnvOptions = EnvOptions()
    teacher: TeacherSettings = TeacherSettings()
    questions: SynthesisSettings | None = None
    world: WorkspaceSettings | None = None
    workspaces: str = "outputs/workspaces"
    rewrite: EndpointSettings | None = None
    exports: tuple[str, ...] = ("chat", "preferences")

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in self.exports:
            if name not in EXPORTS:
                raise UsageError(f"unknown export {name!r} (known: {', '.join(EXPORTS)})")
        if (self.questions is None) == (self.world is None):
            raise UsageError("name either a set of questions or a world to take them from")


class Stage(NamedTuple):
    """What is played on.

    Attributes:
        graph: The graph.
        parts: The environment with its training questions.
        names: Entity id to all of its names.
    """

    graph: Graph
    parts: Parts
    names: Names


def make_trajectories(
    settings: TrajectorySettings,
    say: Callable[[str], None] = lambda _: None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> TrajectoryCard:
    """Make a set, or go on with it.

    Args:
        settings: What to make, and where.
        say: Told what is being done, in words.
        report: Told the numbers of trajectories accepted and episodes judged.

    Raises:
        UsageError: A setting cannot be, or no episode was accepted.
        DataError: The folder holds another run, or a file is damaged.
        PolicyUnavailableError: The teacher could not be reached; the same call goes on later.
    """
    folder, stage = Path(settings.folder), open_stage(settings, say)
    teachers, identity = _teachers(settings, stage)
    plan, rules = settings.plan, stage.parts.rules
    bench = Bench(settings.limits, stage.names, len(rules.system))
    patience = Patience(attempts=1, timeout=_longest(settings.teacher))
    studio = Studio(stage.parts, stage.parts.questions, teachers, plan, patience)
    selection = Selection(plan.wanted(), bench, plan.per_question)
    run = studio.run_id(identity)
    say("playing")
    with Journal(folder / "rollouts.jsonl", run, Rollout) as journal:
        asyncio.run(studio.fill(selection, journal, report))
    outcomes: Counter[str] = Counter()
    if settings.rewrite is not None:
        say("rewriting thoughts")
        outcomes = asyncio.run(
            edit(
                selection,
                Editor(folder, settings.rewrite, rules.dialect, bench, plan.concurrency),
                run,
                report,
            )
        )
    say(f"writing {folder}")
    told = Told(
        info=stage.graph.info,
        teachers={part: name for part, (name, _) in teachers.items()},
        wanted=plan.n,
        leaks=sum(len(leaks(one.scored.trajectory, stage.names)) for one in selection.accepted),
        prompt_chars=len(rules.system),
        rewritten=dict(outcomes),
    )
    card = trajectory_card(selection, told)
    write_records(folder / "trajectories.jsonl", selection.accepted)
    _export(settings, selection, stage)
    write_card(folder, card, selection.accepted)
    return card


def open_stage(settings: TrajectorySettings, say: Callable[[str], None]) -> Stage:
    """Build what is played on, or find it built.

    Args:
        settings: What to make.
        say: Told what is being done, in words.
    """
    if settings.world is not None:
        workspace = open_workspace(settings.world, Path(settings.workspaces), say)
        graph_path, corpus = workspace.graph, workspace.corpus
        questions: Sequence[Question] = read_questions(workspace.questions("train"))
    else:
        graph_path, corpus, questions = _question_set(settings, say)
    graph = Graph.load(graph_path)
    env = settings.env
    parts = make_parts(
        questions=questions,
        corpus=corpus,
        graph=graph,
        retriever=env.retriever,
        dialect=env.dialect,
        tools={name: options or {} for name, options in env.tools.items()},
        budget={name: value for name, value in env.budget.items() if value is not None},
        prompt_style=env.prompt_style,
        env_id=env.env_id,
        scoring="answer_only",
    )
    nodes = graph.nodes
    names = {
        one: (name, *aliases)
        for one, name, aliases in zip(nodes.ids, nodes.names, nodes.aliases, strict=True)
    }
    return Stage(graph, parts, names)


def _question_set(
    settings: TrajectorySettings, say: Callable[[str], None]
) -> tuple[Path, Path, Sequence[Question]]:
    """Return the graph, the index and the training questions of a set that is made if need be."""
    wanted = settings.questions
    if wanted is None or not wanted.graded:
        raise UsageError("trajectories need a graded set of questions: its index is searched")
    synthesize_set(wanted, say)
    name = fingerprint(open_source(wanted.source, wanted.path, wanted.options))
    folder = Path(wanted.folder)
    questions = read_questions(folder / "train.jsonl")
    return folder / "work" / f"graph-{name}", folder / "work" / f"index-{name}", questions


def _teachers(
    settings: TrajectorySettings, stage: Stage
) -> tuple[Mapping[Part, tuple[str, Teaching]], str]:
    """Return the teacher of each part, and what tells them from others."""
    wanted, dialect = settings.teacher, stage.parts.rules.dialect
    tools, seed = tuple(stage.parts.toolbox.tools), wanted.seed
    if wanted.kind == "openai":
        endpoint = wanted.endpoint()
        served = msgspec.convert(
            {"tool_role": wanted.tool_role, "seeded": wanted.seeded, "seed": seed}, ServedSettings
        )
        guided = Served(endpoint, dialect, guided=True, settings=served)
        free = Served(endpoint, dialect, guided=False, settings=served)
        return (
            {"guided": (wanted.model, guided), "exploration": (wanted.model, free)},
            described(endpoint, served),
        )
    graph, thoughts = stage.graph, wanted.thoughts
    return (
        {
            "guided": ("oracle", Thinker(graph, dialect, tools, seed=seed, thoughts=thoughts)),
            "exploration": (
                "explorer",
                Explorer(graph, dialect, tools, seed=seed + 1, thoughts=thoughts),
            ),
            "foil": ("hasty", Hasty(graph, dialect, tools, seed=seed + 2, thoughts=thoughts)),
        },
        f"seed {seed}, thoughts {thoughts}",
    )


def _longest(teacher: TeacherSettings) -> float:
    """Return how long the driver waits for one text: all tries of a request and the waits."""
    return teacher.attempts * (teacher.timeout + 40.0)


def _export(settings: TrajectorySettings, selection: Selection, stage: Stage) -> None:
    folder, rules = Path(settings.folder), stage.parts.rules
    if "chat" in settings.exports:
        write_chat(folder / "chat.jsonl", selection.accepted, rules)
    if "preferences" in settings.exports:
        write_preferences(folder / "preferences.jsonl", selection.pairs, rules)
    if "datasets" in settings.exports:
        to_dataset(selection.accepted, rules).save_to_disk(str(folder / "dataset"))
