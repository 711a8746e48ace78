"""Episodes in forms that other tools read: ATIF, chats of OpenAI's API, a table.

ATIF is the Agent Trajectory Interchange Format, version 1.4 (RFC 0001 of the Harbor project): one
JSON object an episode, with the policy's text, calls and what came back as steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

import medenv
from medenv.build.prepare import ENVIRONMENT, open_environment, prepare
from medenv.build.settings import RunSettings
from medenv.episodes.episode import Episode, EpisodeRules
from medenv.errors import DataError, UnknownNameError, require
from medenv.io import atomic_path, read_records, write_text
from medenv.records import Scored, Trajectory, Turn
from medenv.trajectories.records import Rollout

ATIF = "ATIF-v1.4"
SETTINGS = ("identity.json", "settings.json")
"""Files in which folders of episodes keep what they were made with."""


class Played(NamedTuple):
    """An episode of a folder.

    Attributes:
        part: Name of what it is part of, such as ``"sampled"``.
        scored: The episode with its score.
    """

    part: str
    scored: Scored


class Source(NamedTuple):
    """The episodes of a folder, and what is known of them.

    Attributes:
        episodes: The episodes.
        rules: The rules by which they were played.
        about: Version of the code, settings with their seeds, and the environment's hash.
    """

    episodes: Sequence[Played]
    rules: EpisodeRules
    about: Mapping[str, Any]


def read_source(folder: Path) -> Source:
    """Read an evaluation, a set of trajectories, or the rollouts of a training.

    Args:
        folder: The folder of one, with its `environment.json`.

    Raises:
        DataError: It is none of them, or a file is damaged.
    """
    environment = folder / ENVIRONMENT
    if not environment.exists():
        raise DataError(folder, f"expected a folder of episodes with its {ENVIRONMENT}")
    episodes: list[Played] = []
    for name in ("sampled", "greedy"):
        file = folder / f"{name}.jsonl"
        if file.exists():
            episodes += [Played(name, one) for one in read_records(file, Scored)]
    if (folder / "trajectories.jsonl").exists():
        made = read_records(folder / "trajectories.jsonl", Rollout)
        episodes += [Played(one.part, one.scored) for one in made]
    for file in sorted((folder / "rollouts").glob("*/*.jsonl")):
        name = f"{file.parent.name}/{file.stem}"
        episodes += [Played(name, one) for one in read_records(file, Scored)]
    if not episodes:
        raise DataError(folder, "holds no finished episodes")
    spec = prepare(RunSettings(environment=str(environment))).spec
    rules = open_environment(spec).parts.rules
    about = {"medenv": medenv.__version__, "environment": rules.config_hash}
    for name in SETTINGS:
        if (folder / name).exists():
            made_with = json.loads((folder / name).read_text("utf-8"))
            about["settings"] = made_with.get("settings", made_with)
    return Source(episodes, rules, about)


def export(source: Source, target: Path, form: str) -> int:
    """Write episodes in another form; return their number.

    Args:
        source: The episodes.
        target: The file.
        form: A name of `FORMS`.

    Raises:
        UnknownNameError: There is no such form.
        MissingExtraError: It needs a package that is not installed.
    """
    if form not in FORMS:
        raise UnknownNameError("form of episodes", form, FORMS)
    FORMS[form](source, target)
    return len(source.episodes)


def atif(played: Played, source: Source) -> dict[str, Any]:
    """Return an episode as an ATIF trajectory.

    Args:
        played: The episode.
        source: Where it is from.
    """
    part, scored = played
    trajectory = scored.trajectory
    steps: list[dict[str, Any]] = [
        {"source": "system" if one["role"] == "system" else "user", "message": one["content"]}
        for one in Episode(trajectory.question, source.rules).prompt()
    ]
    steps += [_step(turn) for turn in trajectory.turns]
    tokens = sum(turn.tokens for turn in trajectory.turns)
    return {
        "schema_version": ATIF,
        "session_id": _session(played),
        "agent": {"name": "medenv", "version": medenv.__version__, "extra": {"part": part}},
        "steps": [{"step_id": number, **step} for number, step in enumerate(steps, start=1)],
        "final_metrics": {
            "total_steps": len(steps),
            **({"total_completion_tokens": tokens} if tokens else {}),
            "extra": {"reward": scored.score.total, "parts": _parts(scored)},
        },
        "extra": {**source.about, **_outcome(trajectory), "seed": trajectory.seed},
    }


def _step(turn: Turn) -> dict[str, Any]:
    calls = [
        {"tool_call_id": call.id, "function_name": call.name, "arguments": call.arguments}
        for call in turn.calls
    ]
    results = [{"source_call_id": one.call_id, "content": one.text} for one in turn.results]
    shown = results or ([{"content": turn.observation}] if turn.observation else [])
    return {
        "source": "agent",
        "message": turn.text,
        **({"reasoning_content": turn.parsed.thought} if turn.parsed.thought else {}),
        **({"tool_calls": calls} if calls else {}),
        **({"observation": {"results": shown}} if shown else {}),
        **({"metrics": {"completion_tokens": turn.tokens}} if turn.tokens else {}),
        **({"extra": {"problems": list(turn.parsed.problems)}} if turn.parsed.problems else {}),
    }


def chat(played: Played, source: Source) -> dict[str, Any]:
    """Return an episode as messages and tools of OpenAI's chat completions.

    Args:
        played: The episode.
        source: Where it is from.
    """
    scored, rules = played.scored, source.rules
    trajectory = scored.trajectory
    messages: list[dict[str, Any]] = [*map(dict, Episode(trajectory.question, rules).prompt())]
    for turn in trajectory.turns:
        messages += _messages(turn)
    return {
        "messages": messages,
        "tools": [
            {"type": "function", "function": msgspec.to_builtins(tool)} for tool in rules.tools
        ],
        "metadata": {
            **source.about,
            **_outcome(trajectory),
            "session": _session(played),
            "seed": trajectory.seed,
            "reward": scored.score.total,
            "parts": _parts(scored),
        },
    }


def _messages(turn: Turn) -> list[dict[str, Any]]:
    if not turn.calls:
        shown = [{"role": "user", "content": turn.observation}] if turn.observation else []
        return [{"role": "assistant", "content": turn.text}, *shown]
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for call in turn.calls
    ]
    return [
        {"role": "assistant", "content": turn.parsed.thought or None, "tool_calls": calls},
        *(
            {"role": "tool", "tool_call_id": one.call_id, "content": one.text}
            for one in turn.results
        ),
    ]


def row(played: Played) -> dict[str, Any]:
    """Return an episode as a row of plain columns; what is nested is JSON.

    Args:
        played: The episode.
    """
    part, scored = played
    trajectory, question = scored.trajectory, scored.trajectory.question
    accuracy = scored.score.parts.get("accuracy")
    return {
        "part": part,
        "question": question.id,
        "sample": scored.sample,
        "step": scored.step,
        "seed": trajectory.seed,
        "asks": question.text,
        "kind": question.kind,
        "hops": len(question.path),
        "level": question.level,
        "world": question.world or "true",
        "gold": [answer.name for answer in question.answers],
        "answer": trajectory.answer,
        "right": None if accuracy is None else accuracy.raw >= 1.0,
        "reward": scored.score.total,
        "ending": None if trajectory.ending is None else str(trajectory.ending),
        "turns": len(trajectory.turns),
        "calls": sum(len(turn.calls) for turn in trajectory.turns),
        "tokens": sum(turn.tokens for turn in trajectory.turns),
        "parts": json.dumps(_parts(scored)),
        "trajectory": msgspec.json.encode(trajectory).decode(),
    }


def _session(played: Played) -> str:
    part, scored = played
    return f"{part}/{scored.trajectory.question.id}/{scored.sample}"


def _parts(scored: Scored) -> dict[str, float]:
    return {name: part.weighted for name, part in scored.score.parts.items()}


def _outcome(trajectory: Trajectory) -> dict[str, Any]:
    return {
        "question": trajectory.question.id,
        "answer": trajectory.answer,
        "gold": [one.name for one in trajectory.question.answers],
        "ending": None if trajectory.ending is None else str(trajectory.ending),
    }


_Form = Callable[[Played, Source], dict[str, Any]]


def _lines(form: _Form) -> Callable[[Source, Path], None]:
    def write(source: Source, target: Path) -> None:
        made: Iterable[bytes] = (
            msgspec.json.encode(form(played, source)) for played in source.episodes
        )
        write_text(target, "".join(f"{line.decode()}\n" for line in made))

    return write


def _parquet(source: Source, target: Path) -> None:
    require("pyarrow", "verl", "tables of episodes")
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([row(played) for played in source.episodes])
    about = {"medenv": json.dumps(dict(source.about))}
    with atomic_path(target) as partial:
        pq.write_table(table.replace_schema_metadata(about), partial)


FORMS: Mapping[str, Callable[[Source, Path], None]] = MappingProxyType(
    {"atif": _lines(atif), "openai": _lines(chat), "parquet": _parquet}
)
"""The forms by name: two of JSON lines, and a table."""
