"""From settings to a finished set on disk: what ``recipes/trajectories.py`` does, as a function.

The folder holds

    rollouts.jsonl        the journal: every episode that was played
    trajectories.jsonl    the set, one `Rollout` a line
    settings.json         what it was made with
    environment.json      the environment it was played in, which evaluations and trainers open
    preferences.jsonl     better and worse episodes of one question
    chat.jsonl            the set as chat messages
    card.json, README.md and figures
    rewritings.jsonl      where thoughts were rewritten: their journal

The same call goes on where an earlier one ended, however that was; a larger n extends the set.
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

QUESTIONS_PER_TRAJECTORY = 1.45
"""Training questions that are made for each trajectory wanted; filters leave some episodes out."""


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
        say: Receives what is being done, in words.
        report: Receives the numbers of trajectories accepted and episodes judged.

    Raises:
        UsageError: A setting cannot be, or no episode was accepted.
        NoCertificateError: A scripted teacher is given questions of one's own.
        FolderInUseError: Another process makes a set in the folder.
        DataError: The folder holds another run, or a file is damaged.
        PolicyUnavailableError: The teacher could not be reached; the same call goes on later.
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
    """Play, and close the connections of teachers that have any."""
    try:
        await collector.fill(selection, journal, report)
    finally:
        for _, teacher in collector.teachers.values():
            if isinstance(teacher, ServedTeacher):
                await teacher.aclose()


def open_stage(settings: TrajectorySettings, say: Callable[[str], object]) -> Stage:
    """Make what is played on, or find it made; the environment is written into the set's folder.

    Args:
        settings: What to make.
        say: Receives a description of each step.

    Raises:
        UsageError: The questions have no graph, which teachers follow, or no corpus.
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
    parts = open_environment(spec, prepared.asked("train")).parts
    nodes = graph.nodes
    names = {
        one: (name, *aliases)
        for one, name, aliases in zip(nodes.ids, nodes.names, nodes.aliases, strict=True)
    }
    return Stage(graph, parts, names)


def _teachers(
    settings: TrajectorySettings, stage: Stage
) -> tuple[Mapping[Part, tuple[str, AnyTeacher]], str]:
    """Return the teacher of each part, and what tells them from others."""
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
    """Return how long the driver waits for one text: all tries of a request and the waits."""
    retry = teacher.endpoint or RetryPolicy()
    return retry.attempts * (retry.timeout + retry.longest_wait + 10.0)


def _write(settings: TrajectorySettings, selection: Selection, stage: Stage) -> None:
    """Write the set, what it was made with, and the further forms."""
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
