"""Uniqueness recomputed with plain sets, on graphs that hypothesis draws."""

from itertools import combinations, pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import UnknownNameError, UsageError
from medenv.kg import PATTERNS, Documents, Graph, GraphBuilder, GraphInfo, certify, toy_graph
from medenv.kg.graph.schema import HAS_GENE, HAS_PHENOTYPE, IS_A
from medenv.kg.questions.patterns import pattern_named, unique_paths, walk

DISEASES = [f"D{n}" for n in range(5)]
GENES = [f"G{n}" for n in range(4)]
FINDINGS = [f"P{n}" for n in range(6)]


def some(pairs: list[tuple[str, str]]) -> st.SearchStrategy[set[tuple[str, str]]]:
    return st.sets(st.sampled_from(pairs), max_size=12)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    builder = GraphBuilder(GraphInfo(source="random", version="0"))
    for ids, kind in ((DISEASES, "disease"), (GENES, "gene"), (FINDINGS, "phenotype")):
        for entity_id in ids:
            builder.node(entity_id, kind=kind, name=f"{kind} {entity_id}")
    pairs = {
        HAS_GENE: [(d, g) for d in DISEASES for g in GENES],
        HAS_PHENOTYPE: [(d, p) for d in DISEASES for p in FINDINGS],
        IS_A: [(low, high) for high, low in combinations(FINDINGS, 2)],
    }
    for relation, possible in pairs.items():
        builder.relation(relation)
        for head, tail in sorted(draw(some(possible))):
            builder.edge(head, relation.name, tail)
    return builder.build()


def edges(graph: Graph, relation: str) -> set[tuple[str, str]]:
    return {(h, t) for h, t, key in graph.to_networkx().edges(keys=True) if key == relation}


def brute_force(graph: Graph, pattern: str) -> set[tuple[str, ...]]:
    """Every topic whose each step has one outcome, from sets of pairs alone."""
    genes, findings = edges(graph, "has_gene"), edges(graph, "has_phenotype")
    hierarchy = nx.DiGraph(edges(graph, "is_a"))

    def reported(finding: str) -> set[str]:
        kinds = {finding}
        if finding in hierarchy:
            kinds |= nx.ancestors(hierarchy, finding)
        return {disease for disease, p in findings if p in kinds}

    steps = {
        "disease>gene": lambda d: {g for head, g in genes if head == d},
        "gene>disease": lambda g: {d for d, tail in genes if tail == g},
        "phenotype>disease": reported,
    }
    direct = genes | {(g, d) for d, g in genes} | {(p, d) for d, p in findings}
    kinds = pattern.split(">")
    topics = {"disease": DISEASES, "gene": GENES, "phenotype": FINDINGS}[kinds[0]]
    paths: list[tuple[str, ...]] = [(topic,) for topic in topics]
    for head, tail in pairwise(kinds):
        step = steps[f"{head}>{tail}"]
        paths = [(*p, *step(p[-1])) for p in paths if len(step(p[-1])) == 1]
    return {p for p in paths if all(pair in direct for pair in pairwise(p))}


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_unique_paths_are_those_that_plain_sets_find(graph: Graph) -> None:
    for name, pattern in PATTERNS.items():
        found = {tuple(graph.nodes.ids[n] for n in path) for path in unique_paths(graph, pattern)}
        assert found == brute_force(graph, name)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_every_unique_path_is_certified_and_every_other_topic_is_refused(graph: Graph) -> None:
    documents = Documents(graph)
    facts = nx.Graph(edges(graph, "has_gene") | edges(graph, "has_phenotype"))
    for pattern in PATTERNS.values():
        paths = {int(path[0]): path for path in unique_paths(graph, pattern)}
        for topic in graph.of_kind(pattern.topic).tolist():
            if topic not in paths:
                with pytest.raises(UsageError, match=r"expected exactly 1|no passage states"):
                    certify(documents, topic, pattern.relations)
                continue
            proof = certify(documents, topic, pattern.relations)
            ends = graph.nodes.ids[topic], graph.nodes.ids[paths[topic][-1]]
            assert proof.answers == ends[1:]
            assert proof.min_hops == nx.shortest_path_length(facts, *ends)


def test_the_toy_graph_has_the_hard_cases() -> None:
    graph = toy_graph()
    names = {
        name: {graph.nodes.names[path[0]] for path in unique_paths(graph, pattern)}
        for name, pattern in PATTERNS.items()
    }
    assert "Persistent tiredness" not in names["phenotype>disease"], "a hub"
    assert "Abnormal nail colour" not in names["phenotype>disease"], "subtypes reported elsewhere"
    assert "Glass tendon disease" not in names["disease>gene"], "two genes"
    assert "ZORI4" not in names["gene>disease"], "two diseases"
    assert "Metallic taste on waking" in names["phenotype>disease"]
    assert "Metallic taste on waking" not in names["phenotype>disease>gene"], "two genes in the end"


def test_a_walk_follows_every_entity_of_a_step(graph: Graph) -> None:
    topic = graph.number("TOY:P12")
    diseases, genes = walk(graph, topic, ["phenotype_of", "has_gene"])
    assert {graph.nodes.names[n] for n in diseases} == {
        "Alder fever, familial, 2",
        "Tolman-Reyes disease",
    }
    assert {graph.nodes.names[n] for n in genes} == {"TREV3", "FENA1"}


def test_a_graph_without_the_relations_has_no_paths() -> None:
    builder = GraphBuilder(GraphInfo(source="empty", version="0"))
    builder.node("D", kind="disease", name="Lonely disease")
    assert unique_paths(builder.build(), PATTERNS["disease>gene"]).shape == (0, 2)


def test_an_unknown_pattern_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'disease>gene'"):
        pattern_named("disease>genes")
