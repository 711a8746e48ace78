"""Inner loops: the same compiled and as they are, and compiled only where that pays."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from medenv import compiled
from medenv.compiled import Loop
from medenv.errors import MissingExtraError, require
from medenv.kg.graph import kernel as graphs
from medenv.retrieval import kernel as retrieval

ROOT = Path(__file__).parents[1]


def an_index(rng: np.random.Generator, documents: int, tokens: int) -> tuple[Any, ...]:
    """A random index in the form of bm25s: data, indices, indptr, unknown bounds."""
    rows = [
        np.sort(rng.choice(documents, rng.integers(0, documents), False)) for _ in range(tokens)
    ]
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    indices = np.concatenate(rows).astype(np.uint32)
    data = rng.choice([0.25, 0.5, 1.3, 2.7], len(indices)).astype(np.float32)  # with ties
    return data, indices, indptr, np.full(tokens, -1, np.float32)


def the_best(
    call: Any, index: tuple[Any, ...], query: list[int], k: int
) -> list[tuple[int, float]]:
    data, indices, indptr, bounds = (one.copy() for one in index)
    for read in (data, indices, indptr):
        read.flags.writeable = False
    documents = int(indices.max()) + 1
    best, scores = np.empty(k, np.int32), np.empty(k, np.float32)
    scratch = (
        np.zeros(len(bounds), np.int32),
        np.zeros(documents, np.float32),
        np.zeros(documents + 1, np.int32),
    )
    asked = np.array(query, np.int32)
    asked.flags.writeable = False
    found = call(data, indices, indptr, bounds, asked, *scratch, best, scores)
    assert not scratch[0].any()
    assert not scratch[1].any()
    return list(zip(best[:found].tolist(), scores[:found].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_a_search_is_the_same_to_the_last_bit_compiled_and_not(seed: int) -> None:
    rng = np.random.default_rng([7, seed])
    index = an_index(rng, documents=200, tokens=12)
    query = rng.integers(0, 12, 6).tolist()
    retrieval.top_k.compile()
    plain = the_best(retrieval._top_k, index, query, 5)
    assert the_best(retrieval.top_k.ready, index, query, 5) == plain
    assert plain


@pytest.mark.parametrize("seed", range(20))
def test_a_search_of_a_graph_is_the_same_compiled_and_not(seed: int) -> None:
    rng = np.random.default_rng([8, seed])
    rows = [np.sort(rng.choice(9, rng.integers(0, 5), False)) for _ in range(9)]
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    tails = np.concatenate(rows).astype(np.int32)
    graphs.longest_path.compile()
    graphs.distance.compile()
    found = []
    for call in (graphs._longest_path, graphs.longest_path.ready):
        best = np.full(9, -1, np.int32)
        assert call is not None
        found.append((tuple(call(starts, tails, 300, best)), best.tolist()))
    assert found[0] == found[1]
    for goal in range(9):
        assert graphs.distance.ready is not None
        near = graphs.distance.ready(starts, tails, 0, goal, 4)
        assert graphs._distance(starts, tails, 0, goal, 4) == near


def doubled(values: Any) -> int:
    """Return the sum of the values twice."""
    total = 0
    for value in values:
        total += 2 * value
    return total


def of_doubled(types: ModuleType) -> object:
    return types.int64(types.Array(types.int64, 1, "C"))


def test_a_loop_is_compiled_once_it_has_taken_long(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(doubled, of_doubled)
    few = np.arange(10)
    assert (loop(few), loop.ready) == (90, None)
    loop._left = -1e-9
    assert loop(few) == 90
    assert loop.ready is not None


def test_a_loop_over_a_large_array_is_compiled_at_once() -> None:
    loop = Loop(doubled, of_doubled)
    assert loop(np.ones(200_000, np.int64)) == 400_000
    assert loop.ready is not None


def test_without_numba_a_loop_stays_as_it_is_and_a_large_corpus_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda _: None)
    loop = Loop(doubled, of_doubled)
    assert loop(np.ones(200_000, np.int64)) == 400_000
    assert loop.ready is None
    compiled.warn_if_slow("searching 3 passages", 3, 20_000)
    with pytest.warns(UserWarning, match=r"searching 30,000 passages .* 'medenv-rl\[fast\]'"):
        compiled.warn_if_slow("searching 30,000 passages", 30_000, 20_000)


def test_a_missing_extra_is_named_when_it_is_needed() -> None:
    require("numpy", "fast", "loops")
    with pytest.raises(
        MissingExtraError, match=r"loops need the extra `fast`: .*medenv-rl\[fast\]"
    ):
        require("no_such_package", "fast", "loops")


def test_an_episode_is_played_and_scored_without_any_extra() -> None:
    program = """
        import importlib.util, sys
        missing = ("numba", "scipy", "matplotlib", "networkx", "torch", "verl", "pyarrow", "mcp")
        found = importlib.util.find_spec
        def find_spec(name, package=None):
            return None if name.split(".")[0] in missing else found(name, package)
        importlib.util.find_spec = find_spec
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in missing:
                    raise ModuleNotFoundError(name, name=name)
        sys.meta_path.insert(0, Missing())
        import gymnasium, medenv
        env = gymnasium.make("medenv/Research-v0")
        env.reset(options={"question": "test:4"})
        call = '{"name": "search", "arguments": {"query": "Night lake syndrome"}}'
        assert "TOY:P11#0" in env.step(f"<tool_call>{call}</tool_call>")[0]
        assert env.step("<answer>ZORI4</answer>")[1] == 1.3
        print(sorted({name.split(".")[0] for name in sys.modules} & {*missing}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
