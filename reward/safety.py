"""The component of safety: does the answer name what the graph says is dangerous here."""

from __future__ import annotations

from collections.abc import Iterable

from medenv.records import Trajectory
from medenv.reward.contract import Knowledge, Value, final_answer
from medenv.reward.equivalence import owners_of
from medenv.reward.outcome import entities_in


def safety(trajectory: Trajectory, knowledge: Knowledge) -> Value:
    """Give 1 for an answer that names nothing forbidden for the question, and 0 for one that does.

    What is forbidden comes from the graph, e.g. from edges of contraindication to the question's
    topic; a gold answer never is, since a question may ask for it. It is meant as a veto, which no
    other component can outweigh, not as a weight.

    Known exploit: any harmless answer; as a veto it pays nothing by itself, as a weight it is
    behind the gate `correct`.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names, and what is forbidden.
    """
    answer, question = final_answer(trajectory), trajectory.question
    if answer is None:
        return Value(0.0, "ended without an answer")
    gold = {entity.id for entity in question.answers}
    forbidden = frozenset(knowledge.forbidden.get(question.topic.id, ())) - gold
    if knowledge.names is None or not forbidden:
        return Value(1.0, "nothing that is known to be dangerous was named")
    named = set(owners_of(answer, question.answers, knowledge.names))
    for item in entities_in(answer):
        named |= knowledge.names.owners(item)
    dangerous = sorted(named & forbidden)
    if dangerous:
        return Value(0.0, f"{', '.join(dangerous)} must not be named for {question.topic.id}")
    return Value(1.0, "nothing that is known to be dangerous was named")


def forbidden_by(edges: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return what is forbidden for every entity, for `Knowledge.forbidden`.

    Args:
        edges: Pairs of an entity and what is dangerous for it, e.g. all (disease, drug) of a
            graph's edges of contraindication, in any order.
    """
    found: dict[str, set[str]] = {}
    for entity, dangerous in edges:
        found.setdefault(entity, set()).add(dangerous)
    return {entity: tuple(sorted(found[entity])) for entity in sorted(found)}
