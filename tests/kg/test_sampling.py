"""The five strategies of MedResearcher-R1, and the limits that its own sampler breaks."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.graph.sampling import STRATEGIES, sample, sampled_part
from medenv.kg.graph.topology import Subgraph, Topology, longest_chain

from .random_graphs import from_networkx, grid, random_graph, undirected


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(2, 12),
    seed=st.integers(0, 10_000),
    number=st.integers(1, 40),
    extra=st.integers(0, 30),
)
def test_every_sample_is_connected_within_its_size_and_seeded(
    strategy: str, size: int, seed: int, number: int, extra: int
) -> None:
    tree = nx.random_labeled_tree(number, seed=seed)
    draw = rng(seed)
    tree.add_edges_from(draw.integers(number, size=(extra, 2)).tolist())
    tree.remove_edges_from(list(nx.selfloop_edges(tree)))
    sub = from_networkx(tree)
    taken = sample(sub, strategy, size, rng(seed))
    assert len(taken.nodes) == len(set(taken.nodes)) <= size
    assert nx.is_connected(tree.subgraph(taken.nodes))
    assert nx.is_simple_path(tree, list(taken.backbone))
    assert taken.nodes[: len(taken.backbone)] == taken.backbone
    assert taken == sample(sub, strategy, size, rng(seed))


def path(number: int) -> Subgraph:
    return from_networkx(nx.path_graph(number))


def test_a_long_backbone_does_not_break_the_size() -> None:
    """The reference returns 16 nodes of a path of 30 for a size of 8."""
    sizes = {len(sample(path(30), "augmented_chain", 8, rng(seed)).nodes) for seed in range(50)}
    assert max(sizes) == 8


def test_a_chain_on_a_path_stays_in_one_piece() -> None:
    """The reference adds neighbours of neighbours without the node between."""
    for seed in range(50):
        taken = sample(path(30), "max_chain", 8, rng(seed))
        assert sorted(taken.nodes) == list(range(8))


def test_a_chain_is_as_long_as_the_size_allows() -> None:
    """The reference stops a chain at half the size."""
    assert len(sample(path(30), "max_chain", 8, rng()).backbone) == 8


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_size_asked_for_is_the_size_given(strategy: str) -> None:
    """The reference never passes the size on from its command line."""
    for size in (3, 5, 9):
        assert len(sample(grid(6, 6), strategy, size, rng(1)).nodes) <= size
    assert len(sample(grid(6, 6), "max_chain", 9, rng(1)).nodes) == 9


def test_max_chain_begins_with_the_longest_chain_of_the_seed() -> None:
    sub = Topology(random_graph(3)).around(0, hops=3)
    taken = sample(sub, "max_chain", 5, rng())
    assert taken.backbone[0] == 0
    assert len(taken.backbone) == 5


def test_an_augmented_chain_is_a_shortest_path() -> None:
    sub = grid(5, 5)
    plain = undirected(sub)
    for seed in range(20):
        backbone = sample(sub, "augmented_chain", 12, rng(seed)).backbone
        shortest = nx.shortest_path_length(plain, backbone[0], backbone[-1])
        assert len(backbone) - 1 == shortest >= 2


def test_a_community_is_grown_around_the_most_connected_node() -> None:
    sub = from_networkx(nx.lollipop_graph(6, 20))
    taken = sample(sub, "community_core_path", 6, rng())
    distances = nx.single_source_shortest_path_length(nx.lollipop_graph(6, 20), 5)
    assert all(distances[node] <= 2 for node in taken.nodes)


def test_a_bridge_joins_two_cores_that_are_no_neighbours() -> None:
    sub = from_networkx(nx.barbell_graph(5, 2))
    taken = sample(sub, "dual_core_bridge", 10, rng())
    plain = undirected(sub)
    assert not plain.has_edge(taken.backbone[0], taken.backbone[-1])
    left = sum(plain.has_edge(taken.backbone[0], node) for node in taken.nodes)
    right = sum(plain.has_edge(taken.backbone[-1], node) for node in taken.nodes)
    assert min(left, right) >= 3


def test_mixed_draws_every_one_of_the_four() -> None:
    drawn = {sample(grid(4, 4), "mixed", 6, rng(seed)).strategy for seed in range(60)}
    assert drawn == set(STRATEGIES) - {"mixed"}


def test_an_unknown_strategy_and_a_size_of_one_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'max_chain'"):
        sample(path(3), "max_chains", 3, rng())
    with pytest.raises(UsageError, match="at least 2 nodes, got size=1"):
        sample(path(3), "mixed", 1, rng())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_sampled_part_is_connected_and_begins_at_the_seed(strategy: str) -> None:
    topology = Topology(random_graph(5))
    for seed in np.flatnonzero(topology.path_nodes)[:12].tolist():
        around = topology.around(seed, hops=3)
        part = sampled_part(topology, around, strategy, 6, rng(seed))
        assert part.nodes[0] == seed
        assert set(part.nodes.tolist()) <= set(around.nodes.tolist())
        assert nx.is_connected(undirected(part))
        assert part.nodes.size <= 6 + 3
        assert longest_chain(part).nodes[0] == seed
        again = sampled_part(topology, around, strategy, 6, rng(seed))
        assert again.nodes.tolist() == part.nodes.tolist()
