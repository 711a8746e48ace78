"""Schemas from signatures, arguments checked against them, calls made."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from medenv.errors import ToolUnavailableError, UsageError
from medenv.records import ToolCall, ToolResult
from medenv.tools import FunctionTool, Read, Search, Tool, ToolBox, ToolOutput, tool
from medenv.tools.cassette import Cassette
from medenv.tools.faults import Faulty

from ..fakes import Clock, Flaky, Shelf


@tool
def dose(drug: str, weight_kg: float = 70.0, route: Literal["oral", "iv"] = "oral") -> ToolOutput:
    """Look up
    a dose.

    More that the policy need not know.

    Args:
        drug: Name of the drug.
        weight_kg: Body weight in kg.

    Returns:
        The dose.
    """
    return ToolOutput(text=f"{drug} {weight_kg:g} {route}", passages=("L#1",))


@tool
async def remote(query: str) -> ToolOutput:
    """Ask a server."""
    await asyncio.sleep(0)
    return ToolOutput(text=f"{query} from afar")


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id="0.0", name=name, arguments=arguments)


BOX = ToolBox([dose, Search(Shelf()), Read(Shelf()), remote])


def test_the_schema_is_the_signature() -> None:
    assert dose.spec.name == "dose"
    assert dose.spec.description == "Look up a dose."
    assert dose.spec.parameters == {
        "type": "object",
        "properties": {
            "drug": {"type": "string", "description": "Name of the drug."},
            "weight_kg": {
                "type": "number",
                "description": "Body weight in kg.",
                "default": 70.0,
            },
            "route": {"enum": ["iv", "oral"], "default": "oral"},
        },
        "required": ["drug"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("spec", BOX.specs, ids=lambda spec: spec.name)
def test_every_schema_is_a_valid_object_schema(spec: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(spec.parameters)
    assert spec.parameters["type"] == "object"


@pytest.mark.parametrize(
    "arguments",
    [
        {"drug": "aspirin"},
        {"drug": "aspirin", "weight_kg": 60, "route": "iv"},
        {},
        {"drug": 3},
        {"drug": "aspirin", "weight": 3},
        {"drug": "aspirin", "route": "rectal"},
        {"drug": "aspirin", "weight_kg": "60"},
        {"drug": None},
    ],
    ids=str,
)
def test_arguments_are_accepted_exactly_where_the_schema_accepts_them(
    arguments: dict[str, Any],
) -> None:
    valid = jsonschema.Draft202012Validator(dose.spec.parameters).is_valid(arguments)
    assert (BOX.run(call("dose", **arguments)).status == "ok") == valid


def test_a_call_is_made_with_its_arguments() -> None:
    clock = Clock()
    box = ToolBox([dose], clock)
    result = box.run(call("dose", drug="aspirin", route="iv"))
    assert (result.call_id, result.tool, result.status) == ("0.0", "dose", "ok")
    assert (result.text, result.passages, result.seconds) == ("aspirin 70 iv", ("L#1",), 0.0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (call("dose"), "dose: Object missing required field `drug`"),
        (call("dose", drug="a", weight=1), "dose: Object contains unknown field `weight`"),
        (call("dose", drug=["a"]), "dose: Expected `str`, got `array` - at `$.drug`"),
        (call("dsoe", drug="a"), "there is no tool 'dsoe'; did you mean 'dose'?"),
        (call("x" * 10_000), "there is no tool 'xxxx"),
    ],
    ids=["missing", "unknown", "type", "name", "long name"],
)
def test_a_wrong_call_is_told_in_words_to_act_on(wrong: ToolCall, told: str) -> None:
    result = BOX.run(wrong)
    assert result.status == "bad_call"
    assert result.text.startswith(told)
    assert len(result.text) < 300
    if wrong.name == "dose":
        assert "it takes: drug, weight_kg, route" in result.text


def test_an_async_tool_can_be_called_from_anywhere() -> None:
    one = call("remote", query="fever")

    async def inside_a_loop() -> list[str]:
        return [(await BOX.arun(one)).text, BOX.run(one).text]

    assert [BOX.run(one).text for _ in range(2)] == ["fever from afar"] * 2
    assert asyncio.run(inside_a_loop()) == ["fever from afar"] * 2


def test_an_async_tool_that_fails_fails_its_caller() -> None:
    @tool
    async def gone(query: str) -> ToolOutput:
        """Ask a server that is away."""
        raise ToolUnavailableError("503")

    with pytest.raises(ToolUnavailableError, match="503"):
        ToolBox([gone]).run(call("gone", query="x"))


def test_async_tools_work_in_a_forked_process_and_end_with_it() -> None:
    code = (
        "import os, asyncio\n"
        "from medenv.tools.waiting import wait_for\n"
        "assert wait_for(asyncio.sleep(0, 1)) == 1\n"
        "child = os.fork()\n"
        "if child == 0: raise SystemExit(wait_for(asyncio.sleep(0, 7)))\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_arun_answers_as_run_does() -> None:
    for one in (call("dose", drug="aspirin"), call("dose"), call("nothing")):
        plain, awaited = BOX.run(one), asyncio.run(BOX.arun(one))
        assert (plain.status, plain.text) == (awaited.status, awaited.text)


def plain(number: int) -> ToolOutput:
    """Show a number."""
    return ToolOutput(text=str(number))


@pytest.mark.parametrize(
    ("made", "arguments"),
    [
        (dose, {"drug": "aspirin", "weight_kg": 20}),
        (remote, {"query": "fever"}),
        (FunctionTool(plain, local=False), {"number": 4}),
        (Search(Shelf(), k=1), {"query": "lens"}),
        (Faulty(Search(Shelf()), 0.0), {"query": "lens"}),
        (Cassette(dose, "kept"), {"drug": "aspirin"}),
    ],
    ids=["decorated", "async", "function", "class", "faulty", "cassette"],
)
def test_a_pickled_tool_is_the_same_tool(
    made: Tool, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for other in (pickle.loads(pickle.dumps(made)), deepcopy(made)):
        assert (other.spec, other.local, other.is_async) == (made.spec, made.local, made.is_async)
        for given in (arguments, {**arguments, "wrong": 1}, {}):
            one = call(made.name, **given)
            expected, got = ToolBox([made]).run(one), ToolBox([other]).run(one)
            assert (got.status, got.text) == (expected.status, expected.text)


def test_a_blocking_tool_does_not_block_the_loop() -> None:
    seen: list[int] = []

    def slow(query: str) -> ToolOutput:
        """Wait."""
        seen.append(threading.get_ident())
        return ToolOutput(text=query)

    box = ToolBox([FunctionTool(slow, local=False)])
    assert asyncio.run(box.arun(call("slow", query="x"))).text == "x"
    assert seen != [threading.get_ident()]


def test_what_waits_for_nothing_has_its_result_at_once() -> None:
    for one in (call("dose", drug="a"), call("no such tool"), call("remote", wrong="a")):
        made = BOX.start(one)
        assert isinstance(made, ToolResult)
        assert made.text == BOX.run(one).text
    waiting = BOX.start(call("remote", query="fever"))
    assert not isinstance(waiting, ToolResult)
    assert asyncio.run(waiting).text == "fever from afar"


def test_a_backend_that_is_away_is_raised_and_no_result() -> None:
    box = ToolBox([Flaky(failures=1)])
    with pytest.raises(ToolUnavailableError, match="the backend is away"):
        box.run(call("search", query="x"))
    assert box.run(call("search", query="x")).status == "ok"


def test_a_tool_that_says_unavailable_is_raised_too() -> None:
    @tool
    def label(drug: str) -> ToolOutput:
        """Ask a server that is away."""
        return ToolOutput(text="HTTP 503", status="unavailable")

    with pytest.raises(ToolUnavailableError, match="tool 'label': HTTP 503"):
        ToolBox([label]).run(call("label", drug="x"))


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"two tools of one name: \['dose', 'dose'\]"):
        ToolBox([dose, dose])


def test_a_tool_without_types_or_words_is_refused() -> None:
    def untyped(query) -> ToolOutput:  # type: ignore[no-untyped-def]  # that is the point
        """Search."""
        return ToolOutput(text="")

    def silent(query: str) -> ToolOutput:
        return ToolOutput(text="")

    with pytest.raises(UsageError, match="parameter 'query' needs a type"):
        tool(untyped)
    with pytest.raises(UsageError, match="needs a name and a docstring"):
        tool(silent)


def test_a_class_without_a_name_is_refused() -> None:
    class Nameless(Tool):
        def call(self, query: str) -> ToolOutput:
            """Search."""
            return ToolOutput(text="")

    with pytest.raises(UsageError, match="needs a name"):
        Nameless()
