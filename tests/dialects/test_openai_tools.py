"""A conversation of native tool calls, as a chat API takes it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from medenv.dialects import OpenAITools, chat_messages, chat_tools
from medenv.episodes.episode import Budget, Episode, EpisodeRules
from medenv.tools import Search, ToolBox

from ..fakes import Shelf, question

DIALECT = OpenAITools()
BOX = ToolBox([Search(Shelf(), k=1)])


def message(*arguments: str, content: str | None = None) -> str:
    calls = [
        {"id": "x", "type": "function", "function": {"name": "search", "arguments": given}}
        for given in arguments
    ]
    return msgspec.json.encode(
        {"role": "assistant", "content": content, "tool_calls": calls}
    ).decode()


def played(*texts: str, **budget: int) -> Episode:
    episode = Episode(question(), EpisodeRules(DIALECT, BOX.specs, Budget(**budget)))
    for text in texts:
        calls = episode.advance(text)
        if not episode.ended:
            episode.observe([BOX.run(call) for call in calls])
    return episode


def test_each_result_follows_its_call_under_its_id() -> None:
    sent = chat_messages(played(message('{"query": "a"}', '{"query": "b"}')).messages)
    assert [part["role"] for part in sent] == ["system", "user", "assistant", "tool", "tool"]
    asked = [call["id"] for call in sent[2]["tool_calls"]]
    assert [part["tool_call_id"] for part in sent[3:]] == asked
    assert len(set(asked)) == 2
    assert sent[3]["content"].startswith("[1] (D:1#0) Marfan syndrome")


def test_a_malformed_call_is_left_out_and_told() -> None:
    sent = chat_messages(played(message("{", '{"query": "b"}', content="hm")).messages)
    assert [part["role"] for part in sent[2:]] == ["assistant", "tool", "user"]
    assert len(sent[2]["tool_calls"]) == 1
    assert sent[2]["content"] == "hm"
    assert "tool call 1: what it calls with is not valid JSON" in sent[4]["content"]


def test_a_call_beyond_the_budget_is_left_out_and_told() -> None:
    sent = chat_messages(played(message('{"query": "a"}', '{"query": "b"}'), calls=1).messages)
    assert len(sent[2]["tool_calls"]) == 1
    assert "the budget is used up" in sent[4]["content"]
    assert "No tool calls are left" in sent[4]["content"]


def test_a_turn_without_calls_and_an_answer_are_plain_messages() -> None:
    sent = chat_messages(played("no JSON", DIALECT.write_answer("FBN1", "sure")).messages)
    assert [part["role"] for part in sent] == ["system", "user", "assistant", "user", "assistant"]
    assert "not valid JSON" in sent[3]["content"]
    assert sent[4] == {"role": "assistant", "content": "FBN1"}


def test_the_tools_go_beside_the_messages() -> None:
    (offered,) = chat_tools(BOX.specs)
    assert offered["type"] == "function"
    assert offered["function"]["name"] == "search"
    assert offered["function"]["parameters"]["required"] == ["query"]


def turn(**fields: Any) -> str:
    return msgspec.json.encode({"role": "assistant", **fields}).decode()


def called(arguments: Any) -> list[dict[str, Any]]:
    return [{"id": "x", "type": "function", "function": {"name": "search", "arguments": arguments}}]


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        *(('{"query": "a"}', {"query": "a"}), ({"query": "a"}, {"query": "a"})),
        *(("", {}), (None, {}), ("{}", {}), ({}, {})),
    ],
    ids=["text", "decoded", "empty", "null", "empty object", "empty decoded"],
)
def test_arguments_are_read_as_servers_write_them(arguments: Any, read: dict[str, Any]) -> None:
    parsed = DIALECT.parse(turn(content=None, tool_calls=called(arguments)))
    assert (parsed.calls, parsed.problems) == ((("search", read),), ())


PARTS = [{"type": "text", "text": "FB"}, {"type": "text", "text": "N1"}, {"type": "refusal"}]


def test_content_may_come_in_parts() -> None:
    assert DIALECT.parse(turn(content=PARTS)).answer == "FBN1"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_thought_and_is_never_sent_back(field: str) -> None:
    fields = {field: "private chain", "tool_calls": called('{"query": "a"}')}
    for content in ("I look.", "<think>half of it</think>I look.", "half of it</think>I look."):
        asked = turn(content=content, **fields)
        assert DIALECT.parse(asked).thought.startswith("private chain")
        sent = chat_messages(played(asked).messages)
        assert sent[2]["content"] == "I look."
        assert "private" not in msgspec.json.encode(sent).decode()
    sent = chat_messages(played(turn(content="FBN1", **{field: "private chain"})).messages)
    assert sent[2] == {"role": "assistant", "content": "FBN1"}


def test_what_is_all_thought_answers_nothing_and_is_sent_back_empty() -> None:
    for content in ("<think>It may be FBN1", "It is FBN1</think>", "<think>FBN1</think> "):
        episode = played(turn(content=content))
        assert episode.answer is None
        assert "no tool call and no answer" in episode.messages[-1]["content"]
        assert chat_messages(episode.messages)[2]["content"] == ""
