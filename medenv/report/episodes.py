"""Which episodes a report shows, by a rule that cannot flatter, and in what words."""

from __future__ import annotations

from collections.abc import Sequence

from medenv.evaluation.measures import accuracy, is_missing
from medenv.records import Question, Record, Scored

_QUOTAS = {"gained": 4, "lost": 2, "right both times": 2, "wrong both times": 2}
RULE = (
    "One episode per question and side: the greedy one where there is one, else the first sample. "
    "Up to four questions gained, two lost, two right and two wrong both times, spread evenly over "
    "the number of hops; what a group lacks is filled from the others in this order."
)
"""The rule of `choose`, in words for the reader."""


class Shown(Record, frozen=True, kw_only=True):
    """A question with the episode before and the one after.

    Args:
        question: The question.
        outcome: ``"gained"``, ``"lost"``, ``"right both times"`` or ``"wrong both times"``; or
            ``"right"`` or ``"wrong"`` where there is one side only.
        before: The episode before, or None.
        after: The episode after, or None.
    """

    question: Question
    outcome: str
    before: Scored | None
    after: Scored | None

    @property
    def hops(self) -> int:
        """Return the number of hops of the gold path, 0 where there is none."""
        return len(self.question.path)


def choose(before: Sequence[Scored], after: Sequence[Scored], *, count: int = 10) -> list[Shown]:
    """Choose the episodes to show, by `RULE`.

    Args:
        before: Episodes before training, greedy ones first.
        after: Episodes after training, greedy ones first.
        count: How many questions.
    """
    sides = _first(before), _first(after)
    common = sides[0].keys() & sides[1].keys()
    ids = common or sides[0].keys() | sides[1].keys()
    groups: dict[str, list[Shown]] = {name: [] for name in _QUOTAS}
    for shown in sorted(
        (_shown(sides[0].get(name), sides[1].get(name)) for name in ids),
        key=lambda one: (one.hops, one.question.id),
    ):
        groups.setdefault(shown.outcome, []).append(shown)
    chosen = [one for name, group in groups.items() for one in _spread(group, _QUOTAS.get(name, 5))]
    rest = [one for group in groups.values() for one in group if one not in chosen]
    return (chosen + rest)[:count]


def path_steps(question: Question) -> list[tuple[str, str, str]]:
    """Return the gold path as (head, relation, tail), by name where the question knows one."""
    known = {one.id: one.name for one in question.named}

    def name(entity: str) -> str:
        return f"{known[entity]} ({entity})" if entity in known else entity

    return [(name(h.head), h.relation, name(h.tail)) for h in question.path]


def passages_of(question: Question) -> list[str]:
    """Return the ids of the passages that state the gold path, each once."""
    return list(dict.fromkeys(one for hop in question.path for one in hop.passages))


def _first(scored: Sequence[Scored]) -> dict[str, Scored]:
    found: dict[str, Scored] = {}
    for one in scored:
        if not is_missing(one):
            found.setdefault(one.trajectory.question.id, one)
    return found


def _shown(before: Scored | None, after: Scored | None) -> Shown:
    known = [one for one in (before, after) if one is not None]
    right = tuple(accuracy(one) == 1 for one in known)
    words = {
        (False, True): "gained",
        (True, False): "lost",
        (True, True): "right both times",
        (False, False): "wrong both times",
        (True,): "right",
        (False,): "wrong",
    }
    return Shown(
        question=known[0].trajectory.question, outcome=words[right], before=before, after=after
    )


def _spread(group: Sequence[Shown], count: int) -> list[Shown]:
    """Return `count` evenly spaced members, or all."""
    if len(group) <= count:
        return list(group)
    return [group[i * len(group) // count] for i in range(count)]
