"""Every spelling of a name is one word to search, lookup, answers, documents and renaming."""

from __future__ import annotations

import re

import pytest

from medenv.build.graph_facts import GraphFacts
from medenv.kg import Documents, Graph
from medenv.kg.documents.naming import mentions
from medenv.kg.graph import GraphInfo
from medenv.kg.graph.builder import GraphBuilder
from medenv.kg.graph.schema import HAS_PHENOTYPE
from medenv.records import Entity
from medenv.retrieval import BM25Retriever
from medenv.reward.answers.equivalence import judge_answer
from medenv.text import whole_words
from medenv.tools.lookup import Lookup
from medenv.trajectories.revealed import RevealedEntities

SPELLINGS = ("Behçet disease", "Behcet disease", "Behc\u0327et disease")
OTHER = "Becker disease"


def graph_of(name: str) -> Graph:
    builder = GraphBuilder(GraphInfo(source="made", version="1"))
    builder.relation(HAS_PHENOTYPE, ("frequency",))
    builder.node("F:1", kind="phenotype", name="oral ulcers")
    builder.node("F:2", kind="phenotype", name="weakness")
    builder.node("D:1", kind="disease", name=name)
    builder.node("D:2", kind="disease", name=OTHER)
    builder.edge("D:1", "has_phenotype", "F:1", ("",))
    builder.edge("D:2", "has_phenotype", "F:2", ("",))
    return builder.build()


@pytest.mark.parametrize("asked", SPELLINGS)
@pytest.mark.parametrize("written", SPELLINGS)
def test_search_lookup_answers_and_documents_fold_alike(written: str, asked: str) -> None:
    graph = graph_of(written)
    passages = Documents(graph).passages

    ((first, *_),) = BM25Retriever(passages).search([asked.split()[0]], 3)
    assert first[0].entity == "D:1"

    assert Lookup(GraphFacts(graph)).call(asked).status == "ok"
    assert Lookup(GraphFacts(graph)).call(asked).text.startswith(f"{written} (D:1)")

    gold = [Entity(id="D:1", kind="disease", name=written)]
    assert judge_answer(asked, gold).right
    assert not judge_answer(OTHER, gold).right

    naming = {one.entity for one in passages if mentions(f"{one.title}: {one.text}", [asked])}
    assert "D:1" in naming
    assert "D:2" not in naming

    revealed = RevealedEntities("Which disease?")
    revealed.see(f"[1] {written}: oral ulcers")
    assert revealed.includes(asked)
    assert not revealed.includes(OTHER)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FBN1 and FBN10, xFBN1", ["FBN1"]),
        ("(FBN1-related) FBN1.", ["FBN1", "FBN1"]),
        (
            "Marfan disease type 2 or Marfan disease",
            ["Marfan disease type 2", "Marfan disease"],
        ),
        ("a+b, a+bc", ["a+b"]),
        ("", []),
    ],
)
def test_whole_words_prefer_the_longest_name(text: str, found: list[str]) -> None:
    names = ("FBN1", "Marfan disease", "Marfan disease type 2", "a+b")
    assert re.findall(whole_words(*names), text) == found
