import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.kg.graph.topology import Topology, longest_chain

from .random_graphs import from_networkx, grid, random_graph, undirected


def exhaustive(graph: "nx.Graph[int]", seed: int) -> int:
    """Hops of the longest simple path from a seed, by trying them all."""
    best, stack = 0, [(seed,)]
    while stack:
        path = stack.pop()
        best = max(best, len(path) - 1)
        stack += [(*path, tail) for tail in graph[path[-1]] if tail not in path]
    return best


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_proved_chain_is_as_long_as_exhaustive_search_finds(seed: int) -> None:
    graph = random_graph(seed, diseases=6, findings=6, genes=3)
    for node in range(0, len(graph), 4):
        sub = Topology(graph).around(node, hops=3)
        chain = longest_chain(sub, budget=1_000_000)
        assert chain.proved
        assert chain.hops == exhaustive(undirected(sub), node)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(1, 60))
def test_a_chain_is_a_simple_path_from_the_seed_whatever_the_budget(seed: int, budget: int) -> None:
    sub = Topology(random_graph(seed)).around(1, hops=3)
    chain = longest_chain(sub, budget)
    assert nx.is_simple_path(undirected(sub), list(chain.nodes))
    assert chain.nodes[0] == 1
    assert chain.steps <= budget
    if not chain.proved:
        assert chain.steps == budget
    assert longest_chain(sub, budget) == chain


def test_the_order_finds_a_hamiltonian_path_at_once_where_there_is_one() -> None:
    chain = longest_chain(grid(2, 40), budget=80)
    assert (chain.hops, chain.proved, chain.steps) == (79, True, 80)


def test_a_search_cut_short_says_so_and_a_larger_budget_proves_it() -> None:
    star_of_paths = nx.balanced_tree(3, 4)
    sub = from_networkx(star_of_paths)
    assert not longest_chain(sub, budget=20).proved
    full = longest_chain(sub, budget=10_000)
    assert (full.hops, full.proved, full.steps) == (4, True, sub.nodes.size)


def test_a_lonely_seed_is_a_chain_of_no_hops() -> None:
    lonely: nx.Graph[int] = nx.empty_graph(1)
    assert longest_chain(from_networkx(lonely)) == ((0,), 1, True)


def test_memory_mapped_rows_are_searched_too() -> None:
    sub = grid(3, 3)
    for rows in sub[1:]:
        rows.flags.writeable = False
    assert longest_chain(sub).hops == 8
    assert isinstance(sub.starts, np.ndarray)


def test_no_budget_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 step, got 0"):
        longest_chain(grid(2, 2), budget=0)
