"""Questions over the longest chain around a rare entity.

The chain is cut to a length that can be asked for, begins or ends at the rare entity, and every
step of it is singled out: clues are added until one candidate is left, else the chain is cut there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from medenv.kg.certificates.conditions import Clue
from medenv.kg.certificates.queries import candidates
from medenv.kg.documents.naming import called, mentions, noun
from medenv.kg.graph import Graph
from medenv.kg.graph.sampling import STRATEGIES, sampled_part
from medenv.kg.graph.topology import Chain, Subgraph, Topology, longest_chain
from medenv.kg.questions import phrases
from medenv.kg.questions.asked import repeats
from medenv.kg.questions.clues import Choice, describe, names_entity, single_out
from medenv.kg.questions.drafts import Draft, Rejected, Rejection, SampleSpec
from medenv.records import Record


class ChainConfig(Record, frozen=True, kw_only=True):
    """How chains are found and cut.

    Args:
        min_hops: Fewest hops of a question.
        max_hops: Most hops.
        radius: How far around the rare entity the chain may lead, hops.
        fan: Neighbours followed from each node, the rarest first.
        max_nodes: Most nodes of the part of the graph that is searched.
        budget: Most steps of the search.
        max_clues: Most clues on one step.
        every_hop: Whether to leave out chains of which a suffix alone fixes the answer; a small
            graph holds few others.
        coherent: Whether a finding leads from one disease only to another of the same field.
        avoid: Kinds of entities that no chain passes; variants would be most of every chain.
    """

    min_hops: int = 3
    max_hops: int = 8
    radius: int = 4
    fan: int = 12
    max_nodes: int = 200
    budget: int = 50_000
    max_clues: int = 3
    every_hop: bool = False
    coherent: bool = False
    avoid: tuple[str, ...] = ("variant",)


class Sampling(NamedTuple):
    """Which part around a rare entity is searched for its longest chain.

    Args:
        strategy: ``"region"`` for all of it, or one of `medenv.kg.graph.sampling.STRATEGIES`.
        nodes: Most nodes of a sample.
    """

    strategy: str
    nodes: int = 0


REGION = Sampling("region")
"""All of what `ChainConfig` allows."""

SAMPLINGS = (REGION.strategy, *STRATEGIES)
"""All strategies by name."""


class _Step(NamedTuple):
    relation: str
    node: int
    clues: tuple[Clue, ...]


def draft_chain(
    topology: Topology, order: SampleSpec, config: ChainConfig, sampling: Sampling = REGION
) -> Draft:
    """Return a question over a chain around the order's rare entity.

    Args:
        topology: Where chains may lead; uniqueness is checked in all of its graph.
        order: What is asked for.
        config: How chains are cut.
        sampling: Which part around the rare entity is searched.

    Raises:
        Rejected: There is no chain, or no part of it is long enough and singled out.
    """
    if sampling.strategy == REGION.strategy:
        chain = _chain_around(topology, order.seed, config)
        if order.rounds >= OTHER_CHAINS:
            part = _around(topology, order.seed, config).shuffled(order.rng)
            chain = longest_chain(part, _SHORT_SEARCH)
    else:
        around = _around(topology, order.seed, config)
        part = sampled_part(topology, around, sampling.strategy, sampling.nodes, order.rng)
        chain = longest_chain(part, config.budget)
    if chain.hops < config.min_hops:
        raise Rejected(Rejection.SHORT_CHAIN)
    longest = min(chain.hops, config.max_hops)
    hops = int(order.rng.integers(config.min_hops, longest + 1))
    outward = list(chain.nodes[: hops + 1])
    drafts = []
    for inward in (True, False) if order.rng.random() < 0.5 else (False, True):
        path = outward[::-1] if inward else outward
        path, steps = _cut(topology, path, inward, config, order)
        if len(steps) >= config.min_hops:
            drafts.append(_worded(topology.graph, path[0], steps, "rare_chains", order))
            if drafts[0].level == order.level:
                return drafts[0]
    if not drafts:
        raise Rejected(Rejection.AMBIGUOUS_STEP)
    return max(drafts, key=lambda draft: draft.level)


OTHER_CHAINS = 6
"""How often the longest chain around each rare entity is cut, on average; from then on another long
one is, since few of the questions over the same chain are new."""

_SHORT_SEARCH = 500
"""Steps of the search for those."""


@lru_cache(maxsize=20_000)
def _chain_around(topology: Topology, seed: int, config: ChainConfig) -> Chain:
    """Return the longest chain from a rare entity; large sets come back to each several times."""
    return longest_chain(_around(topology, seed, config), config.budget)


@lru_cache(maxsize=5_000)
def _around(topology: Topology, seed: int, config: ChainConfig) -> Subgraph:
    return topology.around(seed, hops=config.radius, max_nodes=config.max_nodes, fan=config.fan)


def _cut(
    topology: Topology,
    path: list[int],
    inward: bool,
    config: ChainConfig,
    order: SampleSpec,
) -> tuple[list[int], list[_Step]]:
    """Return a part of a path whose every step is singled out, the rare entity at one end."""
    steps = _single_out(topology, path, config, order)
    while inward and len(steps) < len(path) - 1 > config.min_hops:
        path = path[len(steps) + 1 :]  # the rare entity is the last: begin behind the gap
        steps = _single_out(topology, path, config, order)
    return path, steps if not inward or len(steps) == len(path) - 1 else []


NAMED = {3: 1, 4: 0}
"""Obfuscation level to the most entities that a whole question may name."""

_ANY = 9


def _single_out(
    topology: Topology, path: Sequence[int], config: ChainConfig, order: SampleSpec
) -> list[_Step]:
    """Return the steps of a path from its beginning, as far as each can be singled out."""
    graph = topology.graph
    steps: list[_Step] = []
    left = NAMED.get(order.level, _ANY)
    for place, node in enumerate(path[1:], start=1):
        between = topology.relations_between(path[place - 1], node)
        if not between or repeats(graph, path[: place + 1]) or _drifts(graph, path, place, order):
            break
        found = candidates(graph, path[:place], between[0])
        choice = Choice(
            avoid=frozenset(path),
            most=config.max_clues,
            named=left,
            max_name_chars=order.max_name_chars,
        )
        clues = single_out(graph, found, node, choice, order.rng)
        if clues is None or node not in found:
            break
        left -= _named(graph, clues)
        steps.append(_Step(between[0], node, tuple(clues)))
    return steps


def _drifts(graph: Graph, path: Sequence[int], place: int, order: SampleSpec) -> bool:
    """Whether a step leads over a finding from a disease to one of another medical field."""
    if order.fields is None or place < 2:
        return False
    first, link, second = path[place - 2 : place + 1]
    kinds = (graph.kind(first), graph.kind(link), graph.kind(second))
    if kinds != ("disease", "phenotype", "disease"):
        return False
    return bool(order.fields[first] != order.fields[second])


def _named(graph: Graph, clues: Iterable[Clue]) -> int:
    """Return how many entities some clues name."""
    return sum(names_entity(graph, clue.relation, clue.entity) for clue in clues)


def draft_path(
    topology: Topology, path: Sequence[int], template: str, order: SampleSpec, config: ChainConfig
) -> Draft:
    """Return a question over all of a path.

    Args:
        topology: Whose relations join its entities; uniqueness is checked in all of its graph.
        path: The nodes.
        template: Name of the kind of question.
        order: What is asked for.
        config: How steps are singled out.

    Raises:
        Rejected: A step is not singled out.
    """
    steps = _single_out(topology, path, config, order)
    if len(steps) < len(path) - 1:
        raise Rejected(Rejection.AMBIGUOUS_STEP)
    return _worded(topology.graph, path[0], steps, template, order)


def _worded(
    graph: Graph, topic: int, steps: list[_Step], template: str, order: SampleSpec
) -> Draft:
    level, (root, opening, reference) = introduce(graph, topic, steps, order)
    sentences = [opening] if opening else []
    met = {graph.kind(topic)}
    for relation, node, clues in steps:
        kind = graph.kind(node)
        said = phrases.predicates(graph, clues, graph.inverses[relation]) if clues else ""
        hop = (relation, node, kind in met)
        sentences.append(phrases.step(graph, order.voice, reference, hop, said))
        reference = f"that {noun(kind)}"
        met.add(kind)
    kinds = [graph.kind(node) for node in (topic, *(step.node for step in steps))]
    if repeated := [kind for kind in dict.fromkeys(kinds) if kinds.count(kind) > 1]:
        sentences.append(phrases.distinct(order.voice, repeated))
    spoken = [step.relation for step in steps]
    sentences.append(phrases.closing(graph, order.voice, steps[-1].node, spoken))
    written = [[step.relation, [clue.written(graph) for clue in step.clues]] for step in steps]
    return Draft(["chain", root, written], " ".join(sentences), f"{template}/{order.voice}", level)


_Introduction = tuple[Any, str, str]
"""A topic as a query's root, the sentence that introduces it, and how it is called from then on."""


def introduce(
    graph: Graph, topic: int, steps: Sequence[_Step], order: SampleSpec
) -> tuple[int, _Introduction]:
    """Return the highest level at most the order's at which a topic can be given, and how.

    Args:
        graph: The graph.
        topic: The node.
        steps: The steps from there, whose entities are not named.
        order: Its level tells how far the topic is to be obfuscated.
    """
    named = sum(_named(graph, step.clues) for step in steps)
    for level in range(order.level, 0, -1):
        left = NAMED.get(level, _ANY) - named
        given = None
        if level == 1:
            given = _described(graph, topic, order)
        elif left >= 0:
            given = _by_clues(graph, topic, level, left, steps, order)
        if given is not None:
            return level, given
    return 0, (graph.nodes.ids[topic], "", called(graph, topic))


def _described(graph: Graph, topic: int, order: SampleSpec) -> _Introduction | None:
    kind = graph.kind(topic)
    text = graph.nodes.texts[topic].strip().replace('"', "'")
    named = mentions(text, graph.names_of(topic))
    if " " not in text or named or len(text) > _LONGEST_DEFINITION:
        return None
    root = ["described", graph.nodes.ids[topic]]
    return root, phrases.described(order.voice, kind, text), f"that {noun(kind)}"


def _by_clues(
    graph: Graph, topic: int, level: int, left: int, steps: Sequence[_Step], order: SampleSpec
) -> _Introduction | None:
    kind = graph.kind(topic)
    choice = Choice(
        avoid=frozenset([topic, *(step.node for step in steps)]),
        most=_MOST_ATTRIBUTES if left < 2 else _MOST_CLUES,
        least_fitting=LEAST_FITTING[level],
        named=left,
        offers=40,
        max_name_chars=order.max_name_chars,
    )
    clues = describe(graph, topic, choice, order.rng)
    if not clues:
        return None
    root = ["where", kind, [clue.written(graph) for clue in clues]]
    said = phrases.singled_out(order.voice, kind, phrases.predicates(graph, clues))
    return root, said, f"that {noun(kind)}"


LEAST_FITTING = {2: 2, 3: 4, 4: 8}
"""Obfuscation level to the fewest entities that each clue on the topic fits."""

_MOST_CLUES, _MOST_ATTRIBUTES = 4, 7
_LONGEST_DEFINITION = 400
