"""Make a trajectory set on disk from settings, as ``recipes/trajectories.py`` does.

The folder holds

    rollouts.jsonl        the journal: every episode played
    trajectories.jsonl    the set, one `Rollout` a line
    settings.json         the settings
    environment.json      the environment, for evaluations and trainers
    preferences.jsonl     better and worse episodes of one question
    chat.jsonl            the set as chat messages
    card.json, README.md and figures
    rewritings.jsonl      journal of rewritten thoughts, if any

The same call resumes an interrupted one; a larger n extends the set.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import NamedTuple

from medenv.build.environment import Parts
from medenv.build.prepare import ENVIRONMENT, Steps, open_environment, prepare, write_environment
from medenv.errors import NoCertificateError, UsageError
from medenv.io import FolderLock, Journal, RetryPolicy, atomic_folder, write_records
from medenv.kg import Graph
from medenv.llm.endpoint import Endpoint
from medenv.rollouts.driver import RolloutRetryPolicy
from medenv.trajectories.card import Provenance, TrajectoryCard, trajectory_card, write_card
from medenv.trajectories.collector import AnyTeacher, RolloutCollector
from medenv.trajectories.editing import Editor, edit
from medenv.trajectories.exports import to_dataset, write_chat, write_preferences
from medenv.trajectories.filters import FilterContext
from medenv.trajectories.leaks import Names, leaks
from medenv.trajectories.records import Part, Rollout
from medenv.trajectories.selection import Selection
from medenv.trajectories.served import ServedSettings, ServedTeacher, teacher_key
from medenv.trajectories.settings import TeacherSettings, TrajectorySettings
from medenv.trajectories.teachers import Explorer, Hasty, Thinker

QUESTIONS_PER_TRAJECTORY = 1.9
"""Training questions made per requested trajectory; filters reject some episodes."""


class Stage(NamedTuple):
    """Environment of a set.

    Attributes:
        graph: The graph.
        parts: The environment with its training questions.
        names: Entity id to all its names.
    """

    graph: Graph
    parts: Parts
    names: Names


def make_trajectories(
    settings: TrajectorySettings,
    say: Callable[[str], None] = lambda _: None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> TrajectoryCard:
    """Make a set, or resume it.

    Args:
        settings: Settings and folder.
        say: Receives a text for each step.
        report: Receives the numbers of accepted and judged episodes.

    Raises:
        UsageError: A setting is invalid, or no episode passed.
        NoCertificateError: A scripted teacher got your own questions.
        FolderInUseError: Another process uses the folder.
        DataError: The folder holds another run, or a file is damaged.
        PolicyUnavailableError: The teacher is unreachable; the call is resumable.
    """
    with FolderLock(settings.target):
        return _make(settings, say, report)


def _make(
    settings: TrajectorySettings, say: Callable[[str], None], report: Callable[[int, int], None]
) -> TrajectoryCard:
    folder, stage = settings.target, open_stage(settings, say)
    teachers, identity = _teachers(settings, stage)
    plan, rules = settings.played, stage.parts.rules
    context = FilterContext(settings.limits, stage.names, len(rules.system))
    retry = RolloutRetryPolicy(attempts=1, timeout=_longest(settings.teacher))
    collector = RolloutCollector(stage.parts, stage.parts.questions, teachers, plan, retry)
    selection = Selection(plan.wanted(), context, plan.per_question)
    run = collector.identity(identity)
    say("playing")
    path = folder / "rollouts.jsonl"
    with Journal(path, run, Rollout, key=attrgetter("key")) as journal:
        collector.check(journal)
        asyncio.run(_filled(collector, selection, journal, report))
    outcomes: Counter[str] = Counter()
    if settings.rewrite is not None:
        say("rewriting thoughts")
        outcomes = asyncio.run(
            edit(
                selection,
                Editor(folder, settings.rewrite, rules.dialect, context, plan.concurrency),
                run,
                report,
            )
        )
    say(f"writing {folder}")
    provenance = Provenance(
        info=stage.graph.info,
        teachers={part: name for part, (name, _) in teachers.items()},
        wanted=plan.n,
        leaks=sum(len(leaks(one.scored.trajectory, stage.names)) for one in selection.accepted),
        prompt_chars=len(rules.system),
        rewritten=dict(outcomes),
    )
    card = trajectory_card(selection, provenance)
    _write(settings, selection, stage)
    write_card(folder, card, selection.accepted)
    return card


async def _filled(
    collector: RolloutCollector,
    selection: Selection,
    journal: Journal[Rollout],
    report: Callable[[int, int], None],
) -> None:
    """Play, then close the teachers' connections, if any."""
    try:
        await collector.fill(selection, journal, report)
    finally:
        for _, teacher in collector.teachers.values():
            if isinstance(teacher, ServedTeacher):
                await teacher.aclose()


def open_stage(settings: TrajectorySettings, say: Callable[[str], object]) -> Stage:
    """Make or reuse the environment, and write it to the set's folder.

    Args:
        settings: Settings.
        say: Receives a description of each step.

    Raises:
        UsageError: The questions lack a graph, needed by teachers, or a corpus.
    """
    asked = settings.questions
    made = asked.path is None and asked.n is None and settings.environment is None
    n = round(QUESTIONS_PER_TRAJECTORY * settings.played.n) if made else None
    prepared = prepare(settings, Steps(say), n=n)
    spec = prepared.spec
    if spec.graph is None or spec.corpus is None:
        raise UsageError(
            f"teachers follow a graph and read a corpus, and {spec.questions} has none: set "
            "graph=... and corpus=..., or take questions that were made from a graph"
        )
    write_environment(settings.target / ENVIRONMENT, spec)
    graph = Graph.load(spec.graph)
    parts = open_environment(spec, prepared.for_training()).parts
    nodes = graph.nodes
    names = {
        one: (name, *aliases)
        for one, name, aliases in zip(nodes.ids, nodes.names, nodes.aliases, strict=True)
    }
    return Stage(graph, parts, names)


def _teachers(
    settings: TrajectorySettings, stage: Stage
) -> tuple[Mapping[Part, tuple[str, AnyTeacher]], str]:
    """Return the teacher of each part, and the teachers' key."""
    wanted, dialect = settings.teacher, stage.parts.rules.dialect
    tools, seed = tuple(stage.parts.toolbox.tools), wanted.seed
    if wanted.endpoint is not None:
        endpoint, model = Endpoint(wanted.endpoint), wanted.endpoint.model
        served = ServedSettings(tool_role=wanted.tool_role, seeded=wanted.seeded, seed=seed)
        guided = ServedTeacher(endpoint, dialect, guided=True, settings=served)
        free = ServedTeacher(endpoint, dialect, guided=False, settings=served)
        return (
            {"guided": (model, guided), "exploration": (model, free)},
            teacher_key(endpoint, served),
        )
    for question in stage.parts.questions:
        if question.certificate is None:
            raise NoCertificateError(question.id, "a scripted teacher")
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
    """Return the driver's timeout for one text: all tries and waits of a request."""
    retry = teacher.endpoint or RetryPolicy()
    return retry.attempts * (retry.timeout + retry.longest_wait + 10.0)


def _write(settings: TrajectorySettings, selection: Selection, stage: Stage) -> None:
    """Write the set, its settings and the other exports."""
    folder, rules = settings.target, stage.parts.rules
    write_records(folder / "trajectories.jsonl", selection.accepted)
    write_records(folder / "settings.json", [settings])
    if "chat" in settings.exports:
        write_chat(folder / "chat.jsonl", selection.accepted, rules)
    if "preferences" in settings.exports:
        write_preferences(folder / "preferences.jsonl", selection.pairs, rules)
    if "datasets" in settings.exports:
        with atomic_folder(folder / "dataset", existing="replace") as built:
            to_dataset(selection.accepted, rules).save_to_disk(str(built))
