"""Selection of the episodes that a report shows, by a fixed rule."""

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
"""Description of the rule of `choose`, for the reader of a report."""


class Shown(Record, frozen=True, kw_only=True):
    """A question with one episode before and one after training.

    Args:
        question: The question.
        outcome: ``"gained"``, ``"lost"``, ``"right both times"`` or ``"wrong both times"``; or
            ``"right"`` or ``"wrong"`` if only one side exists.
        before: The episode before, or None.
        after: The episode after, or None.
    """

    question: Question
    outcome: str
    before: Scored | None
    after: Scored | None

    @property
    def hops(self) -> int:
        """The number of hops of the gold path, 0 without a certificate."""
        return len(self.question.path)


def choose(before: Sequence[Scored], after: Sequence[Scored], *, count: int = 10) -> list[Shown]:
    """Choose the episodes to show by `RULE`.

    Args:
        before: Episodes before training, greedy ones first.
        after: Episodes after training, greedy ones first.
        count: Number of questions.
    """
    sides = _first(before), _first(after)
    common = sides[0].keys() & sides[1].keys()
    ids = common or sides[0].keys() | sides[1].keys()
    groups: dict[str, list[Shown]] = {name: [] for name in _QUOTAS}
    for shown in sorted(
        (_shown(sides[0].get(name), sides[1].get(name)) for name in ids),
        key=lambda shown: (shown.hops, shown.question.id),
    ):
        groups.setdefault(shown.outcome, []).append(shown)
    chosen: list[Shown] = []
    for outcome, group in groups.items():
        quota = min(_QUOTAS.get(outcome, 5), len(group))
        chosen += [group[i * len(group) // quota] for i in range(quota)]  # evenly spaced
    rest = [shown for group in groups.values() for shown in group if shown not in chosen]
    return (chosen + rest)[:count]


def path_steps(question: Question) -> list[tuple[str, str, str]]:
    """Return the gold path as (head, relation, tail), with the names that the question contains."""
    known = {one.id: one.name for one in question.named}

    def name(entity: str) -> str:
        return f"{known[entity]} ({entity})" if entity in known else entity

    return [(name(h.head), h.relation, name(h.tail)) for h in question.path]


def passages_of(question: Question) -> list[str]:
    """Return the unique ids of the passages that state the gold path."""
    return list(dict.fromkeys(one for hop in question.path for one in hop.passages))


def _first(scored: Sequence[Scored]) -> dict[str, Scored]:
    found: dict[str, Scored] = {}
    for episode in scored:
        if not is_missing(episode):
            found.setdefault(episode.trajectory.question.id, episode)
    return found


def _shown(before: Scored | None, after: Scored | None) -> Shown:
    known = [episode for episode in (before, after) if episode is not None]
    right = tuple(accuracy(episode) == 1 for episode in known)
    outcomes = {
        (False, True): "gained",
        (True, False): "lost",
        (True, True): "right both times",
        (False, False): "wrong both times",
        (True,): "right",
        (False,): "wrong",
    }
    return Shown(
        question=known[0].trajectory.question, outcome=outcomes[right], before=before, after=after
    )
