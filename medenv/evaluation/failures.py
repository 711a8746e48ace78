"""Why an episode failed: one class for each wrong one, from its certificate and without a judge.

A certificate names the passages that state each hop and each clue, so it can be seen in an episode
how far the research came: whether the topic was searched for, which evidence was found, opened and
used, and where the answer lies beside the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from medenv.evaluation.measures import accuracy, is_missing, searched
from medenv.records import Entity, Hop, Scored, Trajectory, Turn
from medenv.text import fold, fold_name, occurs


class FailureClass(StrEnum):
    """Why an episode is not right; the first that applies, in this order."""

    INFRASTRUCTURE = "infrastructure"
    MALFORMED = "malformed"
    RAN_OUT = "ran out"
    STOPPED_ON_THE_WAY = "wrong hop"
    WRONG_OF_SEVERAL = "right hop, wrong entity"
    NOT_USED = "shown but not used"
    TOOL_FAILURE = "tool failure"
    NEVER_SEARCHED = "never searched for the topic"
    NO_EVIDENCE = "claimed without evidence"
    NOT_OPENED = "retrieved but not opened"
    NOT_RETRIEVED = "evidence not retrieved"
    UNKNOWN = "no certificate to tell"


HELP = {
    FailureClass.INFRASTRUCTURE: "run it again: nothing was measured",
    FailureClass.MALFORMED: "training on the format, or another dialect",
    FailureClass.RAN_OUT: "a larger budget, or training to stop",
    FailureClass.STOPPED_ON_THE_WAY: "training on longer chains",
    FailureClass.WRONG_OF_SEVERAL: "training on checking candidates",
    FailureClass.NOT_USED: "training on reading what was found",
    FailureClass.TOOL_FAILURE: "a sounder tool, or training to try again",
    FailureClass.NEVER_SEARCHED: "training to search before answering",
    FailureClass.NO_EVIDENCE: "a reward for evidence, or training to say unknown",
    FailureClass.NOT_OPENED: "training to read, or longer excerpts",
    FailureClass.NOT_RETRIEVED: "a better retriever, or better queries",
    FailureClass.UNKNOWN: "questions with a certificate",
}
"""What would help against each class."""


class Failure(NamedTuple):
    """Why an episode failed.

    Args:
        why: The class.
        turn: 0-based number of the turn that decided, or -1 where none did.
        detail: The budget, the entity or the hop that it is about, in words.
    """

    why: FailureClass
    turn: int = -1
    detail: str = ""


def failure_of(scored: Scored) -> Failure | None:
    """Return why an episode is not right, or None where it is.

    Args:
        scored: A finished episode.
    """
    trajectory = scored.trajectory
    if is_missing(scored):
        return Failure(FailureClass.INFRASTRUCTURE, detail=trajectory.failure)
    if accuracy(scored) >= 1.0:
        return None
    last = len(trajectory.turns) - 1
    if trajectory.ending != "answered":
        problems = trajectory.turns[last].parsed.problems if last >= 0 else ()
        if problems:
            return Failure(FailureClass.MALFORMED, last, problems[0])
        return Failure(FailureClass.RAN_OUT, last, trajectory.ending or "")
    if trajectory.question.certificate is None:
        return Failure(FailureClass.UNKNOWN, last)
    return _beside(trajectory) or _without_evidence(trajectory)


def _beside(trajectory: Trajectory) -> Failure | None:
    """Return the failure of an answer that lies on the path, or beside its end."""
    path, answer, last = (
        trajectory.question.path,
        trajectory.answer or "",
        len(trajectory.turns) - 1,
    )
    topic, shown = trajectory.question.topic, _shown_by_turn(trajectory)
    missing = [hop for hop in path if _first_shown(hop, shown) is None]
    on_the_way = {hop.head for hop in path} | {hop.tail for hop in path[:-1]}
    for turn in trajectory.turns:
        for entity in sorted(on_the_way):
            if _titled(turn, entity) and _is_name(answer, _titled(turn, entity)):
                return Failure(FailureClass.STOPPED_ON_THE_WAY, last, entity)
    if topic is not None and _named(answer, topic):
        return Failure(FailureClass.STOPPED_ON_THE_WAY, last, topic.id)
    if not missing:
        ends = [turn for turn in trajectory.turns if set(path[-1].passages) & _passages(turn)]
        if any(occurs(fold_name(answer), fold(turn.observation)) for turn in ends):
            return Failure(FailureClass.WRONG_OF_SEVERAL, last, path[-1].relation)
        first = _first_shown(path[-1], shown)
        return Failure(FailureClass.NOT_USED, -1 if first is None else first, path[-1].relation)
    return None


def _without_evidence(trajectory: Trajectory) -> Failure:
    """Return the failure of an answer whose evidence was not all shown."""
    question, turns = trajectory.question, trajectory.turns
    shown, last = _shown_by_turn(trajectory), len(turns) - 1
    hop = next(hop for hop in question.path if _first_shown(hop, shown) is None)
    failed = [
        n
        for n, turn in enumerate(turns)
        if any(r.status in ("failed", "unavailable") for r in turn.results)
    ]
    if failed and not _tried_again(turns, failed[-1]):
        return Failure(FailureClass.TOOL_FAILURE, failed[-1], hop.relation)
    if not searched(trajectory):
        return Failure(
            FailureClass.NEVER_SEARCHED, last, question.topic.id if question.topic else ""
        )
    if hop is question.path[0] and question.topic is not None and not _asked(turns, question.topic):
        told = occurs(fold_name(question.topic.name), fold(question.text))
        if told:
            return Failure(FailureClass.NEVER_SEARCHED, 0, question.topic.id)
    answer = fold_name(trajectory.answer or "")
    seen = any(occurs(answer, fold(turn.observation)) for turn in turns) if answer else True
    if not seen and answer != "unknown":
        return Failure(FailureClass.NO_EVIDENCE, last, hop.relation)
    documents = {passage.partition("#")[0] for passage in hop.passages}
    for number, turn in enumerate(turns):
        if documents & {passage.partition("#")[0] for passage in _passages(turn)}:
            return Failure(FailureClass.NOT_OPENED, number, hop.relation)
    return Failure(FailureClass.NOT_RETRIEVED, last, hop.relation)


def _passages(turn: Turn) -> set[str]:
    return {passage for result in turn.results for passage in result.passages}


def _shown_by_turn(trajectory: Trajectory) -> list[set[str]]:
    return [_passages(turn) for turn in trajectory.turns]


def _first_shown(hop: Hop, shown: Sequence[set[str]]) -> int | None:
    """Return the number of the first turn that showed a passage which states a hop."""
    return next((n for n, one in enumerate(shown) if one & set(hop.passages)), None)


def _titled(turn: Turn, entity: str) -> str:
    """Return the title under which a document of an entity stands in an observation, or ``""``."""
    for passage in _passages(turn):
        if passage.partition("#")[0] == entity:
            at = turn.observation.find(f"({passage}) ")
            if at >= 0:
                return turn.observation[at + len(passage) + 3 :].partition(":")[0].strip()
    return ""


def _is_name(answer: str, name: str) -> bool:
    return bool(name) and fold_name(answer) == fold_name(name)


def _named(answer: str, entity: Entity) -> bool:
    return any(_is_name(answer, name) for name in (entity.name, *entity.aliases))


def _asked(turns: Sequence[Turn], topic: Entity) -> bool:
    """Return whether any call has a word of a topic's name that means something."""
    written = fold(" ".join(str(call.arguments) for turn in turns for call in turn.calls))
    return any(occurs(fold_name(name), written) for name in (topic.name, *topic.aliases))


def _tried_again(turns: Sequence[Turn], failed: int) -> bool:
    """Return whether any call after a failed one was answered."""
    later = [result.status for turn in turns[failed + 1 :] for result in turn.results]
    return any(status == "ok" for status in later)
