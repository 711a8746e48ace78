"""Schemas from signatures, arguments checked against them, calls made."""

from __future__ import annotations

import asyncio
import functools
import pickle
import subprocess
import sys
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, cast

import gymnasium
import httpx
import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.build.environment import DIALECTS, make_dialect
from medenv.envs.env import MedResearchEnv
from medenv.errors import TokensExhaustedError, ToolUnavailableError, UsageError
from medenv.records import ToolCall, ToolResult
from medenv.tools import FunctionTool, Read, Search, Tool, ToolBox, ToolOutput
from medenv.tools.base import MAX_CHARS
from medenv.tools.cassette import Cassette
from medenv.tools.faults import Faulty
from medenv.tools.web import Fetcher, Visit

from ..fakes import Clock, Flaky, Shelf


@FunctionTool
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


@FunctionTool
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
    @FunctionTool
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


def test_threads_that_begin_together_share_one_loop() -> None:
    code = (
        "import asyncio, threading, time\n"
        "from medenv.tools.waiting import wait_for\n"
        "made = asyncio.new_event_loop\n"
        "asyncio.new_event_loop = lambda: (time.sleep(0.1), made())[1]\n"
        "async def loop(): return id(asyncio.get_running_loop())\n"
        "seen = set()\n"
        "job = lambda: seen.add(wait_for(loop()))\n"
        "threads = [threading.Thread(target=job) for _ in range(8)]\n"
        "for one in threads: one.start()\n"
        "for one in threads: one.join()\n"
        "assert len(seen) == 1, seen\n"
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
        for asked in (arguments, {**arguments, "wrong": 1}, {}):
            one = call(made.name, **asked)
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
    @FunctionTool
    def label(drug: str) -> ToolOutput:
        """Ask a server that is away."""
        return ToolOutput(text="HTTP 503", status="unavailable")

    with pytest.raises(ToolUnavailableError, match="tool 'label': HTTP 503"):
        ToolBox([label]).run(call("label", drug="x"))


def test_a_text_is_an_output_however_it_is_made(tmp_path: Path) -> None:
    @FunctionTool
    def weight(drug: str) -> str:
        """Weigh a tablet."""
        return f"{drug}: 3 g"

    @FunctionTool
    async def taste(drug: str) -> str:
        """Taste a tablet."""
        return f"{drug}: bitter"

    for one, text in ((weight, "aspirin: 3 g"), (taste, "aspirin: bitter")):
        for kept in (one, Cassette(one, tmp_path), Cassette(one, tmp_path, "strict")):
            result = ToolBox([kept]).run(call(one.name, drug="aspirin"))
            assert (result.text, result.status, result.passages) == (text, "ok", ())


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unique tool names, got \['dose', 'dose'\]"):
        ToolBox([dose, dose])


def test_a_tool_without_types_or_words_is_refused() -> None:
    def untyped(query) -> ToolOutput:  # type: ignore[no-untyped-def]  # that is the point
        """Search."""
        return ToolOutput(text="")

    def silent(query: str) -> ToolOutput:
        return ToolOutput(text="")

    with pytest.raises(UsageError, match="parameter 'query' needs a type"):
        FunctionTool(untyped)
    with pytest.raises(UsageError, match="needs a name and a docstring"):
        FunctionTool(silent)


def test_a_class_without_a_name_is_refused() -> None:
    class Nameless(Tool):
        def call(self, query: str) -> ToolOutput:
            """Search."""
            return ToolOutput(text="")

    with pytest.raises(UsageError, match="needs a name"):
        Nameless()


def raising(error: BaseException, *, local: bool = True) -> FunctionTool:
    def fragile(query: str) -> ToolOutput:
        """Search, and fail."""
        raise error

    return FunctionTool(fragile, local=local)


def awaited(error: BaseException) -> FunctionTool:
    @FunctionTool
    async def fragile(query: str) -> ToolOutput:
        """Search, and fail."""
        await asyncio.sleep(0)
        raise error

    return fragile


BUGS = [
    *(KeyError("x"), OverflowError("too large"), UsageError("k is wrong"), RecursionError()),
    *(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate"), MemoryError(), StopIteration()),
    TokensExhaustedError("the model behind the tool has no room"),
    *(ExceptionGroup("two", [ValueError("a"), ValueError("b")]), FileNotFoundError("x")),
]


@pytest.mark.parametrize("error", BUGS, ids=lambda error: type(error).__name__)
def test_an_exception_of_a_tool_is_an_observation_however_it_is_called(error: Exception) -> None:
    for one in (raising(error), raising(error, local=False), awaited(error)):
        box, made = ToolBox([one]), call("fragile", query="x")
        for result in (box.run(made), asyncio.run(asyncio.wait_for(box.arun(made), 5))):
            assert (result.status, result.call_id, result.passages) == ("bad_call", "0.0", ())
            assert result.text.startswith("fragile: the call failed (")


@pytest.mark.parametrize("error", [ConnectionRefusedError("gone"), TimeoutError("late")])
def test_a_backend_that_does_not_answer_is_a_failure_outside(error: Exception) -> None:
    for one in (raising(error), raising(error, local=False), awaited(error)):
        box, made = ToolBox([one]), call("fragile", query="x")
        with pytest.raises(ToolUnavailableError, match=type(error).__name__):
            box.run(made)
        with pytest.raises(ToolUnavailableError, match=type(error).__name__):
            asyncio.run(box.arun(made))


def test_an_interrupt_is_nobodys_observation() -> None:
    for error in (KeyboardInterrupt(), SystemExit(1)):
        with pytest.raises(type(error)):
            ToolBox([raising(error)]).run(call("fragile", query="x"))


def test_a_bug_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    box = ToolBox([raising(KeyError("x"))])
    for _ in range(3):
        box.run(call("fragile", query="x"))
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


WRONG_OUTPUTS: list[Any] = [
    *(None, b"text", ToolOutput(text=None), ToolOutput(text=b"bytes")),  # type: ignore[arg-type]  # that is the point
    *(ToolOutput(text="x", status="error"), ToolOutput(text="x", passages=7)),  # type: ignore[arg-type]  # likewise
]


@pytest.mark.parametrize("output", WRONG_OUTPUTS, ids=repr)
def test_what_is_no_output_of_a_tool_is_an_observation(output: Any) -> None:
    def odd(query: str) -> ToolOutput:
        """Search, in its own way."""
        made: ToolOutput = output
        return made

    result = ToolBox([FunctionTool(odd)]).run(call("odd", query="x"))
    assert (result.status, type(result.text), result.passages) == ("bad_call", str, ())


def test_what_a_tool_shows_is_bounded_and_can_be_stored() -> None:
    def much(query: str) -> ToolOutput:
        """Say much."""
        return ToolOutput(text="µ\ud800" * MAX_CHARS, passages=["a", "b"])  # type: ignore[arg-type]  # a list, as tools may give

    result = ToolBox([FunctionTool(much)]).run(call("much", query="x"))
    assert len(result.text) < MAX_CHARS + 100
    assert result.text.startswith("µ?")
    assert result.text.endswith(f"… (cut after {MAX_CHARS} of {2 * MAX_CHARS} characters)")
    assert result.passages == ("a", "b")
    assert msgspec.json.decode(msgspec.json.encode(result), type=ToolResult) == result


def test_arguments_that_cannot_be_checked_are_refused() -> None:
    class Strict(Tool):
        """A tool whose own check of arguments has a bug."""

        name = "strict"

        def call(self, query: str) -> ToolOutput:
            """Search."""
            return ToolOutput(text=query)

        def bind(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
            raise LookupError("no such schema")

    assert ToolBox([Strict()]).run(call("strict", query="x")).status == "bad_call"


def test_what_is_wrong_with_arguments_is_told_within_bounds() -> None:
    result = BOX.run(call("dose", **{"x" * 1_000_000: 1}))
    assert result.status == "bad_call"
    assert len(result.text) < 500


ODD_TEXTS = [
    "",
    " ",
    "\x00",
    "\ud800",
    "µβ\u2028",
    "x" * 100_000,
    "a b " * 1000,
    "(((",
    "%s{}",
    "TOY:",
]
odd_texts = st.sampled_from([*ODD_TEXTS, "TOY:D1#0", "CASE:1", "http://[::1"]) | st.text()
odd_numbers = st.integers() | st.integers(10**19, 10**30)
odd_values = st.recursive(
    st.none() | st.booleans() | odd_numbers | st.floats() | odd_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def odd_arguments(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of the right type, or of any."""
    kinds = {one.get("type") for one in schema.get("anyOf", [schema])}
    return (
        (odd_texts if "string" in kinds else st.nothing())
        | (st.lists(odd_texts, max_size=9) if "array" in kinds else st.nothing())
        | (odd_numbers if "integer" in kinds else st.nothing())
        | odd_values
    )


@functools.cache
def every_tool() -> ToolBox:
    """All tools that need no network, and those of the web over a web that is not there."""

    def nothing(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    fetcher = Fetcher(transport=httpx.MockTransport(nothing), resolve=lambda *_: ["93.184.216.34"])
    made = [gymnasium.make(f"medenv:medenv/{name}-v0") for name in ("Research", "Diagnosis")]
    boxes = [cast(MedResearchEnv, env.unwrapped).toolbox for env in made]
    tools = {one.name: one for box in boxes for one in box.tools.values()}
    return ToolBox([*tools.values(), Visit(fetcher)])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_call_that_a_policy_can_write_raises(data: st.DataObject) -> None:
    box = every_tool()
    spec = data.draw(st.sampled_from(box.specs))
    properties = spec.parameters["properties"]
    values = {name: odd_arguments(schema) for name, schema in properties.items()}
    needed = {name: values.pop(name) for name in spec.parameters["required"]}
    arguments = data.draw(st.fixed_dictionaries(needed, optional=values))
    result = box.run(ToolCall(id="0.0", name=spec.name, arguments=arguments))
    assert result.status in ("ok", "empty", "bad_call")
    for dialect in map(make_dialect, DIALECTS.names()):
        dialect.observation([result], [])


def test_every_tool_meets_the_calls_that_were_found_to_break_it() -> None:
    box = every_tool()
    passage = next(iter(box.run(call("search", query="lake")).passages))
    for start in (10**20, 2**63, -(10**20)):
        for find in ("", "a"):
            result = box.run(call("read", passage_id=passage, start=start, find=find))
            assert result.status in ("empty", "bad_call")
    assert box.run(call("read", passage_id=passage, find="a " * 400)).status == "bad_call"
    assert box.run(call("search", query="\ud800")).status in ("empty", "ok")
    assert box.run(call("search", query="x" * 1_000_000)).status == "bad_call"
