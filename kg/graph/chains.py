"""The longest simple chain from a seed, by depth-first search in an order that finds it early.

Neighbours are visited by ascending degree within the subgraph, so that dead ends are used up while
they are still ends of the path (Warnsdorff's rule for knight's tours, 1823). Longest simple paths
are NP-hard; the search has a budget of steps and says whether it ran to its end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medenv.errors import UsageError
from medenv.kg.graph.topology import Subgraph

BUDGET = 50_000
"""Steps after which the search stops; a few milliseconds."""


class Chain(NamedTuple):
    """A simple path that begins at the seed.

    Args:
        nodes: Node numbers of the graph, the seed first.
        steps: Nodes that the search visited.
        proved: Whether no longer chain begins at the seed within the subgraph. Without proof the
            length is a lower bound.
    """

    nodes: tuple[int, ...]
    steps: int
    proved: bool

    @property
    def hops(self) -> int:
        """The number of edges."""
        return len(self.nodes) - 1


def longest_chain(subgraph: Subgraph, budget: int = BUDGET) -> Chain:
    """Return the longest simple chain found from the subgraph's seed.

    Args:
        subgraph: Where to search.
        budget: Most steps.

    Raises:
        UsageError: The budget is below 1.
    """
    if budget < 1:
        raise UsageError(f"expected a budget of at least 1 step, got {budget}")
    from medenv.kg.graph.kernel import longest_path

    best = np.empty(subgraph.nodes.size, dtype=np.int32)
    length, steps, proved = longest_path(subgraph.starts, subgraph.tails, budget, best)
    nodes = subgraph.nodes[best[:length]]
    return Chain(tuple(nodes.tolist()), int(steps), bool(proved))
