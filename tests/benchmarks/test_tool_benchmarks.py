"""The benchmarks of tools, corpora and dialects measure what they say."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from medenv.errors import DataError

FOLDER = Path(__file__).parents[2] / "benchmarks"


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.1, 0.9, 0.5], [1.0, 1.0, 1.0]),
        ([0.9, 0.1, 0.5], [0.0, 1.0, 1.0]),
        ([0.5, 0.5, 0.5, 0.5], [0.25, 0.75, 1.0]),
        ([0.9, 0.5, 0.5, 0.5, 0.5], [0.0, 0.5, 1.0]),
        ([1.0] * 11 + [0.5], [1 / 11, 3 / 11, 10 / 11]),
    ],
)
def test_equal_scores_share_their_ranks(scores: list[float], expected: list[float]) -> None:
    assert program("diagnose").hits(np.array(scores), 1) == pytest.approx(expected)


def test_a_thousand_mixed_texts_go_through_every_dialect() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "fuzz.py"), "--texts", "1000", "--seed", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "7,000 readings, no exception" in done.stdout


def test_a_parser_that_raises_ends_the_run_with_its_text() -> None:
    fuzz = program("fuzz")

    class Brittle(type(fuzz.make_dialect("hermes"))):  # type: ignore[misc]  # a class made at run time
        """Raises at a brace."""

        def parse(self, text: str) -> object:
            if "}" in text:
                raise ValueError("a brace")
            return super().parse(text)

    with pytest.raises(SystemExit, match=r"hermes, block 0: .*}"):
        fuzz.fuzz([fuzz.Fuzzer(Brittle())], 100, 0)


def test_ndcg_is_that_of_its_definition() -> None:
    ndcg = program("retrieval").ndcg
    assert ndcg(["a", "b", "c"], {"a", "b", "c"}) == 1
    assert ndcg(["x", "a"], {"a"}) == pytest.approx(1 / np.log2(3))
    assert ndcg(["a", "x", "b"], {"a", "b"}) == pytest.approx(1.5 / (1 + 1 / np.log2(3)))
    assert ndcg(["x"] * 10 + ["a"], {"a"}) == 0


def test_the_english_analysis_finds_what_experts_picked_better_than_bm25s_with_a_stemmer() -> None:
    data = Path(os.environ.get("MEDENV_DATA", "none"))
    if not (data / "bioasq_7b-10b.jsonl.gz").exists():
        pytest.skip("MEDENV_DATA names no folder with bioasq_7b-10b.jsonl.gz")
    retrieval = program("retrieval")
    means = {row.name: np.mean(row.ndcg) for row in retrieval.bioasq(data)}
    assert means["english (all three)"] >= means[retrieval.PEER]


def test_retrieval_without_the_data_of_bioasq_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "bioasq_snippets.jsonl").write_text('{"pmid": "1", "passages": ["Gout."]}\n')
    with pytest.raises(DataError, match=r"holds no questions of BioASQ, such as bioasq_7b-10b"):
        program("retrieval").bioasq(tmp_path)


@pytest.mark.verl
@pytest.mark.filterwarnings("ignore")  # verl tells of engines it does not find
def test_episodes_of_the_agent_loop_benchmark_end_with_their_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    measured = program("agent_loop")
    bench, ready, opened = measured.open_bench([], str(tmp_path))
    assert ready > 0
    assert opened > 0
    loop = measured.loops()["asyncio"]
    assert bench.step(8, loop) > 0
    slow = measured.slow(measured.load_environment(bench.path))
    assert bench.step(8, loop, slow, wait=0.05) >= 4 * 0.05 + 3 * measured.TOOL_SECONDS
