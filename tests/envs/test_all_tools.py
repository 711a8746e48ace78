"""medenv/Research-v0 offers every tool that needs no network, and none that gives answers away."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest

from medenv.build.environment import TOOLS, make_env
from medenv.errors import UnknownNameError
from medenv.kg import Documents, toy_graph, toy_questions
from medenv.retrieval import BM25Retriever

OVER_THE_NETWORK = {"web_search", "visit", "mcp"}
OF_THE_GRAPH = {"diagnose", "lookup"}


def offered(**settings: Any) -> set[str]:
    env = gymnasium.make("medenv:medenv/Research-v0", **settings).unwrapped
    return set(env.toolbox.tools)


def test_all_are_there_and_each_answers() -> None:
    env = gymnasium.make("medenv:medenv/Research-v0").unwrapped
    calls = {
        "search": {"query": "Night lake syndrome"},
        "read": {"passage_id": "TOY:D6#0"},
        "med_search": {"query": "Night lake syndrome"},
        "diagnose": {"present": ["Seasonal hoarseness"]},
        "lookup": {"name": "Night lake syndrome"},
    }
    assert set(env.toolbox.tools) == set(calls) == {*TOOLS.names()} - OVER_THE_NETWORK - {"ask"}
    env.reset(options={"question": "test:4"})
    for name, arguments in calls.items():
        env.step(env.rules.dialect.write_call(name, arguments))
    results = [turn.results[0] for turn in env.episode.trajectory().turns]
    assert [(one.tool, one.status) for one in results] == [(name, "ok") for name in calls]


def test_patients_can_be_asked_where_there_are_any() -> None:
    assert offered(cases=3) == {"search", "read", "med_search", "ask", *OF_THE_GRAPH}


def test_the_graph_is_looked_up_only_where_questions_and_corpus_are_of_it() -> None:
    corpus = BM25Retriever(Documents(toy_graph()).passages)
    asked = toy_questions().test
    assert offered(questions=asked, corpus=corpus) == {"search", "read", "med_search"}
    assert offered(questions=asked, corpus=corpus, graph=toy_graph()) >= OF_THE_GRAPH


def test_what_the_corpus_withholds_the_graph_does_not_tell() -> None:
    assert not offered(withhold=0.3) & OF_THE_GRAPH


def test_one_tool_may_be_named_alone() -> None:
    assert offered(tools="search") == {"search"}
    with pytest.raises(UnknownNameError, match="did you mean 'search'"):
        make_env(tools="serch")
