"""Questions over the longest chain around a rare entity.

The chain is cut to a length that can be asked for, begins or ends at the rare entity, and every
step of it is singled out: clues are added until one candidate is left, else the chain is cut there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from medenv.kg.certificates.conditions import Clue
from medenv.kg.certificates.queries import candidates
from medenv.kg.documents.naming import called, mentions, noun
from medenv.kg.graph import Graph
from medenv.kg.graph.sampling import STRATEGIES, sampled_part
from medenv.kg.graph.topology import Chain, Subgraph, Topology, longest_chain
from medenv.kg.questions import phrases
from medenv.kg.questions.clues import Choice, describe, single_out
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
    """

    min_hops: int = 3
    max_hops: int = 8
    radius: int = 3
    fan: int = 8
    max_nodes: int = 200
    budget: int = 50_000
    max_clues: int = 3


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
    else:
        around = _around(topology, order.seed, config)
        part = sampled_part(topology, around, sampling.strategy, sampling.nodes, order.rng)
        chain = longest_chain(part, config.budget)
    if chain.hops < config.min_hops:
        raise Rejected(Rejection.SHORT_CHAIN)
    longest = min(chain.hops, config.max_hops)
    hops = int(order.rng.integers(config.min_hops, longest + 1))
    outward = list(chain.nodes[: hops + 1])
    for inward in (True, False) if order.rng.random() < 0.5 else (False, True):
        path = outward[::-1] if inward else outward
        path, steps = _cut(topology, path, inward, config, order)
        if len(steps) >= config.min_hops:
            return _worded(topology.graph, path[0], steps, order)
    raise Rejected(Rejection.AMBIGUOUS_STEP)


@lru_cache(maxsize=20_000)
def _chain_around(topology: Topology, seed: int, config: ChainConfig) -> Chain:
    """Return the longest chain from a rare entity; large sets come back to each several times."""
    return longest_chain(_around(topology, seed, config), config.budget)


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


def _single_out(
    topology: Topology, path: Sequence[int], config: ChainConfig, order: SampleSpec
) -> list[_Step]:
    """Return the steps of a path from its beginning, as far as each can be singled out."""
    graph = topology.graph
    steps: list[_Step] = []
    for place, node in enumerate(path[1:], start=1):
        relation = topology.relations_between(path[place - 1], node)[0]
        found = candidates(graph, path[:place], relation)
        choice = Choice(
            avoid=frozenset(path),
            most=config.max_clues,
            max_name_chars=order.max_name_chars,
        )
        clues = single_out(graph, found, node, choice, order.rng)
        if clues is None or node not in found:
            break
        steps.append(_Step(relation, node, tuple(clues)))
    return steps


def _worded(graph: Graph, topic: int, steps: list[_Step], order: SampleSpec) -> Draft:
    level, (root, opening, reference) = introduce(graph, topic, [s.node for s in steps], order)
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
    sentences.append(phrases.closing(order.voice, graph.kind(steps[-1].node)))
    written = [[step.relation, [clue.written(graph) for clue in step.clues]] for step in steps]
    return Draft(["chain", root, written], " ".join(sentences), f"rare_chains/{order.voice}", level)


_Introduction = tuple[Any, str, str]
"""A topic as a query's root, the sentence that introduces it, and how it is called from then on."""


def introduce(
    graph: Graph, topic: int, avoid: Sequence[int], order: SampleSpec
) -> tuple[int, _Introduction]:
    """Return the highest level at most the order's at which a topic can be given, and how.

    Args:
        graph: The graph.
        topic: The node.
        avoid: Nodes that must not be named.
        order: Its level tells how far the topic is to be obfuscated.
    """
    for level in range(order.level, 0, -1):
        given = _described(graph, topic, order) if level == 1 else None
        if level > 1:
            given = _by_clues(graph, topic, level, avoid, order)
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
    graph: Graph, topic: int, level: int, avoid: Sequence[int], order: SampleSpec
) -> _Introduction | None:
    kind = graph.kind(topic)
    clues = describe(graph, topic, level, [*avoid, topic], order.rng)
    if clues is None:
        return None
    root = ["where", kind, [clue.written(graph) for clue in clues]]
    said = phrases.singled_out(order.voice, kind, phrases.predicates(graph, clues))
    return root, said, f"that {noun(kind)}"


_LONGEST_DEFINITION = 400
