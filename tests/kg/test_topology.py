import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.kg import Graph, GraphBuilder, GraphInfo
from medenv.kg.graph.schema import HAS_INHERITANCE
from medenv.kg.graph.topology import Topology

from .random_graphs import random_graph, undirected


def plain_edges(graph: Graph) -> set[frozenset[int]]:
    return {
        frozenset((head, int(tail)))
        for relation in graph.factual
        for head in range(len(graph))
        for tail in graph.step(head, relation)
    }


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), hops=st.integers(1, 3))
def test_the_subgraph_without_limits_is_the_ego_graph(seed: int, hops: int) -> None:
    graph = random_graph(seed)
    full: nx.Graph[int] = nx.Graph([tuple(edge) for edge in plain_edges(graph)])
    topology = Topology(graph)
    for node in sorted(full)[:5]:
        found = undirected(topology.around(node, hops=hops, max_nodes=1_000))
        expected = nx.ego_graph(full, node, radius=hops)
        assert set(found) == set(expected)
        assert {frozenset(e) for e in found.edges} == {frozenset(e) for e in expected.edges}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), most=st.integers(1, 12), fan=st.integers(1, 4))
def test_a_subgraph_keeps_its_limits_and_hangs_together(seed: int, most: int, fan: int) -> None:
    graph = random_graph(seed)
    topology = Topology(graph)
    sub = topology.around(0, hops=3, max_nodes=most, fan=fan)
    assert sub.nodes[0] == 0
    assert 1 <= sub.nodes.size <= most
    assert nx.is_connected(undirected(sub))


def test_a_shuffled_subgraph_has_the_same_edges_in_a_drawn_order() -> None:
    part = Topology(random_graph(3)).around(0, hops=3, max_nodes=40)
    rng, rows = np.random.default_rng(5), range(part.nodes.size)
    shuffled = [part.shuffled(rng) for _ in range(5)]
    for one in shuffled:
        assert np.array_equal(one.nodes, part.nodes)
        assert [sorted(one.row(i)) for i in rows] == [sorted(part.row(i)) for i in rows]
    assert len({one.tails.tobytes() for one in shuffled}) == 5


def test_neighbours_come_rare_first_and_ties_by_number(graph: Graph) -> None:
    topology = Topology(graph)
    for node in range(len(graph)):
        row = topology.neighbours(node).tolist()
        assert row == sorted(row, key=lambda tail: (topology.degrees[tail], tail))


def test_hubs_and_attributes_are_no_path_nodes(graph: Graph) -> None:
    hub = graph.number("TOY:P08")  # eight diseases report it
    assert Topology(graph).path_nodes[hub]
    topology = Topology(graph, max_degree=7)
    assert not topology.path_nodes[hub]
    on_paths = set(topology.around(graph.number("TOY:D1"), hops=9).nodes.tolist())
    assert hub not in on_paths
    kinds = {graph.kind(node) for node in np.flatnonzero(topology.path_nodes)}
    assert kinds == {"disease", "gene", "phenotype"}


def test_only_allowed_nodes_are_path_nodes(graph: Graph) -> None:
    allowed = np.ones(len(graph), dtype=bool)
    allowed[graph.number("TOYGENE:ZORI4")] = False
    sub = Topology(graph, allowed=allowed).around(graph.number("TOY:D6"), hops=4)
    assert graph.number("TOYGENE:ZORI4") not in sub.nodes


def test_relations_between_two_nodes_are_named_in_their_direction(graph: Graph) -> None:
    topology = Topology(graph)
    disease, gene = graph.number("TOY:D6"), graph.number("TOYGENE:ZORI4")
    assert topology.relations_between(disease, gene) == ("has_gene",)
    assert topology.relations_between(gene, disease) == ("gene_of",)
    assert topology.relations_between(disease, disease) == ()


def test_what_cannot_be_sampled_is_refused(graph: Graph) -> None:
    with pytest.raises(UsageError, match="max_degree >= 1, got 0"):
        Topology(graph, max_degree=0)
    with pytest.raises(UsageError, match="at least 1, got 0, 200, None"):
        Topology(graph).around(0, hops=0)
    builder = GraphBuilder(GraphInfo(source="bare", version="1"))
    builder.relation(HAS_INHERITANCE)
    with pytest.raises(UsageError, match=r"factual relation .* bare 1"):
        Topology(builder.build())
