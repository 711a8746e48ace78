"""Short walks: one or two steps from a named topic, each with exactly one outcome in the graph.

Genes are "associated with" diseases and findings "reported in" them: the sources state no causes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain, zip_longest
from typing import NamedTuple

import numpy as np

from medenv.kg.documents.naming import mentions
from medenv.kg.graph import BoolArray, Graph, IntArray
from medenv.kg.graph.schema import HAS_GENE, HAS_PHENOTYPE
from medenv.kg.graph.traversal import unique_paths
from medenv.kg.questions.drafts import Draft, Rejection, name_problem, shares_name, tells


class WalkKind(NamedTuple):
    """How a kind of walk leads on, and how it is asked.

    Args:
        relations: The relations walked, one fewer than the kinds of nodes in its name.
        wordings: Its questions; that of number n has the template name ``"<kind>/<n>"``.
    """

    relations: tuple[str, ...]
    wordings: tuple[str, str, str, str]


WALKS = {
    "disease>gene": WalkKind(
        (HAS_GENE.name,),
        (
            "Which gene is associated with {topic}?",
            "Name the gene that is associated with {topic}.",
            "A patient has been diagnosed with {topic}. Which gene is associated with this "
            "disease?",
            "One gene is associated with {topic}. Which one is it?",
        ),
    ),
    "gene>disease": WalkKind(
        (HAS_GENE.inverse,),
        (
            "Which disease is associated with the gene {topic}?",
            "Name the disease that the gene {topic} is associated with.",
            "A laboratory reports a variant in the gene {topic}. Which disease is this gene "
            "associated with?",
            "The gene {topic} is associated with one disease. Which one is it?",
        ),
    ),
    "phenotype>disease": WalkKind(
        (HAS_PHENOTYPE.inverse,),
        (
            'In which disease is the finding "{topic}" reported?',
            'Name the disease in which the finding "{topic}" is reported.',
            'A patient shows the finding "{topic}". In which disease is it reported?',
            'The finding "{topic}" is reported in one disease. Which one is it?',
        ),
    ),
    "phenotype>disease>gene": WalkKind(
        (HAS_PHENOTYPE.inverse, HAS_GENE.name),
        (
            'Which gene is associated with the disease in which the finding "{topic}" is reported?',
            'The finding "{topic}" is reported in one disease. Which gene is associated with that '
            "disease?",
            'A patient shows the finding "{topic}", which is reported in a single disease. Name '
            "the gene that is associated with that disease.",
            'Name the gene associated with the one disease that has "{topic}" among its reported '
            "findings.",
        ),
    ),
}
"""The kinds of walks by the kinds of nodes on the way."""


class Walk(NamedTuple):
    """A walk that makes a fair question.

    Args:
        kind: Its kind, of `WALKS`.
        path: The nodes from the topic to the answer.
    """

    kind: str
    path: tuple[int, ...]


class WalkPlan(NamedTuple):
    """The walks of a split.

    Args:
        walks: In the order in which they are asked.
        rejected: Number of topics that are not asked about, by reason.
    """

    walks: tuple[Walk, ...]
    rejected: Counter[Rejection]


def walk_paths(graph: Graph, kind: str) -> IntArray:
    """Return the paths of all walks of a kind that have one outcome at every step.

    Args:
        graph: The graph.
        kind: The kind, of `WALKS`.

    Returns:
        Node numbers, int32, shape [paths, hops + 1], ascending by topic.
    """
    return unique_paths(graph, kind.split(">")[0], WALKS[kind].relations)


def plan_walks(
    graph: Graph,
    kinds: Mapping[str, int],
    own: BoolArray,
    seed: tuple[int, int],
    max_name_chars: int,
    max_per_answer: int,
) -> WalkPlan:
    """Return all fair walks within a split: the kinds in turns, each in a drawn order.

    Args:
        graph: The graph.
        kinds: Kinds, of `WALKS`, to the number of their walks in each turn.
        own: Whether each node is of the split, bool, shape [nodes].
        seed: Seed of the set, and the number of the split.
        max_name_chars: Longest name of a topic or answer.
        max_per_answer: Most walks of one kind to the same answer.
    """
    rejected: Counter[Rejection] = Counter()
    pools: list[list[list[Walk]]] = []
    for number, (kind, per_turn) in enumerate(kinds.items(), start=1):
        paths = walk_paths(graph, kind)
        topics = kind.split(">")[0]
        mine = paths[own[paths[:, 0]]]
        of_kind = graph.of_kind(topics) if topics in graph.kinds else paths[:0, 0]
        rejected[Rejection.AMBIGUOUS_WALK] += int(own[of_kind].sum()) - len(mine)
        fair = []
        for path in map(tuple, mine.tolist()):
            problem = _problem(graph, Walk(kind, path), own, max_name_chars)
            if problem is None:
                fair.append(path)
            else:
                rejected[problem] += 1
        pool = []
        asked: Counter[int] = Counter()
        for place in np.random.default_rng([*seed, number]).permutation(len(fair)):
            answer = fair[place][-1]
            asked[answer] += 1
            if asked[answer] <= max_per_answer:
                pool.append(Walk(kind, fair[place]))
        rejected[Rejection.ANSWER_REPEATED] += len(fair) - len(pool)
        pools.append([pool[i : i + per_turn] for i in range(0, len(pool), per_turn)])
    turns = chain.from_iterable(zip_longest(*pools, fillvalue=()))
    return WalkPlan(tuple(chain.from_iterable(turns)), +rejected)


def _problem(graph: Graph, walk: Walk, own: BoolArray, max_name_chars: int) -> Rejection | None:
    """Return why a walk makes no fair question, or None."""
    topic, *others = walk.path
    answer = others[-1]
    if not own[list(walk.path)].all():
        return Rejection.OTHER_SPLIT
    for node in (topic, answer):
        if problem := name_problem(graph, node, max_name_chars):
            return problem
    relations, wordings = WALKS[walk.kind]
    gold = relations if len(relations) == 1 else ()
    names = [name for node in others for name in graph.names_of(node)]
    if any(shares_name(graph, node) for node in others):
        return Rejection.SHARED_NAME
    if any(mentions(_worded(graph, topic, wording), names) for wording in wordings):
        return Rejection.NAMED_STEP
    if any(graph.has_edge(topic, name, answer) for name in graph.rows if name not in gold):
        return Rejection.SHORTCUT
    return Rejection.TELLING_NAME if tells(graph, topic, answer) else None


def _worded(graph: Graph, topic: int, wording: str) -> str:
    return wording.replace("{topic}", graph.nodes.names[topic])


def draft_walk(graph: Graph, walk: Walk, voice: int) -> Draft:
    """Ask for the end of a walk.

    Args:
        graph: The graph.
        walk: The walk.
        voice: Number of the wording.
    """
    relations, wordings = WALKS[walk.kind]
    topic = walk.path[0]
    query = ["walk", graph.nodes.ids[topic], list(relations)]
    text = _worded(graph, topic, wordings[voice])
    return Draft(query, text, f"{walk.kind}/{voice}")
