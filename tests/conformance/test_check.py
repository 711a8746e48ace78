"""Parts that keep contracts pass, and each kind of broken part fails the check that is for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from typer.testing import CliRunner

from medenv.build.plugins import RETRIEVERS, REWARDS
from medenv.cli.main import app
from medenv.conformance import KINDS, Report, check
from medenv.conformance.report import Broken, NotApplicable, run_checks
from medenv.conformance.tools import CHECKS as OF_TOOLS
from medenv.conformance.tools import sample
from medenv.errors import UnknownNameError, UsageError
from medenv.kg import Graph, GraphBuilder, GraphInfo
from medenv.kg.graph.schema import HAS_GENE
from medenv.kg.sources import KG_SOURCES
from medenv.plugins import retriever, reward, source
from medenv.records import Passage, Score, Trajectory
from medenv.tools import FunctionTool

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """The broken parts are known by name while these tests run, and not to others."""
    for one in (gullible, endless, uneven):
        reward(one)
    source(shifting)
    retriever(backwards)
    yield
    for registry in (REWARDS, KG_SOURCES, RETRIEVERS):
        registry._registered.clear()


def failed(report: Report) -> set[str]:
    return {one.name for one in report.results if one.outcome == "failed"}


@pytest.mark.parametrize(
    "target",
    [
        "tool:search", "tool:read", "tool:med_search", "tool:lookup", "tool:diagnose",
        "source:toy", "retriever:bm25", "reward:answer_only", "env:medenv/Abstain-v0",
        "env:CartPole-v1",
    ],
)  # fmt: skip
def test_what_ships_keeps_every_contract(target: str) -> None:
    report = check(target)
    assert failed(report) == set()
    assert report.passed


def checked_tool(function: Any, **settings: Any) -> set[str]:
    tool = FunctionTool(function, **settings)
    return {one.name for one in run_checks(OF_TOOLS, tool) if one.outcome == "failed"}


CALLS: list[str] = []


def forgetful(query: str) -> str:
    """Look up something, and answer differently each time.

    Args:
        query: What to look up.
    """
    CALLS.append(query)
    return f"call {len(CALLS)}"


def slow(query: str) -> str:
    """Look up something, and let everybody wait.

    Args:
        query: What to look up.
    """
    import time

    time.sleep(0.06)
    return query or "nothing"


def bare(query: str) -> str:
    """Do."""
    return query or "nothing"


def silent(query: str) -> str:
    """Look up something, and say nothing.

    Args:
        query: What to look up.
    """
    return query[:0]


@pytest.mark.parametrize(
    ("function", "broken"),
    [
        (forgetful, {"the same call has the same answer", "it travels to other processes"}),
        (slow, {"a local tool does not block"}),
        (bare, {"it says what it does and takes"}),
        (silent, {"it answers a call with text"}),
    ],
)
def test_a_broken_tool_fails_what_it_breaks(function: Any, broken: set[str]) -> None:
    assert checked_tool(function) == broken


def test_a_slow_tool_that_says_so_is_none_to_blame() -> None:
    assert checked_tool(slow, local=False) == set()


def test_samples_are_what_schemas_accept() -> None:
    import jsonschema

    for schema in (
        {"type": "string", "minLength": 12},
        {"type": "integer", "minimum": 4},
        {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]},
        {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"]},
        {"type": ["null", "string"]},
        {"type": "boolean"},
    ):
        jsonschema.validate(sample(schema), schema)


def gullible(trajectory: Trajectory) -> float:
    """Pay for the right name anywhere, tools' texts included."""
    shown = " ".join(turn.observation + turn.text for turn in trajectory.turns)
    return float(any(answer.name in shown for answer in trajectory.question.answers))


def endless(trajectory: Trajectory) -> float:
    """Pay more than there is."""
    return float("nan") if trajectory.answer else 0.0


def uneven(trajectory: Trajectory) -> Score:
    """Pay another total than its parts."""
    from medenv.records import Part

    right = any(answer.name == trajectory.answer for answer in trajectory.question.answers)
    part = Part(raw=float(right), weight=1.0, weighted=float(right))
    return Score(total=2.0 * right, parts={"mine": part})


def test_a_reward_that_reads_what_tools_showed_is_found_by_attacks() -> None:
    broken = failed(check("reward:gullible"))
    assert {"attack: never answer", "attack: forged tool text", "no answer earns nothing"} <= broken


def test_numbers_that_no_trainer_can_use_fail() -> None:
    assert "every score is finite" in failed(check("reward:endless"))
    assert "the parts add up to the total" in failed(check("reward:uneven"))


def shifting(seed: int = 0) -> Graph:
    """A graph that is another one each time, without terms."""
    CALLS.append("graph")
    builder = GraphBuilder(GraphInfo(source="shifting", version="1"))
    builder.relation(HAS_GENE)
    gene = f"B{len(CALLS)}"
    builder.node("A", kind="disease", name="Disease A")
    builder.node(gene, kind="gene", name=f"Gene {seed}")
    builder.edge("A", "has_gene", gene)
    return builder.build()


def backwards(path: str) -> Any:
    """A retriever that shows the worst first, and more than was asked for."""
    from medenv.retrieval.bm25 import open_bm25

    inner = open_bm25(path)

    class Backwards:
        def search(self, queries: Any, k: int) -> list[list[tuple[Passage, float]]]:
            return [hits[::-1] for hits in inner.search(queries, max(k, 1) + 1)]

        def get(self, passage_id: str) -> Passage | None:
            return inner.get(passage_id)

    return Backwards()


def test_a_broken_source_fails_what_it_breaks() -> None:
    assert failed(check("source:shifting")) == {"it makes the same graph twice", "terms are stated"}


def test_a_broken_retriever_fails_what_it_breaks() -> None:
    assert failed(check("retriever:backwards")) == {
        "the best come first and no more than asked",
        "a bound below one is refused",
        "it travels to other processes",
    }


class Drifting(gymnasium.Env[Any, Any]):
    """An environment whose episodes go on where others ended, and that shows what is outside."""

    observation_space = gymnasium.spaces.Discrete(10)
    action_space = gymnasium.spaces.Discrete(2)
    played = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed, options=options)
        return 0, {}

    def step(self, action: Any) -> Any:
        type(self).played += 1
        return 11, float(self.played), True, False, {}


def test_a_broken_environment_fails_what_it_breaks() -> None:
    gymnasium.register("Drifting-v0", Drifting, disable_env_checker=True)
    try:
        assert failed(check("env:Drifting-v0")) == {
            "gymnasiums own checks pass",
            "a seed decides the episode",
            "episodes leave nothing behind",
            "observations lie in their space",
        }
    finally:
        del gymnasium.registry["Drifting-v0"]


def test_whatever_code_of_others_raises_is_a_failure_and_ends_nothing() -> None:
    def raises(_: Any) -> str:
        raise ZeroDivisionError("oh")

    def breaks(_: Any) -> str:
        raise Broken("expected that, got this")

    def passes(_: Any) -> str:
        raise NotApplicable("of another kind")

    found = run_checks([raises, breaks, passes], None)
    assert [one.outcome for one in found] == ["failed", "failed", "not applicable"]
    assert found[0].told == "raised ZeroDivisionError: oh"
    assert not Report(target="x", results=tuple(found[2:])).passed  # nothing was shown


def test_the_command_writes_a_table_a_file_and_a_badge(tmp_path: Path) -> None:
    ours = [f"--json={tmp_path}/r.json", f"--badge={tmp_path}/b.svg"]
    done = CliRunner().invoke(app, ["check", "retriever:bm25", *ours])
    assert done.exit_code == 0, done.output
    assert "retriever:bm25 passes" in done.output
    (report,) = json.loads((tmp_path / "r.json").read_text())
    outcomes = [one["outcome"] for one in report["results"]]
    passed = outcomes.count("passed")
    assert f"{passed} of {passed} passed" in (tmp_path / "b.svg").read_text()
    done = CliRunner().invoke(app, ["check", "retriever:backwards"])
    assert done.exit_code == 1
    assert "retriever:backwards fails 3 checks" in done.output


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (["search"], UsageError, "expected KIND:NAME"),
        (["tol:search"], UnknownNameError, "did you mean 'tool'"),
        (["tool:serch"], UnknownNameError, "did you mean 'search'"),
        (["env:Nowhere-v0"], UsageError, "Nowhere"),
        (["reward:composite", "--path=x"], UsageError, "neither a path nor options"),
        (
            ["tool:read", "tool:search", "--badge=b.svg"],
            UsageError,
            "a badge is of one part, got 2",
        ),
    ],
)
def test_a_target_that_names_nothing_is_told(
    arguments: list[str], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        CliRunner().invoke(app, ["check", *arguments], catch_exceptions=False)


def test_the_page_names_every_kind_and_its_example_prints_what_it_says() -> None:
    assert all(f"| `{kind}` |" in PAGE for kind in KINDS)
    ((code, printed),) = re.findall(
        r"```python\n(.*?)```\n+prints\n+```\n(.*?)```", PAGE, flags=re.DOTALL
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == printed.split()
