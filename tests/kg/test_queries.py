"""Every form of query against plain sets, and its certificate against brute force."""

from itertools import combinations, pairwise
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact  # type: ignore[import-untyped]  # ships no types

from medenv.errors import UsageError
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo
from medenv.kg.certificates.certificate import CLUES_ENOUGH, prove
from medenv.kg.certificates.conditions import fitting, read_clues
from medenv.kg.certificates.queries import evaluate
from medenv.kg.graph.schema import HAS_PHENOTYPE

from .random_graphs import random_graph

Sets = dict[str, dict[str, set[str]]]


def plain(graph: Graph) -> Sets:
    """Relation to entity to entities, with findings entailed by their subtypes."""
    ids = graph.nodes.ids
    sets: Sets = {
        relation: {
            ids[head]: {ids[tail] for tail in graph.step(head, relation)}
            for head in range(len(graph))
        }
        for relation in graph.rows
    }
    order: nx.DiGraph[str] = nx.DiGraph()
    order.add_nodes_from(ids)
    order.add_edges_from((c, p) for c, parents in sets["is_a"].items() for p in parents)
    below = {node: nx.ancestors(order, node) for node in ids}
    reported = sets["phenotype_of"]
    sets["phenotype_of"] = {
        node: set().union(*(reported[n] for n in below[node] | {node})) for node in ids
    }
    sets["inheritance_of"] = dict(sets["inheritance_of"])
    sets["has_subtype"] = below
    sets["is_a"] = {node: nx.descendants(order, node) for node in ids}
    return sets


def holds(sets: Sets, graph: Graph, clue: list[Any], node: str) -> bool:
    relation, entity = clue
    return entity in sets[relation][node] or node in sets[graph.inverses[relation]][entity]


def some_clues(graph: Graph, rng: np.random.Generator) -> list[list[Any]]:
    diseases = [graph.nodes.ids[n] for n in graph.of_kind("disease")]
    findings = [graph.nodes.ids[n] for n in graph.of_kind("phenotype")]
    genes = [graph.nodes.ids[n] for n in graph.of_kind("gene")]
    modes = [graph.nodes.ids[n] for n in graph.of_kind("inheritance")]
    forms: list[list[Any]] = [
        ["has_phenotype", str(rng.choice(findings))],
        ["has_gene", str(rng.choice(genes))],
        ["has_inheritance", str(rng.choice(modes))],
        ["phenotype_of", str(rng.choice(diseases))],
        ["is_a", str(rng.choice(findings))],
    ]
    return [forms[int(i)] for i in rng.choice(len(forms), size=2, replace=False)]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_what_fits_clues_is_what_plain_sets_say(seed: int) -> None:
    graph, rng = random_graph(seed % 500), np.random.default_rng(seed)
    sets, clues = plain(graph), some_clues(graph, rng)
    for kind in ("disease", "phenotype"):
        found = fitting(graph, kind, read_clues(graph, clues))
        expected = [
            node
            for node in graph.of_kind(kind)
            if all(holds(sets, graph, clue, graph.nodes.ids[node]) for clue in clues)
        ]
        assert found.tolist() == expected


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_a_chain_is_proved_exactly_where_brute_force_finds_one_way(seed: int) -> None:
    graph, rng = random_graph(seed % 500), np.random.default_rng(seed)
    sets = plain(graph)
    node = graph.nodes.ids[int(rng.integers(len(graph)))]
    query: list[Any] = ["chain", node, []]
    ways = [[node]]
    unique = True
    for _ in range(3):
        usable = [r for r in graph.factual if sets[r][ways[0][-1]] - set(ways[0])]
        if not usable:
            break
        relation = str(rng.choice(usable))
        reached = sorted(sets[relation][ways[0][-1]] - set(ways[0]))
        target = str(rng.choice(reached))
        clues: list[list[Any]] = []
        if len(reached) > 1 and rng.random() < 0.8:
            clues = [clue for clue in some_clues(graph, rng) if holds(sets, graph, clue, target)]
        left = [n for n in reached if all(holds(sets, graph, clue, n) for clue in clues)]
        unique &= len(left) == 1
        query[2].append([relation, clues])
        ways = [[*ways[0], target]]
    if not query[2]:
        return
    if not unique:
        with pytest.raises(UsageError, match="expected exactly 1"):
            evaluate(graph, query)
        return
    outcome = evaluate(graph, query)
    path = [graph.nodes.ids[n] for n in (outcome.topic, *(e[2] for e in outcome.path))]
    assert path == ways[0]
    named = {graph.nodes.ids[n] for n in outcome.named}
    hidden = {graph.nodes.ids[n] for n in outcome.hidden}
    assert (node in named, hidden) == (True, set(path[1:]))
    direct = all(
        graph.has_edge(graph.number(a), relation, graph.number(b))
        for (a, b), (relation, _) in zip(pairwise(path), query[2], strict=True)
    )
    if direct:
        check_certificate(graph, query, path)


def check_certificate(graph: Graph, query: list[Any], path: list[str]) -> None:
    """Recompute the fields of a chain's certificate another way."""
    proof = prove(Documents(graph), query)
    plain_graph: nx.Graph[int] = nx.Graph(
        [
            (head, int(tail))
            for relation in graph.factual
            for head in range(len(graph))
            for tail in graph.step(head, relation)
        ]
    )
    ends = graph.number(path[0]), graph.number(path[-1])
    assert proof.min_hops == nx.shortest_path_length(plain_graph, *ends)
    hops = [set(hop.passages) for hop in proof.path]
    known = sorted(set().union(*hops))
    assert proof.min_calls == min(
        size
        for size in range(1, len(hops) + 1)
        for chosen in combinations(known, size)
        if all(hop & set(chosen) for hop in hops)
    )
    relation = query[2][-1][0]
    degrees = [graph.step(n, graph.inverses[relation]).size for n in range(len(graph))]
    assert proof.chance == pytest.approx(max(degrees) / sum(degrees))
    last = read_clues(graph, query[2][-1][1])
    alone = fitting(graph, graph.kind(ends[1]), last).size == 1 and bool(last)
    assert (CLUES_ENOUGH in proof.shortcuts) is alone


def test_a_chain_never_leads_back(graph: Graph) -> None:
    back = ["chain", "TOY:P02", [["phenotype_of", []], ["has_gene", []], ["gene_of", []]]]
    with pytest.raises(UsageError, match="gene_of leads to 0 entities"):
        evaluate(graph, back)
    on = ["chain", "TOY:D6", [["has_gene", []], ["gene_of", []]]]
    assert graph.nodes.ids[evaluate(graph, on).answers[0]] == "TOY:D5"


def test_a_finding_is_had_where_a_kind_of_it_is(graph: Graph) -> None:
    nails = evaluate(graph, ["where", "disease", [["has_phenotype", "TOY:P03"]]])
    assert {graph.nodes.ids[n] for n in nails.answers} == {"TOY:D2", "TOY:D3", "TOY:D9"}
    lower = {graph.nodes.ids[head] for head, _, _ in nails.path}
    assert lower == {"TOY:P03", "TOY:P04", "TOY:P05"}, "the passages are those of the subtypes"


def test_a_topic_may_be_described_or_singled_out(graph: Graph) -> None:
    steps = [["phenotype_of", [["has_gene", "TOYGENE:LOMX2"]]]]
    described = evaluate(graph, ["chain", ["described", "TOY:P03"], steps])
    assert graph.nodes.ids[described.topic] == "TOY:P03"
    assert described.topic in described.hidden
    root = ["where", "disease", [["has_gene", "TOYGENE:ZORI4"], ["has_phenotype", "TOY:P11"]]]
    outcome = evaluate(graph, ["chain", root, [["has_gene", []], ["gene_of", []]]])
    assert graph.nodes.ids[outcome.topic] == "TOY:D6"
    assert graph.number("TOY:D6") in outcome.hidden
    assert len(outcome.clues) == 2
    with pytest.raises(UsageError, match="no description of its own"):
        evaluate(graph, ["chain", ["described", "TOY:P02"], steps])


def test_values_and_comparisons_are_read_from_the_edges(graph: Graph) -> None:
    value = ["value", "TOY:D3", "has_phenotype", "TOY:P12", "frequency"]
    assert evaluate(graph, value).value == "5/10"
    most = ["most", "has_phenotype", "TOY:P12", ["TOY:D3", "TOY:D4"]]
    with pytest.raises(UsageError, match="no significantly highest"):
        evaluate(graph, most)


@pytest.mark.parametrize(
    ("one", "other", "decided"),
    [
        ("9/10", "1/10", True),
        ("1/1", "1/18", False),  # chance makes a difference as large in 2 of 19
        ("9/10", "5/10", False),
        ("4/5|5/5", "0/5|1/5", True),
        ("9/10", "HP:0040283", False),  # no numbers of patients
        ("9/10", "", False),
    ],
)
def test_a_comparison_is_asked_where_the_difference_is_significant(
    one: str, other: str, decided: bool
) -> None:
    builder = GraphBuilder(GraphInfo(source="two", version="1"))
    builder.node("P:1", kind="phenotype", name="Blue nails")
    builder.relation(HAS_PHENOTYPE, ("frequency",))
    for disease, frequency in (("D:1", one), ("D:2", other)):
        builder.node(disease, kind="disease", name=f"Disease {disease}")
        builder.edge(disease, HAS_PHENOTYPE.name, "P:1", (frequency,))
    graph = builder.build()
    query = ["most", "has_phenotype", "P:1", ["D:2", "D:1"]]
    counts = [[sum(int(n.split("/")[i]) for n in value.split("|")) for i in (0, 1)]
              for value in (one, other) if "/" in value]  # fmt: skip
    if len(counts) == 2:
        table = [[seen, of - seen] for seen, of in counts]
        assert bool(fisher_exact(table, "greater").pvalue < 0.05) is decided
    if decided:
        outcome = evaluate(graph, query)
        assert graph.nodes.ids[outcome.answers[0]] == "D:1"
        assert prove(Documents(graph), query).chance == 0.5
    else:
        with pytest.raises(UsageError, match="no significantly highest"):
            evaluate(graph, query)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (["jump", "TOY:D1"], "expected the query"),
        (["chain", "TOY:D1", []], "expected the query"),
        (["chain", 7, [["has_gene", []]]], "expected a root"),
        (["chain", "TOY:D1", ["has_gene"]], "expected the step"),
        (["chain", "TOY:D1", [["has_gene", ["x"]]]], "expected a clue"),
        (["chain", "TOY:D1", [["cures", []]]], "unknown relation 'cures'"),
        (["where", "disease", [["cures", "TOY:D1"]]], "unknown relation 'cures'"),
        (["where", "drug", [["has_gene", "TOYGENE:ZORI4"]]], "unknown node kind 'drug'"),
        (["where", "disease", [["not", "has_gene", "TOYGENE:ZORI4"]]], "expected a clue"),
        (["where", "gene", [["has_gene", "TOYGENE:ZORI4"]]], "no gene fits all 1 clues"),
        (["count", "TOY:P01", "phenotype_of"], "expected the query"),
        (["value", "TOY:D1", "has_gene", "TOYGENE:QUAB1", "frequency"], "no value of 'frequency'"),
    ],
)
def test_what_is_no_certain_query_is_refused(graph: Graph, query: list[Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        evaluate(graph, query)
