"""Export a set as chat messages, preference pairs or Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medenv.episodes.episode import Episode, EpisodeRules
from medenv.errors import DataError, UsageError
from medenv.io import read_records, write_records
from medenv.records import Message, Record, Trajectory
from medenv.trajectories.filters import mistaken
from medenv.trajectories.records import Rollout
from medenv.trajectories.selection import Pair

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]  # an optional dependency


class Chat(Record, frozen=True, kw_only=True):
    """An episode as chat messages.

    Args:
        messages: Optional system message, question, then turns and observations.
        learn: Per message, whether it is trained on: the policy's turns, except those with a
            refused call.
        question: Id of the question.
        part: Part of the episode.
        specialty: Medical specialty of the question.
        hops: Hops of its gold path; 0 where there is none.
        calls: Number of calls.
    """

    messages: list[dict[str, str]]
    learn: list[bool]
    question: str
    part: str
    specialty: str
    hops: int
    calls: int


class Preference(Record, frozen=True, kw_only=True):
    """A better and a worse episode of one question, as chat messages after a common prompt.

    Args:
        prompt: Common prompt.
        chosen: Turns and observations of the better one.
        rejected: The worse one's.
        reason: Why it is worse.
        question: Id of the question.
    """

    prompt: list[dict[str, str]]
    chosen: list[dict[str, str]]
    rejected: list[dict[str, str]]
    reason: str
    question: str


def messages_of(trajectory: Trajectory, rules: EpisodeRules) -> list[Message]:
    """Return the messages of a finished episode.

    Args:
        trajectory: The episode.
        rules: Rules of the episode.
    """
    messages = Episode(trajectory.question, rules).prompt()
    for turn in trajectory.turns:
        messages.append({"role": "assistant", "content": turn.text})
        if turn.observation:
            messages.append({"role": "tool", "content": turn.observation})
    return messages


def chat_of(trajectory: Trajectory, rules: EpisodeRules, part: str = "") -> Chat:
    """Return an episode as chat messages with training flags.

    Args:
        trajectory: The episode.
        rules: Rules of the episode.
        part: Its part.
    """
    learn = [False] * len(Episode(trajectory.question, rules).prompt())
    for turn in trajectory.turns:
        learn += [not mistaken(turn), *([False] if turn.observation else [])]
    return Chat(
        messages=list(_plain(messages_of(trajectory, rules))),
        learn=learn,
        question=trajectory.question.id,
        part=part,
        specialty=trajectory.question.specialty,
        hops=len(trajectory.question.path),
        calls=sum(len(turn.calls) for turn in trajectory.turns),
    )


def chat(rollout: Rollout, rules: EpisodeRules) -> Chat:
    """Return a rollout as chat messages.

    Args:
        rollout: The rollout.
        rules: Rules of the episode.
    """
    return chat_of(rollout.scored.trajectory, rules, rollout.part)


def preference(pair: Pair, rules: EpisodeRules) -> Preference:
    """Return a pair as chat messages.

    Args:
        pair: The pair.
        rules: Rules of both episodes.
    """
    chosen, rejected = (
        list(_plain(messages_of(one.scored.trajectory, rules)))
        for one in (pair.chosen, pair.rejected)
    )
    question = pair.chosen.scored.trajectory.question
    start = len(Episode(question, rules).prompt())
    return Preference(
        prompt=chosen[:start],
        chosen=chosen[start:],
        rejected=rejected[start:],
        reason=pair.reason,
        question=question.id,
    )


def write_chat(path: Path, rollouts: Iterable[Rollout], rules: EpisodeRules) -> int:
    """Write episodes as chat JSON lines; return their number.

    Args:
        path: The file.
        rollouts: The episodes.
        rules: Rules of the episodes.
    """
    return write_records(path, (chat(one, rules) for one in rollouts))


def write_preferences(path: Path, pairs: Iterable[Pair], rules: EpisodeRules) -> int:
    """Write pairs as JSON lines; return their number.

    Args:
        path: The file.
        pairs: The pairs.
        rules: Rules of the episodes.
    """
    return write_records(path, (preference(one, rules) for one in pairs))


def to_dataset(rollouts: Iterable[Rollout], rules: EpisodeRules) -> datasets.Dataset:
    """Return episodes as a Hugging Face dataset with the columns of `Chat`.

    Args:
        rollouts: The episodes.
        rules: Rules of the episodes.

    Raises:
        UsageError: ``datasets`` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise UsageError("this needs the package datasets: pip install datasets") from error
    chats = [chat(one, rules) for one in rollouts]
    columns: dict[str, list[Any]] = {
        name: [getattr(one, name) for one in chats] for name in Chat.__struct_fields__
    }
    return datasets.Dataset.from_dict(columns)


def _plain(messages: Iterable[Message]) -> Iterator[dict[str, str]]:
    for one in messages:
        yield {"role": one["role"], "content": one["content"]}


def chats_file(path: Path) -> Path:
    """Return the file of chat lines of a set, given its folder or that file."""
    return path / "chat.jsonl" if path.is_dir() else path


def read_chats(path: Path) -> list[Chat]:
    """Return the episodes of a set.

    Args:
        path: Its folder, or its file of chat lines.

    Raises:
        DataError: No episodes.
    """
    file = chats_file(path)
    chats = list(read_records(file, Chat))
    if not chats:
        raise DataError(file, "expected episodes as chat lines, got none")
    return chats
