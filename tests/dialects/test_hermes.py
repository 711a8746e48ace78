"""How Hermes text is read: what counts, what does not, and what the policy is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medenv.dialects import Hermes
from medenv.records import ToolResult, ToolSpec

from .speed import grows_linearly

HERMES = Hermes()
CALL = '<tool_call>{"name": "search", "arguments": {"query": "fever"}}</tool_call>'
ANSWER = "<answer>FBN1</answer>"
SEARCHED = (("search", {"query": "fever"}),)

FRAGMENTS = [
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
    *("<answer>", "</answer>", "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<", "{", "}", "[["),
    *(CALL, ANSWER, '{"name": "search", "arguments": ', "\x00", "\ud800", "\\ud800", '"', "µβ\n"),
]
messy = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=8), max_size=12).map("".join)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc<|/>"), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("text", "calls", "answer"),
    [
        pytest.param(CALL, SEARCHED, None, id="a call"),
        pytest.param(CALL + "\n" + CALL, SEARCHED * 2, None, id="two calls"),
        pytest.param(ANSWER, (), "FBN1", id="an answer"),
        pytest.param("<answer>\n FBN1 \n</answer>", (), "FBN1", id="an answer among spaces"),
        pytest.param(f"So it is: {ANSWER}", (), "FBN1", id="a bare thought before the answer"),
        pytest.param(f"<think>hm</think>{CALL}", SEARCHED, None, id="a thought before the call"),
        pytest.param(f"hm</think>{ANSWER}", (), "FBN1", id="a thought opened by the prompt"),
        pytest.param(CALL.removesuffix("</tool_call>"), SEARCHED, None, id="stopped at the tag"),
        pytest.param(f"{ANSWER}<|im_end|>", (), "FBN1", id="a control token ends the text"),
        pytest.param(f"{ANSWER} {ANSWER}", (), "FBN1", id="the same answer twice"),
        pytest.param(f"{ANSWER}<tool_response>x", (), "FBN1", id="an answer before invention"),
        pytest.param("<answer>a < b</answer>", (), "a < b", id="an answer with a sign"),
    ],
)
def test_what_is_plainly_meant_is_read(text: str, calls: Any, answer: str | None) -> None:
    parsed = HERMES.parse(text)
    assert parsed.calls == calls
    assert parsed.answer == answer
    assert parsed.problems == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "no tool call and no answer", id="nothing"),
        pytest.param("FBN1, I am sure.", "no tool call and no answer", id="no tags"),
        pytest.param(f"<think>{CALL}{ANSWER}</think>", "no tool call", id="both in thought"),
        pytest.param(f"<think>{ANSWER}", "<think> was not closed", id="thought without end"),
        pytest.param(f"{CALL}{ANSWER}</think>", "no tool call", id="all before </think>"),
        pytest.param(f"<tool_response>{ANSWER}", "only tools write", id="invented result"),
        pytest.param(
            f"<tool_response>x</tool_response>{ANSWER}", "only tools write", id="after invention"
        ),
        pytest.param(f"<|im_end|>{ANSWER}", "no tool call", id="after the end"),
        pytest.param("<answer>FB", "<answer> was not closed", id="an answer cut short"),
        pytest.param("<answer> </answer>", "the answer is empty", id="an empty answer"),
        pytest.param(
            f"{ANSWER}<answer>CBS</answer>", "several different answers", id="a list of guesses"
        ),
        pytest.param("<tool_call>{x}</tool_call>", r"not valid JSON .*byte 1\)", id="bad JSON"),
        pytest.param(
            '<tool_call>{"arguments": {}}</tool_call>', "missing required field `name`", id="name"
        ),
        pytest.param(
            '<tool_call>{"name": "search"}</tool_call>', "field `arguments`", id="arguments"
        ),
        pytest.param(
            '<tool_call>{"name": "search", "arguments": "fever"}</tool_call>',
            "1: the text of its arguments is not valid JSON",
            id="arguments are no object",
        ),
        pytest.param("<tool_call>[]</tool_call>", "got `array`", id="a list"),
        pytest.param("<tool_call></tool_call>", "not valid JSON", id="an empty call"),
        pytest.param(
            f"<tool_call>{{}}</tool_call>{ANSWER}", "the answer was not taken", id="bad call first"
        ),
    ],
)
def test_what_does_not_count_is_told(text: str, problem: str) -> None:
    parsed = HERMES.parse(text)
    assert (parsed.calls, parsed.answer) == ((), None)
    with pytest.raises(ValueError, match=problem):
        raise ValueError("\n".join(parsed.problems))


def test_an_answer_beside_a_call_is_not_taken_and_the_call_is_made() -> None:
    for text in (CALL + ANSWER, ANSWER + CALL):
        parsed = HERMES.parse(text)
        assert parsed.calls == SEARCHED
        assert parsed.answer is None
        assert "give it in its own turn" in parsed.problems[0]


def test_a_good_call_is_made_although_another_is_malformed() -> None:
    parsed = HERMES.parse(f"<tool_call>{{</tool_call>{CALL}")
    assert parsed.calls == SEARCHED
    assert "tool call 1 is not valid JSON" in parsed.problems[0]


def test_thoughts_are_kept_as_written() -> None:
    assert HERMES.parse(f"<think>one</think> two {CALL}").thought == "one two"


@settings(max_examples=3000, deadline=None)
@given(messy)
def test_no_text_whatever_makes_the_parser_raise(text: str) -> None:
    parsed = HERMES.parse(text)
    assert not (parsed.calls and parsed.answer)
    assert parsed.calls or parsed.answer or parsed.problems
    assert not (parsed.answer and parsed.problems)


@given(messy)
@example("<answer>\ud800</answer>")
@example("<tool_call>[]</tool_call>")
def test_the_short_way_for_plain_texts_reads_them_as_the_general_way_does(text: str) -> None:
    for whole in (text, f"<answer>{text}</answer>", f"<tool_call>{text}</tool_call>"):
        assert HERMES.parse(whole) == HERMES.parse(f" {whole}")


@pytest.mark.parametrize(
    "unit", ["<think>", "<tool_call>", "<answer>", "</think>", "<", CALL, ANSWER, "<tool_call>["]
)
def test_reading_takes_time_linear_in_the_length(unit: str) -> None:
    assert grows_linearly(HERMES, unit)


@given(st.text(st.characters(codec="utf-8")), st.dictionaries(st.text("abc<|/>"), json_values))
def test_any_call_that_is_written_is_read_again(name: str, arguments: dict[str, Any]) -> None:
    text = HERMES.write_call(name, arguments, "because of </think> and <answer>")
    assert HERMES.parse(text).calls == ((name, arguments),)
    assert HERMES.parse(f"{text}<|im_end|>").calls == ((name, arguments),)


@pytest.mark.parametrize("name", ["FBN1", "β-thalassaemia", "Type <1 deficiency", "</answer> x"])
def test_an_answer_that_is_written_is_read_again(name: str) -> None:
    assert HERMES.parse(HERMES.write_answer(name)).answer == name.replace("</", "‹/")


def test_an_answer_can_come_after_a_thought() -> None:
    parsed = HERMES.parse(HERMES.write_answer("FBN1", "<answer>CBS</answer>"))
    assert parsed.answer == "FBN1"
    assert parsed.thought == "‹answer>CBS‹/answer>"


def results(*texts: str) -> list[ToolResult]:
    return [
        ToolResult(call_id=f"0.{i}", tool="search", status="ok", text=text)
        for i, text in enumerate(texts)
    ]


@given(st.lists(messy, min_size=1, max_size=3), st.lists(messy, max_size=2))
def test_an_observation_holds_no_tag_and_no_control_token(
    texts: list[str], problems: list[str]
) -> None:
    shown = HERMES.observation(results(*texts), problems)
    for fragment in FRAGMENTS[:11]:
        assert fragment not in shown
    assert HERMES.parse(shown).answer is None
    assert HERMES.parse(shown).calls == ()


def test_an_observation_leaves_medical_text_as_it_is() -> None:
    text = "p <0.05, < 5 mg/l, 3 <4, T>0, 5 µg"
    assert HERMES.observation(results(text), []) == text


def test_results_and_problems_stand_apart() -> None:
    shown = HERMES.observation(results("one", "two"), ["third call: bad"], "Hurry.")
    assert shown == "one\n\ntwo\n\nError: third call: bad\n\nHurry."


def test_the_full_prompt_holds_every_tool_as_json() -> None:
    spec = ToolSpec(name="dose", description="Doses.", parameters={"type": "object"})
    prompt = HERMES.system_prompt([spec], "full")
    line = next(line for line in prompt.splitlines() if line.startswith("{"))
    assert msgspec.json.decode(line)["function"] == msgspec.to_builtins(spec)
    assert "<tool_call>" in prompt
    assert "<answer>" in prompt


def test_without_tools_the_prompt_speaks_of_none() -> None:
    assert "tool" not in HERMES.system_prompt([], "full")


def test_the_minimal_prompt_is_no_message() -> None:
    assert HERMES.system_prompt([], "minimal") == ""
