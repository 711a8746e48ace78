"""What of a chain its answer needs, recomputed by trying every start on plain sets."""

from typing import Any

import numpy as np
import pytest

from medenv.kg import Documents, Graph
from medenv.kg.certificates.certificate import certify, prove
from medenv.kg.certificates.queries import evaluate
from medenv.kg.certificates.suffixes import Suffix, suffixes
from medenv.kg.graph.topology import Topology
from medenv.kg.questions.drafts import Rejected, Rejection, SampleSpec, finish
from medenv.kg.questions.rare_chains import ChainConfig, draft_chain

from .brute import rooted
from .random_graphs import random_graph
from .test_queries import Sets, holds, plain


def ends_by_trying(graph: Graph, sets: Sets, query: list[Any], place: int) -> tuple[int, list[str]]:
    """How many entities fit a place's clues, and where the walks from there end, by trying all."""
    _, _, steps = query
    outcome = evaluate(graph, query)
    gold = [graph.nodes.ids[n] for n in (outcome.topic, *(tail for _, _, tail in outcome.path))]
    kind = graph.kind(graph.number(gold[place]))
    fit = [
        node
        for node in graph.nodes.ids
        if graph.kind(graph.number(node)) == kind
        and all(holds(sets, graph, clue, node) for clue in steps[place - 1][1])
    ]
    walks: list[list[str]] = [[node] for node in fit]
    for number, (relation, clues) in enumerate(steps[place:], start=place):
        back = number == place and relation == graph.inverses[steps[number - 1][0]]
        onward = []
        for walk in walks:
            reached = sets[relation][walk[-1]] - set(walk)
            for unknown in sorted(reached) if back else [None]:
                left = [
                    node
                    for node in reached - {unknown}
                    if all(holds(sets, graph, clue, node) for clue in clues)
                ]
                if len(left) == 1:
                    onward.append([*walk[:-1], str(unknown), walk[-1], left[0]])
        walks = sorted({tuple(way) for way in onward}, key=str)  # type: ignore[assignment]
        walks = [list(way) for way in walks]
    return len(fit), [walk[-1] for walk in walks]


def chains(seed: int, every_hop: bool = False) -> list[tuple[Graph, list[Any]]]:
    graph = random_graph(seed, diseases=14, findings=14, genes=6)
    topology, made = Topology(graph), []
    for i in range(12):
        rng = np.random.default_rng([seed, i])
        order = SampleSpec(int(rng.integers(len(graph))), i % 3, 0, rng)
        try:
            draft = draft_chain(topology, order, ChainConfig(min_hops=2, max_hops=5))
            finish(Documents(graph), draft, "train", 80, every_hop)
        except Rejected:
            continue
        made.append((graph, draft.query))
    return made


@pytest.mark.parametrize("seed", range(8))
def test_a_suffix_ends_where_trying_every_start_ends(seed: int) -> None:
    seen = 0
    for graph, query in chains(seed):
        sets, outcome = plain(graph), evaluate(graph, query)
        answer = graph.nodes.ids[outcome.answers[0]]
        for suffix in suffixes(graph, query, outcome):
            entries, ends = ends_by_trying(graph, sets, query, len(query[2]) - suffix.hops)
            assert suffix.entries == entries
            assert (suffix.walked > 0) is (len(ends) > 0)
            assert suffix.fixes is (bool(ends) and set(ends) == {answer})
            seen += 1
    assert seen > 5


@pytest.mark.parametrize("seed", range(4))
def test_no_needed_clue_can_be_left_out(seed: int) -> None:
    for graph, query in chains(seed):
        proof = prove(Documents(graph), query)
        told = [clue for _, clues in query[2] for clue in clues]
        assert 1 <= proof.needed_clues <= len(told) + max(1, len(query[1][2:]) and 9)
        assert 1 <= proof.effective_hops <= len(proof.path)
        assert (proof.entries == 1) or proof.effective_hops < len(proof.path)


def test_a_question_whose_every_hop_is_needed_has_no_shorter_way() -> None:
    kept = [one for seed in range(20) for one in chains(seed, every_hop=True)]
    assert kept
    for graph, query in kept:
        proof = prove(Documents(graph), query)
        assert proof.effective_hops == len(proof.path)
        for suffix in suffixes(graph, query, evaluate(graph, query)):
            assert not suffix.fixes


def test_a_chain_that_can_be_entered_in_the_middle_is_refused_with_the_reason() -> None:
    refused = 0
    for seed in range(8):
        for graph, query in chains(seed):
            fixed = any(s.fixes for s in suffixes(graph, query, evaluate(graph, query)))
            proof = prove(Documents(graph), query)
            assert fixed is (proof.effective_hops < len(proof.path))
            refused += fixed
    assert refused
    assert Rejection.SUFFIX_ENOUGH == "the end of the chain alone fixes the answer"


def test_a_walk_needs_its_topic_where_many_diseases_have_one_gene(graph: Graph) -> None:
    proof = certify(Documents(graph), graph.number("TOY:P02"), ["phenotype_of", "has_gene"])
    assert (proof.effective_hops, proof.entries, proof.needed_clues) == (2, 1, 1)
    outcome = evaluate(graph, proof.query)
    one_gene = [n for n in graph.of_kind("disease") if graph.step(int(n), "has_gene").size == 1]
    genes = graph.of_kind("gene").size
    diseases = graph.of_kind("disease").size
    assert list(suffixes(graph, proof.query, outcome)) == [
        Suffix(0, genes, genes, 1),
        Suffix(1, diseases, len(one_gene), 1),
    ]


def test_a_topic_by_one_of_several_clues_hides_the_bits_of_the_most_telling(graph: Graph) -> None:
    clues = [["has_phenotype", "TOY:P12"], ["has_onset", "TOY:O1"]]
    query = ["chain", ["where", "disease", clues], [["has_gene", []]]]
    proof = prove(Documents(graph), query)
    sets = plain(graph)
    fit = [sum(holds(sets, graph, clue, d) for d in graph.nodes.ids) for clue in clues]
    assert proof.hidden_bits == pytest.approx(np.log2(min(fit)), abs=1e-4)
    assert rooted(graph, sets, query[1], proof.path[0].head)
    assert prove(Documents(graph), ["chain", "TOY:D4", [["has_gene", []]]]).hidden_bits == 0
